"""Networks from the Hub by the real client, pinned; the shipped ones, with a word, where the Hub does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.weights import SHIPPED_ID, WeightSet, WeightShelf, described, in_words, shelf_from_environment
from hemobench.errors import UserError
from hemobench.inference.report import ModelUsed
from hemobench.inference.shipped import ENVIRONMENT, shipped_folder

from ..local_hub import LocalHub

NAME = "someone/slices"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.point_client_at(monkeypatch, tmp_path / "hub-cache")
        yield server


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def configured(monkeypatch: pytest.MonkeyPatch, text: str) -> WeightShelf:
    monkeypatch.setenv(ENVIRONMENT, text)
    return shelf_from_environment()


def test_without_a_word_the_shipped_networks_are_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    shelf = shelf_from_environment()
    assert [one.identity for one in shelf.sets] == [SHIPPED_ID]
    opened = shelf.open()
    roles = {one.config.role for one in opened.checkpoints}
    assert roles == {"slice-classifier", "haemorrhage", "ventricles", "ventricles-ct"}
    assert opened.remarks == ()


def test_a_set_comes_from_the_hub_at_the_revision_it_is_pinned_to(
    hub: LocalHub, hand_made: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = hub.commit(NAME, files_of(hand_made[0]), tag="v1")
    hub.commit(NAME, files_of(hand_made[2]))
    shelf = configured(monkeypatch, f"{NAME}@v1; {NAME}")
    assert [one.identity for one in shelf.sets] == [f"{NAME}@v1", NAME, SHIPPED_ID]
    assert shelf.default == f"{NAME}@v1"
    (pinned,) = described(shelf.open().checkpoints)
    assert (pinned["name"], pinned["revision"], pinned["role"]) == (NAME, old, "slice-classifier")
    (newest,) = described(shelf.open(NAME).checkpoints)
    assert newest["role"] == "ventricles"


def test_the_shipped_networks_stand_in_for_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    shelf = configured(monkeypatch, "nobody/away@v1")
    opened = shelf.open()
    assert opened.identity == SHIPPED_ID
    assert len(opened.checkpoints) == 4
    assert opened.remarks == (
        "nobody/away@v1 could not be fetched from the Hub, so the shipped networks were used instead",
    )


def test_the_hub_is_not_asked_by_every_visitor_while_it_is_away(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = configured(monkeypatch, "nobody/nothing")
    assert shelf.open().remarks
    asked = len(hub.requests)
    assert asked > 0
    assert shelf.open().remarks
    assert len(hub.requests) == asked


def test_a_folder_is_shown_by_its_own_name_alone(
    hand_made: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = configured(monkeypatch, f"{hand_made[0]},{hand_made[1]};{tmp_path / 'missing'}")
    assert shelf.choices()[0] == ("slices, blood", "set-1")
    assert {one.config.role for one in shelf.open("set-1").checkpoints} == {"slice-classifier", "haemorrhage"}
    (remark,) = shelf.open(shelf.sets[1].identity).remarks
    assert "could not be opened" in remark


def test_only_configured_sets_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = configured(monkeypatch, "")
    for given in ("someone/else", str(shipped_folder() / "bleed"), "../checkpoints"):
        with pytest.raises(UserError, match="unknown checkpoint"):
            shelf.open(given)


def test_a_shelf_needs_a_set() -> None:
    with pytest.raises(UserError, match="no checkpoint configured"):
        WeightShelf([])
    only = WeightShelf([WeightSet("one", "One", ("nobody-has-this",))])
    with pytest.raises(UserError, match=r"^One could not be opened; expected networks") as caught:
        only.open()
    assert "neither a folder nor a Hub id" in str(caught.value.__cause__)  # for the owner, and not for visitors


def test_what_ran_is_said_with_revision_and_hash() -> None:
    used = [ModelUsed("haemorrhage", "a/b", "0123456789abcdef", "feedfacecafe", "torch")]
    used.append(ModelUsed("ventricles", "mri", None, "c0ffee00c0ffee", "torch"))
    assert in_words(used) == "a/b @ 01234567 (sha256 feedface), mri (sha256 c0ffee00)"
