"""Tiers of the tests, and which of them may be left out where: see CONTRIBUTING.md."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
# Whose tests take milliseconds each and load little: what `-m fast` collects, and nothing besides. Measured times stand
# in CONTRIBUTING.md.
FAST = (
    "tests/metrics",
    "tests/stats",
    "tests/views",
    "tests/io/test_archive.py",
    "tests/io/test_arrays.py",
    "tests/io/test_atomic.py",
    "tests/io/test_masks.py",
    "tests/io/test_nifti.py",
    "tests/io/test_nifti_geometry.py",
    "tests/io/test_pictures.py",
    "tests/io/test_reading.py",
    "tests/test_augment.py",
    "tests/test_case.py",
    "tests/test_floors.py",
    "tests/test_house.py",
    "tests/test_labels.py",
    "tests/test_losses.py",
    "tests/test_packaging.py",
    "tests/test_volume.py",
    "tests/test_weighting.py",
)
BROWSER = "tests/browser"
# Set by .ci/run: a skip whose reason none of these lines knows then fails the run.
STRICT = "HEMOBENCH_CI"
ALLOWED_SKIPS = {
    r"GE (head CT|series)|no real head CT": "a real series that may not be passed on; it lies beside some checkouts",
    r"CT-ICH( copy)? (is not|lies) beside": "CT-ICH must be asked for at PhysioNet",
    r"no label maps in": "SynthSeg's label maps, 100 MB, lie beside some checkouts",
    r"no pdflatex": "a TeX installation is 300 MB; the table is compared as text everywhere",
    r"auto is torch where there is a GPU": "machines with a GPU choose another engine",
    r"no git clone|without its history": "an unpacked archive has no history to look at",
}
if os.environ.get("HEMOBENCH_CI_NO_CHROMIUM"):
    ALLOWED_SKIPS[r"no chromium on this machine"] = ".ci/run could not install one, and says so"
_skipped: dict[str, str] = {}
# Workers share the cores, and an OpenMP thread that waits by spinning takes the core that the other one waits for: four
# steps of a small network took 11 s instead of 0.3 s. Set before torch is loaded, and what tests start inherits it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _is_fast_only(config: pytest.Config) -> bool:
    return str(config.getoption("markexpr", "")).strip() == "fast"


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""


def _below(place: str, folders: tuple[str, ...]) -> bool:
    return any(place == one or place.startswith(f"{one}/") for one in folders)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m fast`, leave alone what is not fast: importing all modules would take longer than these tests do."""
    place = _place(collection_path)
    if not _is_fast_only(config) or not place:
        return None
    leads_there = any(one.startswith(f"{place}/") for one in FAST)
    return None if leads_there or _below(place, FAST) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is fast and what needs a browser, by where it lies."""
    for item in items:
        place = _place(item.path)
        if _below(place, (BROWSER,)):
            item.add_marker(pytest.mark.browser)
        elif _below(place, FAST) and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each skip and its reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped[report.nodeid] = _reason(report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """The same of whole modules."""
    if report.skipped:
        _skipped[report.nodeid] = _reason(report.longrepr)


def _reason(told: object) -> str:
    return str(told[2] if isinstance(told, tuple) else told).removeprefix("Skipped: ")


def unlisted(skipped: dict[str, str]) -> dict[str, str]:
    """Those of the skips that no line of ALLOWED_SKIPS explains."""
    return {
        test: reason
        for test, reason in skipped.items()
        if not any(re.search(pattern, reason) for pattern in ALLOWED_SKIPS)
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where a test was left out for a reason that is on no list."""
    if os.environ.get(STRICT) and unlisted(_skipped) and session.exitstatus in (0, pytest.ExitCode.OK):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which."""
    if os.environ.get(STRICT):
        for test, reason in unlisted(_skipped).items():
            terminalreporter.write_line(f"SKIPPED without being listed in conftest.py: {test}: {reason}", red=True)
