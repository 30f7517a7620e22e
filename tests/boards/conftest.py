from __future__ import annotations

import sys
from pathlib import Path

# Boards are tested with the hand-made checkpoints and the small heads of other folders' tests, and with their own.
for folder in ("inference", "predictions", "boards"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))
