"""`python -m hemobench.train` is `hemobench train`; the command itself is in hemobench.cli.train."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.train", prog_name="python -m hemobench.train")
