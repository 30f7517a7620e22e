"""`python -m hemobench.evaluate` is `hemobench evaluate`; the command itself is in hemobench.cli.evaluate.

The module can be called: `hemobench.evaluate(...)` measures a checkpoint, as `hemobench.api.evaluate` says.
"""

from __future__ import annotations

import sys

from hemobench import CallableModule
from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.evaluate", prog_name="python -m hemobench.evaluate")
sys.modules[__name__].__class__ = CallableModule
