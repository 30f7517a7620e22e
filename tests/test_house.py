"""The style and type checks that the project is built under hold on the committed code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "hemobench").rglob("*.py"), *(ROOT / "demo").rglob("*.py"), *ROOT.glob("*.py")])
MOST_LINES = 400
MOST_FUNCTION_LINES = 70


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


def test_ruff_finds_nothing() -> None:
    result = run("ruff", "check", "--no-cache", ".")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_mypy_finds_nothing() -> None:
    result = run("mypy")
    assert result.returncode == 0, result.stdout + result.stderr


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines below the signature and the docstring: a command with many documented options is not long for them."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    assert body[-1].end_lineno is not None
    return body[-1].end_lineno - body[0].lineno + 1


def test_the_code_is_as_ruff_formats_it() -> None:
    result = run("ruff", "format", "--check", "--no-cache", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_modules_and_their_functions_are_short() -> None:
    long = []
    for path in MODULES:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        count = len(text.splitlines())
        long += [f"{name}: {count} lines"] if count > MOST_LINES else []
        long += [
            f"{name}: {node.name}, {body_lines(node)} lines"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > MOST_FUNCTION_LINES
        ]
    assert long == []


def test_modules_say_what_they_are() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_light_commands_do_not_load_torch() -> None:
    code = "import sys, hemobench.cli.data, hemobench.__main__; print('torch' in sys.modules, 'monai' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.split() == ["False", "False"]
