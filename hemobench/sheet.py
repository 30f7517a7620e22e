"""`python -m hemobench.sheet` is `hemobench sheet`; the command itself is in hemobench.cli.sheet."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.sheet", prog_name="python -m hemobench.sheet")
