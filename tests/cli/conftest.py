from __future__ import annotations

import sys
from pathlib import Path

# The commands are tested with the hand-made checkpoints and DICOM files of other folders' tests.
for folder in ("inference", "io", "hub", "cli"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))
