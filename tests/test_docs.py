"""One command makes the API page, with every public name and its words on it."""

from __future__ import annotations

import ast
import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hemobench.api

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_api_page_is_built(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="the API page needs pdoc")
    (listed,) = re.findall(r"^API = (.+)$", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "--output-directory", str(tmp_path)]
    done = subprocess.run(
        [*command, *ast.literal_eval(listed)], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "hemobench" / "api.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<section id="(\w+)"', page))
    assert set(hemobench.api.__all__) <= anchors
    words = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "Measure a checkpoint, or another tool's predictions, on a data set, with intervals by patient." in words
    assert "Returns" in words
