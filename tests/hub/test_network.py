from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from shareable import shareable
from small_checkpoints import head_batch

from hemobench.datasets.patient_hashes import People
from hemobench.errors import UserError
from hemobench.hub.network import PretrainedNetwork
from hemobench.inference.checkpoint import open_checkpoint

from ..local_hub import LocalHub

NAME = "someone/net"
INPUTS = {"slice-classifier": (3, 64, 64), "haemorrhage": (1, 8, 44, 48), "ventricles": (1, 20, 44, 48)}


@pytest.mark.parametrize("role", INPUTS)
def test_pushed_and_taken_from_the_hub_it_gives_the_same_logits(hub: LocalHub, tmp_path: Path, role: str) -> None:
    checkpoint = shareable(tmp_path / "net", role)
    images = torch.from_numpy(head_batch(*INPUTS[role]))
    expected = checkpoint.build_model()(images)
    done = PretrainedNetwork.from_pretrained(tmp_path / "net").push_to_hub(NAME)
    shutil.rmtree(tmp_path / "net")
    network = PretrainedNetwork.from_pretrained(NAME, revision=done.commit)
    with torch.no_grad():
        assert torch.equal(network(images), expected)
    assert not network.training
    assert network.config.outputs == checkpoint.config.outputs
    assert network.checkpoint.revision == done.commit
    asked = len(hub.requests)
    PretrainedNetwork.from_pretrained(NAME, revision=done.commit, local_files_only=True)
    assert len(hub.requests) == asked


def test_saved_unchanged_the_folder_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    folder = shareable(tmp_path / "net", "haemorrhage").directory
    network = PretrainedNetwork.from_pretrained(folder)
    network.save_pretrained(tmp_path / "copy")
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is no checkpoint"):
        network.save_pretrained(tmp_path / "mine")


def test_weights_that_were_trained_on_lose_their_scores_and_keep_who_taught_them(hub: LocalHub, tmp_path: Path) -> None:
    people = People(("0123456789abcdef",), (), ("ct-ich",))
    network = PretrainedNetwork.from_pretrained(shareable(tmp_path / "net", "ventricles", people=people).directory)
    images = torch.from_numpy(head_batch(*INPUTS["ventricles"]))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    network.train()
    network(images).mean().backward()
    optimizer.step()
    network.eval()
    saved = open_checkpoint(network.save_pretrained(tmp_path / "changed"))
    assert saved.metrics == {}
    assert saved.people == people
    assert "Weights were changed" in (saved.directory / "README.md").read_text()
    with torch.no_grad():
        np.testing.assert_array_equal(saved.build_model()(images).numpy(), network(images).numpy())
    with pytest.raises(UserError, match="no scores at all"):
        network.push_to_hub(NAME)
    assert NAME not in hub.repositories
