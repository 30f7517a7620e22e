"""Checkpoints: a folder of weights, config, card and metrics; its manifest vouches for all but the card."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hemobench.datasets.patient_hashes import People
from hemobench.errors import UserError
from hemobench.inference import places as _places
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.derived import described, part_of
from hemobench.inference.hub_copy import hub_copy
from hemobench.inference.manifest_check import as_written, entry_of, refuse_pointer
from hemobench.inference.timm_layout import load_plain, plain_names, timm_keys, without_timm_keys
from hemobench.io.json_files import read_json, write_json

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["FILES", "Checkpoint", "CheckpointConfig", "open_checkpoint", "write_checkpoint"]

WEIGHTS, CONFIG, CARD, METRICS, MANIFEST = (
    "model.safetensors",
    "config.json",
    "README.md",
    "metrics.json",
    _places.MANIFEST,
)
FILES = (WEIGHTS, CONFIG, CARD, METRICS, MANIFEST)
_NEEDED = (CONFIG, METRICS)
# Beside the card, where there is something to show.
HISTORY_TABLE, TRAINING_PICTURE, FAILURES_PICTURE = "history.csv", "training.png", "failures.png"
OUTLINES_PICTURE = "outlines.png"
ATTACHED = (HISTORY_TABLE, TRAINING_PICTURE, FAILURES_PICTURE, OUTLINES_PICTURE)
PEOPLE = "patients.json"  # who taught it, as hashes; older checkpoints have none
FETCHED = (*FILES, PEOPLE, "*.png", "*.jpg", "*.csv")  # of a repository: the card's pictures too
_HUB_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose weights, config, scores and people are there and match their hashes.

    name: the config's, or the Hub's id. revision: the Hub's commit that it was read from, None for a folder.
    sha256: of the weights' file. commit: of the code that wrote it. people: who taught and chose it; None where it does
    not say.
    """

    config: CheckpointConfig
    directory: Path
    name: str
    revision: str | None
    sha256: str
    commit: str
    metrics: Mapping[str, Any] = field(compare=False)
    people: People | None = None

    def build_model(self) -> nn.Module:
        """The network with its weights, in evaluation mode, float32, on the CPU.

        Raises: UserError where the weights' file has changed since the checkpoint was opened or does not fit.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        from hemobench.models import create_model

        config = self.config
        content = weights_of(self.directory, self.sha256)
        model = create_model(
            config.model,
            task=config.task,
            in_channels=config.in_channels,
            num_outputs=len(config.outputs),
            image_size=config.view.image_size,
            **config.model_options,
        )
        try:
            load_plain(model, load(content))
        except (RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"weights of checkpoint {self.name} do not fit {config.model} ({reason}); expected the "
                "state dict of the config's model; export it again"
            ) from error
        return model.float().eval().requires_grad_(False)


def open_checkpoint(where: str | Path, *, local_files_only: bool = False) -> Checkpoint:
    """A checkpoint: its network's weights, config, scores and people, verified.

    Size and SHA-256 of weights, config, metrics and people are compared with the manifest, so a copy that was cut
    half-way or changed is refused; the card may be edited, and git's line ends change nothing
    (`inference.manifest_check`). Nothing is unpickled.

    Args:
        where: A folder, the name of a shipped checkpoint such as `slice-classifier`, or a Hub id `user/name`,
            `user/name@revision` (branch, tag or commit). What is first in this order goes before the others.
        local_files_only: Ask nobody: what was fetched once from the Hub opens offline.

    Returns:
        The checkpoint. `build_model()` gives the network, `config` what goes in and comes out, `metrics` its scores.

    Raises:
        HemobenchError: There is no such checkpoint, it cannot be fetched, or it is not whole.
    """
    directory = Path(where).expanduser()
    if directory.is_dir():
        return _open_folder(directory, None, None)
    if str(where) in _places.shipped_names():
        return _open_folder(_places.shipped_folder() / str(where), None, None)
    match = _HUB_ID.fullmatch(str(where))
    if match is None:
        shipped = ", ".join(_places.shipped_names()) or "none here"
        raise UserError(
            f"checkpoint '{where}' is neither a folder nor a Hub id; expected a checkpoint's folder, "
            f"user/name, user/name@revision, or a shipped one ({shipped}); check the path"
        )
    repository = match["repository"]
    directory, commit = hub_copy(repository, match["revision"], FETCHED, local_files_only=local_files_only)
    return _open_folder(directory, repository, commit)


def write_checkpoint(
    directory: Path,
    model: nn.Module,
    config: CheckpointConfig,
    metrics: Mapping[str, Any],
    card: str,
    *,
    commit: str,
    command: str,
    half: bool = True,
    people: People | None = None,
    attached: Mapping[str, bytes] | None = None,
) -> None:
    """Write a checkpoint's files under a temporary name, then move the folder in place.

    people: real people who taught and chose it, none for phantoms; None where that is not known. half: weights with two
    or more axes become float16, half the file; biases and statistics stay float32, as does a tensor that float16 cannot
    hold. commit, command: of the code and the run that made it. attached: other files by name, such as the card's
    pictures. A checkpoint that stands at `directory` is replaced.

    Raises: UserError where `directory` holds something else.
    """
    if directory.exists() and not _replaceable(directory):
        raise UserError(
            f"{directory} exists and is no checkpoint; expected a new folder or a checkpoint's; name another"
        )
    from safetensors.torch import save

    directory.parent.mkdir(parents=True, exist_ok=True)
    part = directory.with_name(f".part-{uuid.uuid4().hex}")
    part.mkdir()
    try:
        (part / WEIGHTS).write_bytes(save(_plain_state(model, half), {"format": "pt"}))
        write_json(part / CONFIG, {**config.to_mapping(), **timm_keys(config, model)})
        (part / CARD).write_text(card, encoding="utf-8", newline="\n")
        write_json(part / METRICS, dict(metrics))
        if people is not None:
            write_json(part / PEOPLE, people.to_mapping())
        for name, content in (attached or {}).items():
            (part / name).write_bytes(content)
        files = {path.name: entry_of(path.read_bytes()) for path in sorted(part.iterdir())}
        write_json(part / MANIFEST, {"files": files, "commit": commit, "command": command})
        move_in_place(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _open_folder(directory: Path, repository: str | None, revision: str | None) -> Checkpoint:
    name = repository or str(directory)
    if not (directory / MANIFEST).is_file():
        raise UserError(
            f"checkpoint {name} has no {MANIFEST}; expected {', '.join(FILES)}; check the path or fetch it again"
        )
    manifest = read_manifest(directory)
    contents: dict[str, bytes] = {}
    weights_of(directory, _hash_of(manifest, WEIGHTS, name), _size_of(manifest, WEIGHTS))
    for file in _NEEDED:
        contents[file] = _checked(directory / file, _hash_of(manifest, file, name), _size_of(manifest, file))
    people = None
    if PEOPLE in manifest["files"]:
        listed = _checked(directory / PEOPLE, _hash_of(manifest, PEOPLE, name), _size_of(manifest, PEOPLE))
        people = People.from_mapping(_json_object(listed, directory / PEOPLE))
    config = CheckpointConfig.from_mapping(without_timm_keys(_json_object(contents[CONFIG], directory / CONFIG)))
    return Checkpoint(
        config=config,
        directory=directory.resolve(),
        name=repository or config.name,
        revision=revision,
        sha256=_hash_of(manifest, WEIGHTS, name),
        commit=str(manifest.get("commit", "")),
        metrics=_json_object(contents[METRICS], directory / METRICS),
        people=people,
    )


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a checkpoint's folder. Raises UserError where there is none that can be read."""
    path = directory / MANIFEST
    if path.is_file():
        refuse_pointer(path, path.read_bytes(), "manifest")
    return read_json(path)


