"""Weights that are a part of another checkpoint's: cut out to the byte, vouched for, and whole when they are shared."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, load_file, save

from hemobench.errors import UserError
from hemobench.hub.transfer import publish, verified_files
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.derived import described, part_of
from hemobench.inference.shipped import shipped_folder

NAME = "slice-classifier-timm"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("slice-classifier", NAME):
        shutil.copytree(shipped_folder() / name, tmp_path / name)
    return tmp_path


def test_a_part_has_the_tensors_of_its_prefix_and_no_other() -> None:
    whole = save(
        {"net.a": np.arange(3.0), "b": np.zeros(2), "net.c": np.ones((2, 2), dtype=np.float16)}, {"format": "pt"}
    )
    part = part_of(whole, "net.")
    found = load(part)
    assert sorted(found) == ["a", "c"]
    assert np.array_equal(found["a"], np.arange(3.0))
    assert np.array_equal(found["c"], np.ones((2, 2)))
    assert part == save({"a": np.arange(3.0), "c": np.ones((2, 2), dtype=np.float16)}, {"format": "pt"})
    with pytest.raises(UserError, match="no safetensors file"):
        part_of(b"torn", "net.")


def test_the_shipped_one_opens_without_weights_of_its_own(shelf: Path) -> None:
    assert not (shelf / NAME / "model.safetensors").exists()
    checkpoint = open_checkpoint(shelf / NAME)
    assert checkpoint.sha256 == "2668b7f423bbcd1317e611613e2b798ea6e14cf5192d96da94c5d3bebb223d77"
    network = checkpoint.build_model()
    stored = load_file(shelf / "slice-classifier" / "model.safetensors")
    own = {name.removeprefix("backbone."): value.numpy() for name, value in network.state_dict().items()}
    assert all(np.array_equal(value, stored[f"backbone.{name}"].astype(value.dtype)) for name, value in own.items())


def test_what_is_shared_is_whole_alone(shelf: Path, tmp_path: Path) -> None:
    files = verified_files(shelf / NAME, edited=False)
    assert "part_of" not in files["manifest.json"].decode()
    publish(files, tmp_path / "alone" / NAME)
    alone = open_checkpoint(tmp_path / "alone" / NAME)
    content = (tmp_path / "alone" / NAME / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == alone.sha256 == open_checkpoint(shelf / NAME).sha256


def test_it_is_refused_without_the_other_or_with_another(shelf: Path) -> None:
    other = shelf / "slice-classifier" / "model.safetensors"
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    with pytest.raises(UserError, match="cut from slice-classifier, are others than its manifest says"):
        open_checkpoint(shelf / NAME)
    other.unlink()
    with pytest.raises(UserError, match="a part of slice-classifier's, which is not beside it"):
        open_checkpoint(shelf / NAME)


@pytest.mark.parametrize(
    "told", [{"checkpoint": "../bleed", "prefix": ""}, {"prefix": "a."}, 3, {"checkpoint": "..", "prefix": ""}]
)
def test_a_manifest_names_a_folder_beside_it_and_no_other_place(shelf: Path, told: object) -> None:
    with pytest.raises(UserError, match="manifest says part_of"):
        described({"part_of": told})
    manifest = json.loads((shelf / NAME / "manifest.json").read_text())
    manifest["files"]["model.safetensors"]["part_of"] = told
    (shelf / NAME / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="manifest says part_of"):
        open_checkpoint(shelf / NAME)
