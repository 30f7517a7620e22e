"""What is said in one file and needed in another stays the same in both."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_requirements_are_the_core_of_the_package_its_fast_engine_and_the_demo() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and line[0] != "#"}
    needs = requires("hemobench") or ()
    core = {need for need in needs if "extra ==" not in need}
    extras = {need.partition(";")[0] for need in needs if re.search(r"extra == ['\"](fast|demo)['\"]", need)}
    assert len(extras) == 2
    assert {_normal(need) for need in listed} == {_normal(need) for need in core | extras}


def _normal(need: str) -> str:
    """A requirement with its bounds in one order: metadata may sort them."""
    name, bounds = re.fullmatch(r"([\w.\[\]-]+)(.*)", need.replace(" ", "")).groups()  # type: ignore[union-attr]
    return f"{name}{','.join(sorted(bounds.split(',')))}"


def test_the_readme_has_the_front_matter_a_space_reads() -> None:
    _, front, text = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["sdk"] == "gradio"
    assert fields["app_file"] == "app.py"
    assert (ROOT / "app.py").is_file()
    assert fields["startup_duration_timeout"]
    # What is developed with; the Space installs exactly this one.
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lowest = re.search(r"gradio\[mcp\]>=([\d.]+)", lines)
    assert lowest is not None
    assert str(fields["sdk_version"]).startswith(lowest[1])
    assert fields["license"] == "apache-2.0"
    assert len(fields["short_description"]) <= 60  # longer ones are cut on the Hub
    assert str(fields["python_version"]) in ("3.10", "3.11", "3.12", "3.13")
    assert text.strip()


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    command = 'pip install -e ".[test]" && python -m pytest'
    assert re.search(rf"^{re.escape(command)}$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert "python -m pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
