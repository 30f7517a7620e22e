"""`python -m hemobench.demo` is `hemobench demo`; the command itself is in hemobench.cli.demo."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.demo", prog_name="python -m hemobench.demo")
