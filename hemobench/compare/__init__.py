"""Comparing models: suites of boards, the runner that trains them, the leaderboard, its figures and its report.

The package can be called: `hemobench.compare("quick")` ranks a suite, as `hemobench.api.compare` says.
"""

from __future__ import annotations

import sys

from hemobench import CallableModule

sys.modules[__name__].__class__ = CallableModule  # `hemobench.compare(...)` is `hemobench.api.compare(...)`
