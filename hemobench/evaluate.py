"""`python -m hemobench.evaluate` is `hemobench evaluate`; the command itself is in hemobench.cli.evaluate."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.evaluate", prog_name="python -m hemobench.evaluate")
