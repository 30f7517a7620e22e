"""Runs a command the way the project promises: a user's mistake is one line and exit code 2, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import typer

from hemobench.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_app(app: typer.Typer, *, prog_name: str | None = None, args: Sequence[str] | None = None) -> NoReturn:
    """Run a Typer app on `args` (default: the command line's) and leave with its exit code.

    UserError, wrong options and files that cannot be read or written give one line "hemobench: ..." on stderr and exit
    code 2; Ctrl-C gives one line and 130. Anything else is a defect of ours and shows its traceback.
    """
    try:
        code = _invoke(app, prog_name, args)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except UserError as error:
        code = _complain(str(error))
    except BrokenPipeError:
        # The reader of our output (`head`, a pager) has left; that is its right.
        code = 1
    except OSError as error:
        if error.filename is None:
            raise
        code = _complain(f"{error.filename}: {error.strerror}; expected a file or folder in order; check its rights")
    if code == EXIT_INTERRUPTED:
        print("hemobench: interrupted", file=sys.stderr)
    sys.exit(code)


def run_command(module: str, *, prog_name: str, args: Sequence[str] | None = None) -> NoReturn:
    """Import `module` and run its `app`: an interrupt while a heavy module loads is one line, too."""
    try:
        app = import_module(module).app
    except KeyboardInterrupt:
        print("hemobench: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    run_app(app, prog_name=prog_name, args=args)


def _invoke(app: typer.Typer, prog_name: str | None, args: Sequence[str] | None) -> int:
    """Exit code of the app; usage errors are reported here, other errors are raised."""
    command = typer.main.get_command(app)
    try:
        # Without standalone mode Typer raises or returns instead of printing boxes and leaving.
        result: Any = command.main(
            args=None if args is None else list(args), prog_name=prog_name, standalone_mode=False
        )
    except typer.Abort:
        return EXIT_INTERRUPTED
    except Exception as error:
        # Typer's usage errors: of click's class or of its own copy of it, by version.
        format_message = getattr(error, "format_message", None)
        if not callable(format_message):
            raise
        return _complain(f"{str(format_message()).rstrip('.')}; see {_command_path(error, prog_name)} --help")
    return result if isinstance(result, int) else 0


def _command_path(error: Exception, prog_name: str | None) -> str:
    context = getattr(error, "ctx", None)
    return str(getattr(context, "command_path", None) or prog_name or "hemobench")


def _complain(message: str) -> int:
    print("hemobench:", " ".join(message.split()), file=sys.stderr)
    return EXIT_USER_ERROR


def say_new_spelling(old: str, new: str) -> None:
    """On stderr, how a command is spelt now that was run in its old way, which works for this release."""
    typer.echo(
        f"hemobench: `{old}` is now `hemobench {new}`, its other options as before; the old spelling works until 0.2",
        err=True,
    )
