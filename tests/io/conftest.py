from __future__ import annotations

import sys
from pathlib import Path

# The tests of this folder and the process that reads mutated files share modules.
sys.path.insert(0, str(Path(__file__).parent))
