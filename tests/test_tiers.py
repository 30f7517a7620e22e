"""The tiers of the tests are what CONTRIBUTING.md says, and a skip that is on no list fails where CI runs them."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_TEST = 'import pytest\n\n\ndef test_it() -> None:\n    pytest.skip("{reason}")\n'


def run(place: Path, reason: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A run of one test that skips itself, under the project's conftest.py."""
    shutil.copy2(ROOT / "conftest.py", place / "conftest.py")
    (place / "test_skipped.py").write_text(_TEST.format(reason=reason), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEMOBENCH_CI", "PYTEST_"))}
    return subprocess.run(
        [*command, *options], cwd=place, env={**kept, **variables}, capture_output=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "1")])
def test_an_unlisted_skip_fails_ci_and_nobody_else(tmp_path: Path, options: tuple[str, ...]) -> None:
    strict = run(tmp_path, "no such thing", *options, HEMOBENCH_CI="1")
    assert strict.returncode == 1
    assert re.search(r"SKIPPED without being listed in conftest\.py: \S+test_it: no such thing", strict.stdout)
    assert run(tmp_path, "no such thing", *options).returncode == 0


def test_a_listed_skip_passes(tmp_path: Path) -> None:
    assert run(tmp_path, "the GE head CT is not here", "-n", "0", HEMOBENCH_CI="1").returncode == 0
    chromium = "no chromium on this machine; install it"
    assert run(tmp_path, chromium, "-n", "0", HEMOBENCH_CI="1").returncode == 1
    assert run(tmp_path, chromium, "-n", "0", HEMOBENCH_CI="1", HEMOBENCH_CI_NO_CHROMIUM="1").returncode == 0


def test_ci_sets_what_the_tiers_need() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "export HEMOBENCH_CI=1" in script
    assert "-n 2 --dist worksteal" in script
    assert '"-n"' not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_fast_collects_its_folders_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-m", "fast", "--collect-only"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    files = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    wanted = runpy.run_path(str(ROOT / "conftest.py"))["FAST"]
    assert [one for one in wanted if not (ROOT / one).exists()] == []
    assert [one for one in wanted if not any(file == one or file.startswith(f"{one}/") for file in files)] == []
    assert [file for file in files if not file.startswith(wanted)] == []
