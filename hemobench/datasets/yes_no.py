"""What people write for yes and no in a column of labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hemobench.datasets.tables import whole

_YES = (
    "1",
    "true",
    "yes",
    "y",
    "t",
    "positive",
    "ja",
    "j",
    "wahr",
    "oui",
    "vrai",
    "si",
    "s\u00ed",
    "s\u00ec",
    "s",
    "verdadero",
    "vero",
)
_NO = ("0", "false", "no", "n", "f", "negative", "nein", "falsch", "non", "faux", "falso")
# A lone "o" is French for yes, and somebody's zero: it is left to the user.
_CROSS = "x"


def yes_or_no(text: str, *, crossed: bool = False) -> int | None:
    """1 or 0 for a word or a number, None for anything else; `crossed` columns hold an x or nothing.

    >>> [yes_or_no(text) for text in ("1,0", "FALSCH", "ja", "x", "", "2")]
    [1, 0, 1, None, None, None]
    >>> [yes_or_no(text, crossed=True) for text in ("x", " ")]
    [1, 0]
    """
    plain = whole(text).lower()
    if crossed:
        return int(plain == _CROSS)
    return 1 if plain in _YES else 0 if plain in _NO else None


def crossed_columns(rows: Iterable[Sequence[str]], count: int) -> tuple[bool, ...]:
    """Which of `count` columns hold crosses and blanks alone; a blank column does so where another has crosses."""
    possible, with_cross = set(range(count)), False
    for row in rows:
        for column in tuple(possible):
            plain = row[column].strip().lower()
            if plain not in ("", _CROSS):
                possible.discard(column)
        if not possible:
            break
        with_cross = with_cross or any(row[column].strip() for column in possible)
    return tuple(with_cross and column in possible for column in range(count))
