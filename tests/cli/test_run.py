"""The promise of every command: a mistake is one line and exit code 2, an interrupt one line and 130."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import pytest
import typer

from hemobench.cli.run import run_app, run_command
from hemobench.errors import UserError

app = typer.Typer()


@app.command()
def work(kind: str, number: Annotated[int, typer.Option(min=1)] = 1) -> None:
    if kind == "mistake":
        raise UserError("came this;\nexpected that; do so")
    if kind == "missing file":
        Path("no-such-file.txt").read_text()
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "abort":
        raise typer.Abort
    if kind == "leave":
        raise typer.Exit(number)
    if kind == "defect":
        raise ZeroDivisionError("ours")
    if kind == "reader left":
        raise BrokenPipeError
    print(f"did {kind}")


def outcome(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_app(app, prog_name="hemobench work", args=args)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_success_is_zero_and_silent_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome("well") == 0
    assert capsys.readouterr() == ("did well\n", "")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["mistake"], "hemobench: came this; expected that; do so\n"),
        (
            ["missing file"],
            "hemobench: no-such-file.txt: No such file or directory; "
            "expected a file or folder in order; check its rights\n",
        ),
        ([], None),
        (["well", "--numbr", "3"], None),
        (["well", "--number", "three"], None),
        (["well", "--number", "0"], None),
        (["well", "more"], None),
    ],
)
def test_mistakes_are_one_line_and_two(args: list[str], line: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hemobench: ")
    assert err.count("\n") == 1
    if line is None:
        assert err.endswith("; see hemobench work --help\n")
    else:
        assert err == line


@pytest.mark.parametrize("kind", ["interrupt", "abort"])
def test_interrupts_are_one_line_and_130(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(kind) == 130
    assert capsys.readouterr().err.strip() == "hemobench: interrupted"


def test_exit_codes_pass_through() -> None:
    assert outcome("leave", "--number", "3") == 3
    assert outcome("reader left") == 1


def test_defects_of_ours_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_app(app, args=["defect"])


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome("--help") == 0
    assert "--number" in capsys.readouterr().out


def test_command_module_is_loaded_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command("hemobench.cli.data", prog_name="hemobench data", args=["list"])
    assert caught.value.code == 0
    assert "ct-ich\t" in capsys.readouterr().out


def test_a_real_interrupt_ends_in_one_line(tmp_path: Path) -> None:
    """Ctrl-C sends SIGINT; no traceback may follow."""
    script = tmp_path / "slow.py"
    script.write_text(
        "import time, typer\nfrom hemobench.cli.run import run_app\napp = typer.Typer()\n"
        "@app.command()\ndef wait():\n    print('started', flush=True)\n    time.sleep(60)\nrun_app(app)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "hemobench: interrupted"
