"""`python -m hemobench.hub` is `hemobench hub`; the command itself is in hemobench.cli.hub."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.hub", prog_name="python -m hemobench.hub")
