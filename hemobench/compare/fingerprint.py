"""What a leaderboard was made of, as a hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from hemobench.compare.suites import Suite


def suite_fingerprint(suite: Suite) -> str:
    """A hash of all that a suite asks for, which another wording of its file leaves as it is."""
    text = json.dumps([suite.name, suite.seeds, [asdict(board) for board in suite.boards]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
