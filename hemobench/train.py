"""`python -m hemobench.train` is `hemobench train`; the command itself is in hemobench.cli.train.

The module can be called: `hemobench.train(...)` trains one network, as `hemobench.api.train` says.
"""

from __future__ import annotations

import sys

from hemobench import CallableModule
from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.train", prog_name="python -m hemobench.train")
sys.modules[__name__].__class__ = CallableModule
