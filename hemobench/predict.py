"""`python -m hemobench.predict` is `hemobench predict`; the command itself is in hemobench.cli.predict."""

from __future__ import annotations

from hemobench.cli.run import run_command

if __name__ == "__main__":
    run_command("hemobench.cli.predict", prog_name="python -m hemobench.predict")
