from __future__ import annotations

import os
from pathlib import Path

import pytest
from hand_made import blood_checkpoint, slice_checkpoint

from hemobench.errors import UserError
from hemobench.inference import shipped
from hemobench.inference.checkpoint import MANIFEST, open_checkpoint
from hemobench.inference.shipped import ENVIRONMENT, checkpoints_by_role


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    blood_checkpoint(folder / "bleed", name="blood")
    slice_checkpoint(folder / "slice-classifier", name="slices")
    return folder


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def names(*given: object) -> dict[str, str]:
    found = checkpoints_by_role(*given)  # type: ignore[arg-type]
    return {role: one.config.name for role, one in found.items()}


def test_folders_as_text_path_open_or_several(shelf: Path) -> None:
    both = {"haemorrhage": "blood", "slice-classifier": "slices"}
    assert names(str(shelf / "bleed")) == {"haemorrhage": "blood"}
    assert names(shelf / "bleed") == {"haemorrhage": "blood"}
    assert names([shelf / "bleed", str(shelf / "slice-classifier")]) == both
    assert names((open_checkpoint(shelf / "bleed"), shelf / "slice-classifier")) == both


def test_the_environment_names_them_with_commas(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, f"{shelf / 'bleed'}, {shelf / 'slice-classifier'},")
    assert names(None) == {"haemorrhage": "blood", "slice-classifier": "slices"}
    # What is given goes before it.
    assert names(shelf / "slice-classifier") == {"slice-classifier": "slices"}


def test_shipped_ones_that_are_there_are_used(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "shipped_folder", lambda: shelf)
    assert names(None) == {"haemorrhage": "blood", "slice-classifier": "slices"}


def test_without_any_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "shipped_folder", lambda: tmp_path / "checkpoints")
    with pytest.raises(UserError, match=f"set {ENVIRONMENT}"):
        checkpoints_by_role()
    with pytest.raises(UserError, match="no checkpoint given"):
        checkpoints_by_role([])


def test_the_shipped_folder_is_the_repository_s() -> None:
    assert shipped.shipped_folder().parent == Path(__file__).resolve().parents[2]


def test_two_of_one_role_are_refused(shelf: Path, tmp_path: Path) -> None:
    other = blood_checkpoint(tmp_path / "other", name="second")
    with pytest.raises(UserError, match=r"two checkpoints for the role haemorrhage \(blood and second\)"):
        checkpoints_by_role([shelf / "bleed", other])


def test_a_checkpoint_is_read_once_until_it_changes(tmp_path: Path) -> None:
    folder = blood_checkpoint(tmp_path / "blood", name="first")
    first = checkpoints_by_role(folder)["haemorrhage"]
    assert checkpoints_by_role(folder)["haemorrhage"] is first
    blood_checkpoint(folder, name="second", subtype="epidural")
    # Whatever the clock's step, the new manifest is later.
    later = (folder / MANIFEST).stat().st_mtime + 2
    os.utime(folder / MANIFEST, (later, later))
    second = checkpoints_by_role(folder)["haemorrhage"]
    assert second.config.name == "second"
    assert second.sha256 != first.sha256
