"""`hemobench COMMAND ...`: finds the command and loads that one alone."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import NoReturn

from hemobench import __version__
from hemobench.cli.run import EXIT_USER_ERROR, run_command
from hemobench.errors import unknown_name

COMMANDS = MappingProxyType(
    {
        "compare": "train and rank a suite of models",
        "train": "train one model",
        "recipe": "make a checkpoint by a recipe: trained, calibrated, measured, with its card",
        "predict": "analyse scans: report, mask and overview picture of each",
        "sheet": "cases of a data set on one page, beside their labels",
        "evaluate": "measure a checkpoint on a data set",
        "data": "list and check data sets, build phantoms",
        "hub": "share checkpoints through the Hugging Face Hub",
        "demo": "serve the page in a browser",
    }
)


def main() -> NoReturn:
    """Entry of the `hemobench` script and of `python -m hemobench`."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        print(_usage())
        sys.exit(0)
    if name == "--version":
        print(f"hemobench {__version__}")
        sys.exit(0)
    if name not in COMMANDS:
        print(f"hemobench: {unknown_name('command', name, COMMANDS)}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    run_command(f"hemobench.cli.{name}", prog_name=f"hemobench {name}", args=sys.argv[2:])


def _usage() -> str:
    lines = [f"  {name:<9} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        (
            "usage: hemobench COMMAND [OPTIONS], and hemobench COMMAND --help",
            "Intracranial haemorrhage on head CT. Research use only, never a diagnosis.",
            *lines,
        )
    )


if __name__ == "__main__":
    main()
