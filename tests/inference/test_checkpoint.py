from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from small_checkpoints import FAMILIES, head_batch, small_checkpoint, small_config, small_model

from hemobench.datasets.patient_hashes import People
from hemobench.errors import UserError
from hemobench.inference.checkpoint import FILES, open_checkpoint, write_checkpoint


@pytest.mark.parametrize("role", FAMILIES)
def test_a_written_checkpoint_computes_what_its_model_did(tmp_path: Path, role: str) -> None:
    config = small_config(role)
    model = small_model(config)
    write_checkpoint(tmp_path / "one", model, config, {"a": 1.5}, "# Card\n", commit="c0ffee", command="", half=False)
    checkpoint = open_checkpoint(tmp_path / "one")
    assert checkpoint.config == config
    assert (checkpoint.name, checkpoint.revision, checkpoint.commit) == (config.name, None, "c0ffee")
    assert checkpoint.metrics == {"a": 1.5}
    images = torch.from_numpy(head_batch(config.in_channels, *config.view.image_size))
    opened = checkpoint.build_model()
    assert not opened.training
    with torch.inference_mode():
        torch.testing.assert_close(opened(images), model(images), rtol=0, atol=0)


def test_half_keeps_what_costs_nothing_or_does_not_fit(tmp_path: Path) -> None:
    config = small_config("haemorrhage")
    model = small_model(config)
    large, small = "unet.contract.0.0.weight", "unet.contract.0.3.weight"
    with torch.no_grad():
        model.state_dict()[large].fill_(1e6)  # beyond float16's 65504
    write_checkpoint(tmp_path / "one", model, config, {}, "", commit="", command="")
    with safe_open(tmp_path / "one" / "model.safetensors", framework="pt") as stream:
        kinds = {name: stream.get_tensor(name).dtype for name in stream.keys()}  # noqa: SIM118
        assert stream.metadata() == {"format": "pt"}
    assert kinds[large] == torch.float32
    assert kinds[small] == torch.float16
    assert kinds["unet.contract.0.0.bias"] == kinds["unet.contract.0.1.running_var"] == torch.float32
    assert kinds["unet.contract.0.1.num_batches_tracked"] == torch.int64
    built = open_checkpoint(tmp_path / "one").build_model().state_dict()
    np.testing.assert_array_equal(built[small], model.state_dict()[small].half().float())
    assert built[small].dtype == torch.float32


def test_the_manifest_is_what_sha256sum_says(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "one", "ventricles")
    assert sorted(path.name for path in checkpoint.directory.iterdir()) == sorted(FILES)
    manifest = json.loads((checkpoint.directory / "manifest.json").read_text())
    assert (manifest["commit"], manifest["command"]) == ("c0ffee", "python train")
    for name, entry in manifest["files"].items():
        content = (checkpoint.directory / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert sorted([*manifest["files"], "manifest.json"]) == sorted(FILES)
    assert checkpoint.sha256 == manifest["files"]["model.safetensors"]["sha256"]


def test_writing_again_replaces_the_checkpoint_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    first = small_checkpoint(tmp_path / "one", "ventricles")
    second = small_checkpoint(tmp_path / "one", "haemorrhage")
    assert (first.config.role, second.config.role) == ("ventricles", "haemorrhage")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no checkpoint"):
        small_checkpoint(tmp_path, "ventricles")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


VOUCHED = tuple(name for name in FILES if name != "README.md")


@pytest.mark.parametrize("name", VOUCHED)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = small_checkpoint(tmp_path / "one", "ventricles").directory
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", VOUCHED[:-1])
def test_a_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    folder = small_checkpoint(tmp_path / "one", "ventricles").directory
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} has SHA-256 .*; fetch the checkpoint again"):
        open_checkpoint(folder)


def test_a_file_that_was_cut_is_refused_by_its_size(tmp_path: Path) -> None:
    folder = small_checkpoint(tmp_path / "one", "ventricles").directory
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=f"has {len(content) // 2} bytes; expected {len(content)}"):
        open_checkpoint(folder)


