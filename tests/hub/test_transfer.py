from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub.utils._http as client
import numpy as np
import pytest
import torch
import yaml
from shareable import BODY, scores, shareable
from small_checkpoints import head_batch

from hemobench.datasets.patient_hashes import People
from hemobench.errors import UserError
from hemobench.hub.transfer import pull, push, refresh_card
from hemobench.inference.checkpoint import FILES, PEOPLE, open_checkpoint

from ..local_hub import LocalHub

NAME = "someone/net"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits seconds between its attempts; here it need not."""
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def logits_of(folder: Path, images: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return open_checkpoint(folder).build_model()(torch.from_numpy(images))


def test_pushed_deleted_and_pulled_it_is_the_same(hub: LocalHub, tmp_path: Path) -> None:
    folder = shareable(tmp_path / "net").directory
    before, images = bytes_of(folder), head_batch(3, 64, 64)
    logits = logits_of(folder, images)
    pushed = push(folder, NAME)
    shutil.rmtree(folder)
    assert pull(NAME, output=folder) == folder
    assert bytes_of(folder) == before
    assert set(before) == {*FILES, PEOPLE}
    assert torch.equal(logits_of(folder, images), logits)
    assert pushed.commit == hub.repositories[NAME].references["main"]
    assert pushed.url.endswith(pushed.commit)


def test_a_push_is_one_commit_with_everything_that_the_hub_reads(hub: LocalHub, tmp_path: Path) -> None:
    push(shareable(tmp_path / "net").directory, NAME)
    repository = hub.repositories[NAME]
    assert len(repository.summaries) == 1
    files = repository.commits[repository.references["main"]]
    results = {path: yaml.safe_load(text) for path, text in files.items() if path.startswith(".eval_results/")}
    assert [entry["dataset"] for entries in results.values() for entry in entries] == [
        {"id": "someone/hemobench-phantom", "task_id": "auroc_any"},
        {"id": "someone/hemobench-ct-ich", "task_id": "auroc_any"},
        {"id": "WuBiao/BHSD", "task_id": "auroc_any"},
    ]
    assert all("0.700 to 0.900" in entry["notes"] for entries in results.values() for entry in entries)
    assert set(files) == {".gitattributes", *FILES, PEOPLE, *results}


def test_a_second_push_replaces_and_leaves_nothing_of_the_first(hub: LocalHub, tmp_path: Path) -> None:
    push(shareable(tmp_path / "one").directory, NAME)
    metrics = {**scores("slice-classifier"), "others": []}
    push(shareable(tmp_path / "two", metrics=metrics, people=None).directory, NAME)
    repository = hub.repositories[NAME]
    files = repository.commits[repository.references["main"]]
    assert [path for path in files if path.startswith(".eval_results/")] == [
        ".eval_results/hemobench-phantom-test-part.yaml"
    ]
    assert PEOPLE not in files
    assert open_checkpoint(pull(NAME, output=tmp_path / "back")).metrics == metrics


def test_what_lies_beside_the_card_travels_and_goes_with_it(hub: LocalHub, tmp_path: Path) -> None:
    attached = {"history.csv": b"epoch,train_loss\n1,0.5\n", "training.png": b"curve", "failures.png": b"failures"}
    push(shareable(tmp_path / "one", attached=attached).directory, NAME)
    back = pull(NAME, output=tmp_path / "back")
    assert {name: (back / name).read_bytes() for name in attached} == attached
    assert {name: len(content) for name, content in attached.items()} == {
        name: entry["bytes"]
        for name, entry in json.loads((back / "manifest.json").read_text())["files"].items()
        if name in attached
    }
    push(shareable(tmp_path / "two").directory, NAME)
    repository = hub.repositories[NAME]
    assert not set(attached) & set(repository.commits[repository.references["main"]]), "pictures of other weights"


def test_private_and_branches(hub: LocalHub, tmp_path: Path) -> None:
    folder = shareable(tmp_path / "net").directory
    push(folder, NAME, private=True)
    assert hub.repositories[NAME].private
    push(folder, "someone/open")
    with pytest.raises(UserError, match="public already"):
        push(folder, "someone/open", private=True)
    trial = shareable(tmp_path / "trial", role="ventricles").directory
    push(trial, NAME, private=True, revision="trial")
    assert open_checkpoint(pull(NAME, output=tmp_path / "a")).config.role == "slice-classifier"
    assert open_checkpoint(pull(NAME, output=tmp_path / "b", revision="trial")).config.role == "ventricles"


@pytest.mark.parametrize("broken", ["preupload", "objects/batch", "/stored/", "/commit/"])
def test_a_push_cut_half_way_leaves_nothing_and_the_next_one_does_it(
    hub: LocalHub, tmp_path: Path, broken: str
) -> None:
    folder = shareable(tmp_path / "net").directory
    hub.broken.add(broken)
    with pytest.raises(UserError, match="was not pushed to someone/net") as caught:
        push(folder, NAME)
    assert "\n" not in str(caught.value)
    repository = hub.repositories[NAME]
    assert set(repository.commits[repository.references["main"]]) == {".gitattributes"}
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        pull(NAME, output=tmp_path / "back")
    assert not (tmp_path / "back").exists()
    hub.broken.clear()
    push(folder, NAME)
    assert bytes_of(pull(NAME, output=tmp_path / "back")) == bytes_of(folder)


def test_a_lost_answer_to_the_commit_leaves_a_whole_checkpoint(hub: LocalHub, tmp_path: Path) -> None:
    folder = shareable(tmp_path / "net").directory
    hub.broken.add("answer:/commit/")
    with pytest.raises(UserError, match="was not pushed"):
        push(folder, NAME)
    assert bytes_of(pull(NAME, output=tmp_path / "back")) == bytes_of(folder)


@pytest.mark.parametrize("cut", ["model.safetensors", "config.json", "manifest.json", PEOPLE])
def test_a_pull_cut_half_way_leaves_no_folder(hub: LocalHub, tmp_path: Path, cut: str) -> None:
    folder = shareable(tmp_path / "net").directory
    hub.commit(NAME, bytes_of(folder))
    hub.cut.add(cut)
    with pytest.raises(UserError):
        pull(NAME, output=tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".part", "back"))) == []
    hub.cut.clear()
    assert bytes_of(pull(NAME, output=tmp_path / "back")) == bytes_of(folder)


def test_what_stands_there_stays_until_the_new_one_is_whole(hub: LocalHub, tmp_path: Path) -> None:
    old = bytes_of(shareable(tmp_path / "back", role="ventricles").directory)
    hub.commit(NAME, bytes_of(shareable(tmp_path / "net").directory))
    hub.cut.add("model.safetensors")
    with pytest.raises(UserError):
        pull(NAME, output=tmp_path / "back")
    assert bytes_of(tmp_path / "back") == old
    hub.cut.clear()
    pull(NAME, output=tmp_path / "back")
    assert open_checkpoint(tmp_path / "back").config.role == "slice-classifier"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is no checkpoint"):
        pull(NAME, output=tmp_path / "mine")


def test_files_that_are_not_what_the_manifest_says_are_no_checkpoint(hub: LocalHub, tmp_path: Path) -> None:
    files = bytes_of(shareable(tmp_path / "net").directory)
    hub.commit(NAME, {**files, "metrics.json": files["metrics.json"] + b" "})
    with pytest.raises(UserError, match=r"metrics\.json has \d+ bytes"):
        pull(NAME, output=tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_second_pull_needs_no_hub(hub: LocalHub, tmp_path: Path) -> None:
    files = bytes_of(shareable(tmp_path / "net").directory)
    commit = hub.commit(NAME, files)
    pull(NAME, output=tmp_path / "one")
    asked = len(hub.requests)
    assert bytes_of(pull(NAME, output=tmp_path / "two", local_files_only=True)) == files
    assert len(hub.requests) == asked
    hub.close()
    assert bytes_of(pull(NAME, output=tmp_path / "three", revision=commit)) == files
    with pytest.raises(UserError, match="cannot be fetched"):
        pull("someone/else", output=tmp_path / "four", local_files_only=True)


def test_offline_by_the_clients_own_variable(hub: LocalHub, tmp_path: Path) -> None:
    files = bytes_of(shareable(tmp_path / "net").directory)
    hub.commit(NAME, files)
    command = [sys.executable, "-m", "hemobench.hub", "pull", NAME]
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [*command, "--output", "one"], capture_output=True, encoding="utf-8", env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    asked = len(hub.requests)
    again = subprocess.run(
        command, capture_output=True, encoding="utf-8", env={**env, "HF_HUB_OFFLINE": "1"}, cwd=tmp_path, check=False
    )
    assert (again.returncode, again.stdout) == (0, "checkpoint in net\n"), again.stderr
    assert len(hub.requests) == asked
    assert bytes_of(tmp_path / "net") == files


def spoilt(folder: Path, how: str) -> Path:
    changes: dict[str, Any] = {}
    if how == "no use":
        changes["body"] = "\n# Small\n\n## Limits\n\nAll.\n"
    if how == "empty use":
        changes["body"] = "\n# Small\n\n## Intended use\n\n## Limits\n\nAll.\n"
    if how == "no interval":
        metrics = scores("slice-classifier")
        del metrics["metrics"]["auroc_any"]["ci"]
        changes["metrics"] = metrics
    if how == "no scores":
        changes["metrics"] = {}
    directory = shareable(folder, **changes).directory
    if how == "pickle":
        (directory / "pytorch_model.bin").write_bytes(b"x")
    if how == "stranger":
        (directory / "patients.csv").write_text("x")
    if how == "pickle in the manifest":
        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["files"]["model.pt"] = {"sha256": "0" * 64, "bytes": 1}
        (directory / "manifest.json").write_text(json.dumps(manifest))
    if how == "cut":
        os.truncate(directory / "model.safetensors", 1000)
    if how == "edited card":
        (directory / "README.md").write_text("---\nlicense: mit\n---\n" + BODY)
        refresh_only_hash(directory)
    return directory


def refresh_only_hash(directory: Path) -> None:
    import hashlib

    manifest = json.loads((directory / "manifest.json").read_text())
    content = (directory / "README.md").read_bytes()
    manifest["files"]["README.md"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no use", "does not say its intended use"),
        ("empty use", "does not say its intended use"),
        ("no interval", "auroc_any without interval"),
        ("no scores", "no scores at all"),
        ("pickle", r"holds pytorch_model\.bin, which is a pickle"),
        ("stranger", r"holds patients\.csv, which is no part of the checkpoint"),
        ("pickle in the manifest", r"lists 'model\.pt'"),
        ("cut", r"model\.safetensors has 1000 bytes"),
        ("edited card", "run `hemobench hub card FOLDER`"),
    ],
)
def test_what_nobody_should_be_given_is_refused_before_anything_is_sent(
    hub: LocalHub, tmp_path: Path, how: str, words: str
) -> None:
    folder = spoilt(tmp_path / "net", how)
    with pytest.raises(UserError, match=words) as caught:
        push(folder, NAME)
    assert "\n" not in str(caught.value)
    assert hub.requests == []


def test_a_repository_with_a_pickle_is_refused(hub: LocalHub, tmp_path: Path) -> None:
    hub.commit(NAME, {"pytorch_model.bin": b"x"})
    with pytest.raises(UserError, match="which can run code"):
        push(shareable(tmp_path / "net").directory, NAME)
    assert hub.repositories[NAME].summaries == []


def test_a_card_is_refreshed_and_its_text_stays(hub: LocalHub, tmp_path: Path) -> None:
    folder = spoilt(tmp_path / "net", "edited card")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n## Intended use\n\nWritten by hand.\n")
    refresh_card(folder)
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlicense: apache-2.0\n")
    assert text.endswith("---\n\n## Intended use\n\nWritten by hand.\n")
    push(folder, NAME)
    again = bytes_of(folder)
    refresh_card(folder)
    assert bytes_of(folder) == again
    os.truncate(folder / "model.safetensors", 1000)
    with pytest.raises(UserError, match="is not what"):
        refresh_card(folder)


def test_an_edited_card_is_pushed_and_pulled_with_a_manifest_that_knows_it(hub: LocalHub, tmp_path: Path) -> None:
    folder = shareable(tmp_path / "net", attached={"training.png": b"curve"}).directory
    (folder / "training.png").unlink()
    card = (folder / "README.md").read_bytes() + b"\nContact: the project's page.\n"
    # As an editor on Windows leaves it.
    (folder / "README.md").write_bytes(card.replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match="run `hemobench hub card FOLDER`"):
        push(folder, NAME)
    (folder / ".git").mkdir()
    (folder / ".gitattributes").write_text("* text=auto\n")
    refresh_card(folder)
    assert (folder / ".git").is_dir()
    push(folder, NAME)
    repository = hub.repositories[NAME]
    files = repository.commits[repository.references["main"]]
    assert files["README.md"] == card
    assert files[".gitattributes"] == b"* -text\n*.safetensors filter=lfs\n"
    listed = json.loads(files["manifest.json"])["files"]
    assert listed["README.md"]["bytes"] == len(card)
    assert "training.png" not in listed
    edited = card + b"Edited on the page.\n"
    hub.commit(NAME, {**files, "README.md": edited})
    back = pull(NAME, output=tmp_path / "back")
    assert (back / "README.md").read_bytes() == edited
    assert json.loads((back / "manifest.json").read_text())["files"]["README.md"]["bytes"] == len(edited)
    (folder / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md cannot be read"):
        push(folder, NAME)


def test_people_travel_with_the_checkpoint(hub: LocalHub, tmp_path: Path) -> None:
    people = People(("0123456789abcdef",), ("fedcba9876543210",), ("ct-ich",))
    push(shareable(tmp_path / "net", people=people).directory, NAME)
    assert open_checkpoint(NAME).people == people
    assert open_checkpoint(pull(NAME, output=tmp_path / "back")).people == people


@pytest.mark.parametrize("name", ["net", "a/b/c", "some one/net", "../net"])
def test_names_that_are_none_are_one_line(name: str, tmp_path: Path) -> None:
    for act in (lambda: push(tmp_path, name), lambda: pull(name, output=tmp_path / "x")):
        with pytest.raises(UserError, match="expected user/name"):
            act()
