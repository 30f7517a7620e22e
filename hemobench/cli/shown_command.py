"""Commands as a page may show them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# An absolute path, or one from the home folder, at the start of a word or behind "NAME=" and "KIND:".
_PATH = re.compile(r"(^|[=:])((?:~|/|[A-Za-z]:[\\/])[^,]*)")


def told(words: Sequence[str]) -> str:
    """A command line whose absolute paths are cut to their last part: the rest says whose machine it was.

    >>> told(["compare", "--data", "ct-ich:/home/me/ct-ich", "--entry", "A=predictions:/x/answers", "user/name"])
    'compare --data ct-ich:ct-ich --entry A=predictions:answers user/name'
    """
    return shlex.join(
        _PATH.sub(lambda found: found[1] + re.split(r"[\\/]", found[2].rstrip("\\/"))[-1], word) for word in words
    )
