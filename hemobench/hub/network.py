"""Networks in the manner of PyTorchModelHubMixin: `from_pretrained`, `save_pretrained`, `push_to_hub`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from hemobench.hub.metadata import with_front_matter
from hemobench.hub.transfer import Pushed, check_replaceable, publish, push, verified_files
from hemobench.inference.checkpoint import ATTACHED, CARD, Checkpoint, open_checkpoint, write_checkpoint
from hemobench.inference.config import CheckpointConfig

CHANGED = (
    "> **Weights were changed** after this card was written: what it says of training and scores is about the "
    "checkpoint that they started from."
)


class PretrainedNetwork(nn.Module):
    """A checkpoint's network: of any role, as a plain module to run or to train on.

    forward takes what the config's view gives, values 0 to 1: (B, C, H, W) for a classifier, (B, 1, D, H, W) for a
    segmenter, and gives logits (B, K) or (B, K, D, H, W) in the order of `config.outputs`.

        network = PretrainedNetwork.from_pretrained("user/bleed", revision="v1")
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.network = checkpoint.build_model().requires_grad_(True)
        self.eval()

    @property
    def config(self) -> CheckpointConfig:
        return self.checkpoint.config

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.network(images)
        return logits

    @classmethod
    def from_pretrained(
        cls, where: str | Path, *, revision: str | None = None, local_files_only: bool = False
    ) -> PretrainedNetwork:
        """The network of a checkpoint folder, or of a repository `user/name` on the Hub or in its cache.

        Raises: UserError where there is none, it cannot be fetched, or it is not whole.
        """
        if Path(where).expanduser().is_dir():
            return cls(open_checkpoint(where))
        name = str(where) if revision is None else f"{where}@{revision}"
        return cls(open_checkpoint(name, local_files_only=local_files_only))

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the checkpoint's folder. Weights that were changed since lose the scores, which are not theirs.

        Raises: UserError where `folder` holds something else.
        """
        directory = Path(folder).expanduser()
        checkpoint, files = self.checkpoint, verified_files(self.checkpoint.directory, strangers=True)
        check_replaceable(directory)
        if not self.is_changed():
            publish(files, directory)
            return directory
        card = f"{with_front_matter(files.get(CARD, b'').decode('utf-8'), self.config, {}).rstrip()}\n\n{CHANGED}\n"
        write_checkpoint(
            directory,
            self.network,
            self.config,
            {},
            card,
            commit=checkpoint.commit,
            command=f"changed from weights {checkpoint.sha256}",
            people=checkpoint.people,
            half=False,
            attached={name: files[name] for name in ATTACHED if name in files},
        )
        return directory

    def push_to_hub(
        self, repository: str, *, private: bool = False, revision: str | None = None, token: str | None = None
    ) -> Pushed:
        """Push the checkpoint that this network was opened from: see `hemobench.hub.transfer.push`.

        Raises: UserError as `push` does; changed weights have no scores, so that they are refused until measured.
        """
        if not self.is_changed():
            return push(self.checkpoint.directory, repository, private=private, revision=revision, token=token)
        with TemporaryDirectory() as folder:
            saved = self.save_pretrained(Path(folder) / self.config.name)
            return push(saved, repository, private=private, revision=revision, token=token)

    def is_changed(self) -> bool:
        """Whether the weights differ from the checkpoint's."""
        original = self.checkpoint.build_model().state_dict()
        return any(not torch.equal(value.cpu(), original[name]) for name, value in self.network.state_dict().items())
