"""Lines for the user about a scan, each with how much it takes from the answer."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Grade(IntEnum):
    """How grave a remark is: NOTE takes nothing from the answer, MENDED tells of something odd that was put right, with
    DOUBT the answer may be wrong, with PART some of what was given was not looked at, UNLIKE says that it is no head.
    """

    NOTE = 1
    MENDED = 2
    DOUBT = 3
    PART = 4
    UNLIKE = 5


class Remark(str):
    """One line, which holds nothing of a patient header, and its grade. A plain string counts as a doubt.

    >>> line = Remark("2 slices missing", Grade.PART)
    >>> line, line.grade.name
    ('2 slices missing', 'PART')
    """

    __slots__ = ("grade",)
    grade: Grade

    def __new__(cls, text: str, grade: Grade = Grade.DOUBT) -> Remark:
        line = super().__new__(cls, text)
        line.grade = grade
        return line


def note(text: str) -> Remark:
    """A remark that takes nothing from the answer."""
    return Remark(text, Grade.NOTE)


def mended(text: str) -> Remark:
    """A remark on something odd that was put right."""
    return Remark(text, Grade.MENDED)


def part(text: str) -> Remark:
    """A remark on something that was given and not looked at."""
    return Remark(text, Grade.PART)


def unlike(text: str) -> Remark:
    """A remark on something that is not what the answer is about."""
    return Remark(text, Grade.UNLIKE)


def grade_of(line: str) -> Grade:
    """The grade of a remark, that of a doubt for a plain string."""
    return line.grade if isinstance(line, Remark) else Grade.DOUBT


def by_gravity(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines once each, the gravest first and else in their order.

    >>> by_gravity([note("first"), "second", part("third"), "second"])
    ('third', 'second', 'first')
    """
    return tuple(sorted(dict.fromkeys(lines), key=lambda line: -grade_of(line)))
