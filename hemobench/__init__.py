"""hemobench: intracranial haemorrhage on head CT, trained, measured and compared. Research use only."""

from __future__ import annotations

__version__ = "0.1.0"
