from __future__ import annotations

import sys
from pathlib import Path

# Tests of this folder share hand_made.py and scans.py, and write DICOM as those of io do.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "io")]
