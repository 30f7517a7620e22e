"""`python -m hemobench.data` is `hemobench data`; the command itself is in hemobench.cli.data."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.data", prog_name="python -m hemobench.data")