def with_card(folder: Path) -> Path:
    """A checkpoint with people, a picture and a table, as they are published."""
    config = small_config("ventricles")
    attached = {"training.png": b"\x89PNG\r\n\x1a\n\0curve", "history.csv": b"epoch,loss\r\n1,0.5\r\n"}
    write_checkpoint(
        folder,
        small_model(config),
        config,
        {"dice": 0.5},
        "# Card\n\nText.\n",
        commit="",
        command="",
        people=People(),
        attached=attached,
    )
    return folder


@pytest.mark.parametrize("how", ["edited", "missing"])
def test_card_and_pictures_are_for_reading_alone(tmp_path: Path, how: str) -> None:
    folder = with_card(tmp_path / "one")
    for name in ("README.md", "training.png", "history.csv"):
        if how == "missing":
            (folder / name).unlink()
        else:
            with (folder / name).open("ab") as file:
                file.write(b"Contact: the project's page.\n")
    open_checkpoint(folder).build_model()
    # Who taught it is vouched for: an edited list would let patients into their own test.
    (folder / "patients.json").write_text("{}")
    with pytest.raises(UserError, match=r"patients\.json has"):
        open_checkpoint(folder)


@pytest.mark.parametrize("attributes", ["", "* text=auto\n", "* -text\n"])
def test_a_clone_as_git_makes_it_on_windows_opens(tmp_path: Path, attributes: str) -> None:
    repository = tmp_path / "repository"
    folder = with_card(repository / "checkpoints" / "one")
    (repository / ".gitattributes").write_text(attributes)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
    subprocess.run([*git, "init", "-q", str(repository)], check=True)
    subprocess.run([*git, "-C", str(repository), "add", "."], check=True)
    subprocess.run([*git, "-C", str(repository), "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, "clone", "-q", str(repository), str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone" / "checkpoints" / "one"
    # Only where nothing asks git to leave the files as they are does it change them.
    assert (b"\r\n" in (clone / "config.json").read_bytes()) == (attributes != "* -text\n")
    opened, original = open_checkpoint(clone), open_checkpoint(folder)
    assert (opened.config, opened.metrics, opened.sha256) == (original.config, original.metrics, original.sha256)
    opened.build_model()
    config = clone / "config.json"
    config.write_bytes(config.read_bytes().replace(b"unet3d", b"unet2d"))
    with pytest.raises(UserError, match=r"config\.json has"):
        open_checkpoint(clone)


def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path) -> None:
    folder = with_card(tmp_path / "one")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 2500000\n"
    (folder / "training.png").write_text(pointer)
    checkpoint = open_checkpoint(folder)
    (folder / "model.safetensors").write_text(pointer)
    for opened in (lambda: open_checkpoint(folder), checkpoint.build_model):
        with pytest.raises(UserError, match=r"safetensors is a Git LFS pointer, not the weights; .*git lfs pull"):
            opened()
    (folder / "manifest.json").write_text(pointer)
    with pytest.raises(UserError, match=r"manifest\.json is a Git LFS pointer"):
        open_checkpoint(folder)


def test_weights_that_change_after_opening_are_refused(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "one", "ventricles")
    (checkpoint.directory / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="SHA-256"):
        checkpoint.build_model()


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "other network"])
def test_weights_of_another_kind_are_refused_and_never_unpickled(tmp_path: Path, kind: str) -> None:
    checkpoint = small_checkpoint(tmp_path / "one", "ventricles")
    folder, trap = checkpoint.directory, tmp_path / "sprung"
    weights = pickle.dumps(Trap(trap)) if kind == "pickle" else save({"other": torch.zeros(3)})
    (folder / "model.safetensors").write_bytes(weights)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="do not fit unet3d") as caught:
        open_checkpoint(folder).build_model()
    assert "\n" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize("manifest", ["{}", '{"files": []}', '{"files": {"model.safetensors": 3}}', "[]", "{"])
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, manifest: str) -> None:
    folder = small_checkpoint(tmp_path / "one", "ventricles").directory
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match="manifest"):
        open_checkpoint(folder)


@pytest.mark.parametrize("where", ["/not/there", "../x/y/z", "name", "user/name@", "user/na me"])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(where: str) -> None:
    with pytest.raises(UserError, match="neither a folder nor a Hub id"):
        open_checkpoint(where)
