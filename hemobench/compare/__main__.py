"""`python -m hemobench.compare` is `hemobench compare`; the command itself is in hemobench.cli.compare."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.compare", prog_name="python -m hemobench.compare")
