from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shareable import shareable

from hemobench.cli.hub import app
from hemobench.cli.run import run_app

from ..local_hub import LocalHub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.point_client_at(monkeypatch, tmp_path / "hub-cache")
        monkeypatch.chdir(tmp_path)
        yield server


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="python -m hemobench.hub", args=arguments)
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


def test_card_push_pull_and_zoo(hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shareable(tmp_path / "checkpoints" / "net").directory
    card = folder / "README.md"
    card.write_text(card.read_text().replace("Tests.", "Tests alone."))
    code, out, _ = call(capsys, "push", "checkpoints/net", "someone/net")
    assert (code, out) == (2, "")  # the manifest vouches for another card
    assert call(capsys, "card", "checkpoints/net")[0] == 0
    code, out, _ = call(capsys, "push", "checkpoints/net", "someone/net", "--private", "--revision", "trial")
    commit = hub.repositories["someone/net"].references["trial"]
    assert code == 0
    assert out.splitlines()[0] == f"pushed to someone/net, commit {commit}"
    assert call(capsys, "pull", "someone/net@trial")[:2] == (0, "checkpoint in net\n")
    assert call(capsys, "pull", f"someone/net@{commit}", "--output", "again", "--offline")[0] == 0
    assert "Tests alone." in (tmp_path / "again" / "README.md").read_text()
    assert call(capsys, "zoo", "checkpoints", "--output", "zoo.md")[0] == 0
    assert (tmp_path / "zoo.md").read_text().startswith("# Model zoo\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("push", "nowhere", "someone/net"), "no checkpoint folder nowhere"),
        (("push", "nowhere", "net"), "expected user/name"),
        (("pull", "someone/net@v9"), "cannot be fetched"),
        (("card", "nowhere"), "cannot be read"),
        (("zoo", "nowhere"), "no checkpoint in nowhere"),
        (("steal", "someone/net"), "No such command 'steal'"),
    ],
)
def test_mistakes_are_one_line(
    hub: LocalHub, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err.strip().splitlines()[-1]
