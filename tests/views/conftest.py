from __future__ import annotations

import sys
from pathlib import Path

# Sliding windows are tested with the hand-made checkpoints of the inference tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))
