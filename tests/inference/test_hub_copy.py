from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_checkpoints import small_checkpoint

from hemobench.errors import UserError
from hemobench.inference.checkpoint import FILES, open_checkpoint

from ..local_hub import LocalHub

NAME = "someone/bleed"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.point_client_at(monkeypatch, tmp_path / "hub-cache")
        yield server


def checkpoint_files(folder: Path, role: str = "ventricles") -> dict[str, bytes]:
    directory = small_checkpoint(folder, role).directory
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_checkpoint_comes_from_the_hub_with_the_commit_it_was_at(hub: LocalHub, tmp_path: Path) -> None:
    files = checkpoint_files(tmp_path / "one")
    commit = hub.commit(NAME, {**files, "training.log": b"not wanted"})
    checkpoint = open_checkpoint(NAME)
    assert (checkpoint.name, checkpoint.revision) == (NAME, commit)
    assert checkpoint.config.role == "ventricles"
    fetched = {path.rpartition("/")[2] for method, path in hub.requests if method == "GET" and "/resolve/" in path}
    assert fetched == set(FILES)
    checkpoint.build_model()


def test_a_revision_pins_what_is_opened(hub: LocalHub, tmp_path: Path) -> None:
    old = hub.commit(NAME, checkpoint_files(tmp_path / "one"), tag="v1")
    new = hub.commit(NAME, checkpoint_files(tmp_path / "two", "haemorrhage"))
    assert open_checkpoint(NAME).revision == new
    for revision in ("v1", old):
        pinned = open_checkpoint(f"{NAME}@{revision}")
        assert (pinned.revision, pinned.config.role) == (old, "ventricles")


def test_what_was_fetched_once_opens_without_the_hub(hub: LocalHub, tmp_path: Path) -> None:
    commit = hub.commit(NAME, checkpoint_files(tmp_path / "one"))
    open_checkpoint(NAME)
    hub.close()
    assert open_checkpoint(NAME).revision == commit
    assert open_checkpoint(f"{NAME}@{commit}").revision == commit
    with pytest.raises(UserError, match="cannot be fetched"):
        open_checkpoint(f"{NAME}@v2")


@pytest.mark.parametrize("where", ["nobody/nothing", f"{NAME}@v9"])
def test_an_unknown_repository_or_revision_is_one_line(hub: LocalHub, tmp_path: Path, where: str) -> None:
    hub.commit(NAME, checkpoint_files(tmp_path / "one"))
    with pytest.raises(UserError, match=f"checkpoint {where} is no folder here and cannot be fetched") as caught:
        open_checkpoint(where)
    assert "\n" not in str(caught.value)


def test_a_repository_without_a_checkpoint_is_refused(hub: LocalHub) -> None:
    hub.commit(NAME, {"README.md": b"# Something else\n"})
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        open_checkpoint(NAME)


def test_a_transfer_that_breaks_off_gives_no_checkpoint_and_the_next_one_does(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.commit(NAME, checkpoint_files(tmp_path / "one"))
    hub.cut.add("model.safetensors")
    with pytest.raises(UserError, match="cannot be fetched"):
        open_checkpoint(NAME)
    with monkeypatch.context() as offline:
        offline.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(UserError):  # what the cache holds now is no checkpoint
            open_checkpoint(NAME)
    hub.cut.clear()
    assert open_checkpoint(NAME).revision == commit


def test_a_half_file_in_the_cache_is_refused(hub: LocalHub, tmp_path: Path) -> None:
    hub.commit(NAME, checkpoint_files(tmp_path / "one"))
    weights = open_checkpoint(NAME).directory / "model.safetensors"
    os.truncate(weights.resolve(), weights.stat().st_size // 2)
    with pytest.raises(UserError, match=r"model\.safetensors has \d+ bytes; expected \d+"):
        open_checkpoint(NAME)


def test_a_folder_goes_before_the_hub(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_checkpoint(tmp_path / NAME, "haemorrhage")
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint(NAME).revision is None
    assert hub.requests == []


def test_a_fresh_process_uses_the_endpoint_of_its_environment(hub: LocalHub, tmp_path: Path) -> None:
    commit = hub.commit(NAME, checkpoint_files(tmp_path / "one"))
    code = f"from hemobench.inference.checkpoint import open_checkpoint; print(open_checkpoint({NAME!r}).revision)"
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout.strip() == commit