def weights_of(directory: Path, sha256: str, size: object = None) -> bytes:
    """The weights' file of a checkpoint's folder, or what its manifest says they are cut from (`inference.derived`).

    Raises: UserError where it is not there, or is another file than `sha256` says.
    """
    path = directory / WEIGHTS
    cut = None if path.is_file() else described(read_manifest(directory)["files"][WEIGHTS])
    if cut is None:
        return _checked(path, sha256, size)
    other, prefix = cut
    try:
        whole = (directory.parent / other / WEIGHTS).read_bytes()
    except OSError as error:
        raise UserError(
            f"the weights of {directory.name} are a part of {other}'s, which is not beside it; expected "
            "its folder there; fetch it too"
        ) from error
    refuse_pointer(directory.parent / other / WEIGHTS, whole, "weights")
    content = part_of(whole, prefix)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(
            f"the weights of {directory.name}, cut from {other}, are others than its manifest says; "
            f"expected SHA-256 {sha256[:12]}...; fetch both again"
        )
    return content


def _hash_of(manifest: Mapping[str, Any], file: str, name: str) -> str:
    try:
        return str(manifest["files"][file]["sha256"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"manifest of checkpoint {name} says nothing about {file}; expected its sha256 and bytes; "
            "export or fetch the checkpoint again"
        ) from error


def _size_of(manifest: Mapping[str, Any], file: str) -> object:
    return manifest["files"][file].get("bytes")


def _checked(path: Path, sha256: str, size: object = None) -> bytes:
    """The file's bytes as the manifest has them, line ends of a text as they were written."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); expected it beside {MANIFEST}; fetch the checkpoint again"
        ) from error
    written = as_written(path.name, content, sha256)
    if written is not None:
        return written
    refuse_pointer(path, content, "weights" if path.name == WEIGHTS else "file itself")
    if size is not None and len(content) != size:
        raise UserError(f"{path} has {len(content)} bytes; expected {size}; fetch the checkpoint again")
    found = hashlib.sha256(content).hexdigest()
    raise UserError(f"{path} has SHA-256 {found[:12]}...; expected {sha256[:12]}...; fetch the checkpoint again")


def _json_object(content: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise UserError(f"{path} is no JSON; expected what write_checkpoint wrote; export it again") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{path} holds a {type(parsed).__name__}; expected a JSON object; export it again")
    return parsed


def _plain_state(model: nn.Module, half: bool) -> dict[str, torch.Tensor]:
    """State dict for safetensors: on the CPU, contiguous, sharing no memory."""
    import torch

    plain = {}
    for name, tensor in plain_names(model, model.state_dict()).items():
        value = tensor.detach().cpu()
        if half and value.dtype == torch.float32 and value.ndim >= 2:
            shorter = value.half()
            value = shorter if bool(shorter.isfinite().all()) else value
        plain[name] = value.contiguous().clone()
    return plain


def _replaceable(directory: Path) -> bool:
    return directory.is_dir() and ((directory / MANIFEST).is_file() or not any(directory.iterdir()))


def move_in_place(part: Path, directory: Path) -> None:
    """Rename a finished folder; one that stands there is moved away first, because rename replaces no full folder."""
    if not directory.exists():
        part.rename(directory)
        return
    old = directory.with_name(f".old-{uuid.uuid4().hex}")
    os.replace(directory, old)
    try:
        os.replace(part, directory)
    except OSError:
        os.replace(old, directory)
        raise
    shutil.rmtree(old)
