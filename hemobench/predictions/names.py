"""Which case a file or a row of a table is about, by its name: the study's id or the patient's, with tools' endings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hemobench.case import Case
from hemobench.datasets.nifti_pairs import printable
from hemobench.errors import UserError

FILE_ENDINGS = (".nii.gz", ".nii", ".dcm", ".mgz", ".npz", ".zip", ".png", ".jpg", ".jpeg")
# What tools put behind a case's name: nnU-Net's channel, and words for a mask, a prediction or the image itself.
_ADDED = re.compile(
    r"[ ._-]+(0000|seg|segs|segm|segmentation|segmentations|mask|masks|pred|preds|prediction|predictions|label|labels|"
    r"labelmap|out|output|result|blood|haemorrhage|hemorrhage|ich|image|img|ct|scan)$",
    re.IGNORECASE,
)
_SHOWN = 5


class CaseNames:
    """Finds cases by names. A study's own id comes before a patient's, the name as it stands before a shorter one.

    left_out: cases that are known by name and not asked for; their places follow those of `cases`.
    """

    def __init__(self, cases: Sequence[Case], left_out: Sequence[Case] = ()) -> None:
        self._cases = cases = [*cases, *left_out]
        self._studies: dict[str, set[int]] = {}
        self._patients: dict[str, set[int]] = {}
        for number, case in enumerate(cases):
            for name in _written(case.study_id):
                self._studies.setdefault(name, set()).add(number)
            for name in _written(case.patient_id):
                self._patients.setdefault(name, set()).add(number)

    def find(self, names: Iterable[str], given: str) -> int | None:
        """The place of the case that one of `names` means, the first that means any; None where none does.

        given: what to call it in an error. Raises UserError where a name means several cases.
        """
        shorter = [name for given_name in names for name in _shortened(given_name)]
        for known in (self._studies, self._patients):
            for name in shorter:
                meant = known.get(name, set())
                if len(meant) > 1:
                    listed = ", ".join(printable(self._cases[one].study_id) for one in sorted(meant)[:_SHOWN])
                    raise UserError(
                        f"{given} may be about {len(meant)} cases ({listed}); expected the name of one; "
                        "rename it to the study's id"
                    )
                if meant:
                    return min(meant)
        return None


def file_names(relative: str) -> list[str]:
    """Names by which a file may be called: its own without the ending, the folder's, and both together.

    >>> file_names("s1/mask.nii.gz"), file_names("s1.nii")
    (['mask', 's1', 's1/mask'], ['s1'])
    """
    stem = _without_ending(relative)
    folder, _, own = stem.rpartition("/")
    return [own, folder.rpartition("/")[2], stem] if folder else [own]


def few(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first names and how many more there are, on one line.

    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    text = ", ".join(printable(name) for name in names[:shown])
    return f"{text} and {len(names) - shown} more" if len(names) > shown else text


def _written(name: str) -> Iterator[str]:
    """How an id may be written in a file's name."""
    bare = _without_ending(name)
    for form in (bare, bare.replace("/", "_"), bare.rpartition("/")[2]):
        yield _plain(form)


def _without_ending(name: str) -> str:
    ending = next((one for one in FILE_ENDINGS if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]


def _shortened(name: str) -> Iterator[str]:
    """A name, and what is left of it as endings are taken away.

    >>> list(_shortened("S-07_ct_seg"))
    ['s-07_ct_seg', 's-07_ct', 's-07']
    """
    yield _plain(name)
    while (shorter := _ADDED.sub("", name)) not in (name, ""):
        name = shorter
        yield _plain(name)


def _plain(name: str) -> str:
    """Lower case, and numbers without the zeros before them: 7 is 007."""
    text = name.strip().lower()
    return str(int(text)) if text.isascii() and text.isdigit() else text
