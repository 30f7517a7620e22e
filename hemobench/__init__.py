"""hemobench: intracranial haemorrhage on head CT, trained, measured and compared. Research use only."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "analyse"]


def __getattr__(name: str) -> Any:
    # On first use: `import hemobench` itself loads nothing, so that light commands start at once.
    if name == "analyse":
        from hemobench.inference.study import analyse

        return analyse
    raise AttributeError(f"module 'hemobench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), "analyse"])
