"""What pyproject.toml cannot say: a wheel carries the default networks and the page, in the repository's own layout.

`checkpoints/` and `demo/` keep their places at the top of the repository, so each network's weights are stored once;
`build_py` copies them into `hemobench/_shipped/`, where `hemobench.inference.places` looks first. `demo` is no package
of its own in site-packages, where a name so common belongs to nobody; `hemobench demo` starts it from there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CHECKPOINTS = ("slice-classifier", "bleed", "ventricles", "ventricles-ct")  # hemobench.inference.shipped.SHIPPED
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


class BuildWithShipped(build_py):
    """Copies what is shipped beside the modules; an editable installation finds it in the clone."""

    def run(self) -> None:
        """Build the modules, then what they ship."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        place = Path(self.build_lib) / "hemobench" / "_shipped"
        shutil.rmtree(place, ignore_errors=True)
        for name in CHECKPOINTS:
            shutil.copytree(ROOT / "checkpoints" / name, place / "checkpoints" / name)
        shutil.copytree(ROOT / "demo", place / "demo", ignore=_LEFT_OUT)
        for name in ("CITATION.cff", "LICENSE"):
            shutil.copy2(ROOT / name, place / name)


if __name__ == "__main__":  # which is what a build calls it
    setup(cmdclass={"build_py": BuildWithShipped})
