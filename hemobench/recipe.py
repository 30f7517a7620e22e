"""`python -m hemobench.recipe` is `hemobench recipe`; the command itself is in hemobench.cli.recipe."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.recipe", prog_name="python -m hemobench.recipe")
