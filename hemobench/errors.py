"""The errors that hemobench raises on purpose: a single line with what came, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HemobenchError(Exception):
    """Base of every error that hemobench raises on purpose: `except hemobench.HemobenchError` catches all of them.

    Anything else that escapes is a defect of ours.
    """


class UserError(HemobenchError, ValueError):
    """A mistake in what the user gave. Commands print its one line and exit with code 2, without a traceback.

    It is a `ValueError` too, so that code that knows nothing of hemobench handles a wrong value as it always does.
    Where our own code takes a library's `ValueError` for a damaged file, `except UserError: raise` stands before it.
    """


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UserError:
    """Error for a name that no registry holds: lists the names there are and the nearest one.

    >>> str(unknown_name("suite", "quik", ["quick", "weights"]))
    "unknown suite 'quik'; known: quick, weights; did you mean 'quick'?"
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(given, names, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "; use one of these names"
    return UserError(f"unknown {kind} '{given}'; known: {', '.join(names)}{hint}")
