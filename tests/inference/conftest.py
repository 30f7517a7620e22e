from __future__ import annotations

import sys
from pathlib import Path

# Tests of this folder share hand_made.py and scans.py, write DICOM as those of io do, and take heads of metrics' tests.
sys.path[:0] = [str(Path(__file__).parent), *(str(Path(__file__).parents[1] / name) for name in ("io", "metrics"))]
