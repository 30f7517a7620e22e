from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pytest
import typer

import hemobench
from hemobench.__main__ import COMMANDS, main


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["hemobench", *args])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",), ("help",)])
def test_usage_lists_the_commands(
    args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(monkeypatch, capsys, *args)
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, capsys, "--version") == (0, f"hemobench {hemobench.__version__}\n", "")


def test_unknown_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(monkeypatch, capsys, "comprae", "quick")
    assert (code, out) == (2, "")
    known = ", ".join(sorted(COMMANDS))
    assert err == f"hemobench: unknown command 'comprae'; known: {known}; did you mean 'compare'?\n"


def test_arguments_go_to_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(monkeypatch, capsys, "data", "check", "nothing")
    assert code == 2
    assert "unknown data set 'nothing'" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_app_and_an_entry_of_its_own(name: str) -> None:
    assert isinstance(import_module(f"hemobench.cli.{name}").app, typer.Typer)
    # `python -m hemobench.X` runs a module, or the __main__ of a package.
    spec = find_spec(f"hemobench.{name}")
    assert spec is not None
    assert spec.submodule_search_locations is None or find_spec(f"hemobench.{name}.__main__") is not None
