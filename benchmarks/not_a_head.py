"""What is no head on CT, and how much of it is told so: caught among other things, flagged wrongly among heads.

    python benchmarks/not_a_head.py [--data FOLDER] [--examples 3] [--phantoms 40] [--all]

Every kind of `other_things.py` is drawn several times, written as PNG or NIfTI and read as any file is. Caught is what
is refused, or answered under "this does not look like a head". A kind counts whole: it is missed where one of its
examples is. Heads that were damaged (turned values, nearly cropped away) may have any line beyond those that every
picture has. Heads are phantoms of the MNI152 head and, under FOLDER, CT-ICH's patients, the GE head CT and phantoms of
the label maps: each as the volume that it is and as a PNG of its middle slice in each of three windows. Intervals are
exact ones (Clopper-Pearson), over kinds and over patients. `--all` names every kind, not the missed ones alone.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from other_things import PICTURES, VOLUMES
from PIL import Image
from pydicom.data import get_testdata_file
from ratios import DATA, Ratio, options, tell, within
from scipy.stats import binomtest

from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.errors import UserError
from hemobench.inference.intake import take_in
from hemobench.io import read_scan
from hemobench.io.nifti import write_nifti
from hemobench.views.windows import WINDOWS, to_grey_uint8
from hemobench.volume import Volume

LEAST_CAUGHT, MOST_FLAGGED = 0.95, 0.01
SHOWN = ("brain", "subdural", "bone")
# Lines that every picture has.
USUAL = ("without millimetres", "a picture carries no")
Picture = NDArray[np.uint8]


@dataclass
class Count:
    """How many of a group were told to be no head, and which of them, or which not."""

    told: int = 0
    of: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, name: str, told: int, of: int = 1, *, wanted: bool) -> None:
        """One kind or patient, of which so many examples were told; `wanted` all of them, else none."""
        whole = told == of if wanted else told > 0
        self.told, self.of = self.told + whole, self.of + 1
        if whole != wanted:
            self.named.append(f"{name} ({told} of {of})" if of > 1 else name)

    def __str__(self) -> str:
        low, high = binomtest(self.told, self.of).proportion_ci(method="exact")
        return f"{self.told} of {self.of} = {self.told / self.of:.3f} [{low:.3f}, {high:.3f}]"


def told(path: Path) -> str:
    """The line by which a file is refused, or told to be no head; "" for one that is answered as a head."""
    try:
        return take_in(path).unlike
    except UserError as error:
        return f"refused: {error}"


def written(thing: Picture | Volume, folder: Path) -> Path:
    if isinstance(thing, Volume):
        write_nifti(thing, folder / "thing.nii")
        return folder / "thing.nii"
    Image.fromarray(thing).save(folder / "thing.png")
    return folder / "thing.png"


def other_things(folder: Path, examples: int, smoke: bool, every: bool) -> Iterator[tuple[str, Count]]:
    """Pictures and volumes, by kind."""
    for group, kinds in (("pictures", PICTURES), ("volumes", VOLUMES)):
        count = Count()
        for number, (name, make) in enumerate(kinds.items()):
            if smoke and number % 9:
                continue
            lines = [told(written(make(np.random.default_rng([turn, number])), folder)) for turn in range(examples)]
            count.add(name, sum(map(bool, lines)), examples, wanted=True)
            if every or not all(lines):
                print(f"  {group}: {name}: {' | '.join(line[:90] or 'NOT CAUGHT' for line in lines)}", flush=True)
        yield group, count


def damaged(head: Volume) -> dict[str, Picture | Volume]:
    """A head that something happened to."""
    hu = np.asarray(head.voxels)
    middle = to_grey_uint8(hu[len(hu) // 2], "brain")
    height, width = (side // 16 for side in middle.shape)
    centre = hu[:, 7 * height : 9 * height, 7 * width : 9 * width]
    return {
        "signs turned": head.with_voxels(-hu),
        "black and white turned": 255 - middle,
        "a corner of the brain": middle[7 * height : 9 * height, 7 * width : 9 * width],
        "a corner of the brain in HU": Volume(centre, head.affine, "CT"),
        "empty air beside the head": Volume(np.full_like(centre, -1000), head.affine, "CT"),
        "slices as columns": Volume(np.moveaxis(hu, 0, 2).copy(), head.affine, "CT"),
    }


def any_line(path: Path) -> str:
    """The first line that not every picture has; "" without one."""
    try:
        taken = take_in(path)
    except UserError as error:
        return f"refused: {error}"
    return next((line for line in taken.warnings if not line.startswith(USUAL)), "")


def heads(data: Path, phantoms: int) -> Iterator[tuple[str, str, Callable[[], Volume]]]:
    """Data set, patient, and how its CT is read."""
    sources = {"MNI152 phantoms": None}
    if (data / "brain-label-maps").is_dir():
        sources["phantoms of label maps"] = str(data / "brain-label-maps")
    for name, anatomy in sources.items():
        spec = PhantomSpec(patients=phantoms, slices=28, matrix=256, seed=9090, restless=0.3, anatomy=anatomy)
        for number in range(phantoms):
            yield name, f"{number}", lambda spec=spec, number=number: generate_patient(spec, number).image  # type: ignore[misc]
    if (data / "ct-ich").is_dir():
        for case in open_dataset(f"ct-ich:{data / 'ct-ich'}").cases:
            yield "CT-ICH", case.patient_id, lambda case=case: case.load().image  # type: ignore[misc]
    if (data / "ge-head-ct").is_dir():
        yield "GE head CT", "1", lambda: read_scan(data / "ge-head-ct").volume


def flagged(given: argparse.Namespace, folder: Path) -> dict[tuple[str, str], Count]:
    """By data set, and "volume" or "picture": patients that are told to be no heads."""
    found: dict[tuple[str, str], Count] = {}
    for source, patient, read in heads(given.data, given.phantoms):
        head = read()
        line = told(written(head, folder))
        found.setdefault((source, "volume"), Count()).add(f"{patient}: {line}", bool(line), wanted=False)
        middle = np.asarray(head.voxels)[len(head.voxels) // 2]
        lines = [told(written(to_grey_uint8(middle, WINDOWS[name]), folder)) for name in SHOWN]
        words = ", ".join(name for name, one in zip(SHOWN, lines, strict=True) if one)
        found.setdefault((source, "picture"), Count()).add(
            f"{patient}: {words}", sum(map(bool, lines)), len(SHOWN), wanted=False
        )
    return found


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print; misses and false alarms, each beside the most that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(DATA))
    parser.add_argument("--examples", type=int, default=3, help="of each kind")
    parser.add_argument("--phantoms", type=int, default=40, help="of each anatomy")
    parser.add_argument("--all", action="store_true", help="name every kind")
    given = options(parser, argv, {"data": Path("nowhere"), "examples": 1, "phantoms": 2})
    with tempfile.TemporaryDirectory() as place:
        folder, total = Path(place), Count()
        for group, count in other_things(folder, given.examples, given.smoke, given.all):
            print(f"{group} that are no head, kinds caught whole: {count}")
            total.told, total.of = total.told + count.told, total.of + count.of
        line = told(Path(get_testdata_file("CT_small.dcm")))
        print(f"pydicom's CT of a trunk, 128 x 128: {line or 'NOT CAUGHT'}")
        print(f"all kinds: {total}, wanted {LEAST_CAUGHT}")
        head = generate_patient(PhantomSpec(patients=1, slices=28, matrix=256, seed=9090), 0).image
        for name, thing in damaged(head).items():
            print(f"a head, {name}: {any_line(written(thing, folder)) or 'NOTHING SAID'}")
        alarms = flagged(given, folder)
    for (source, shown), count in alarms.items():
        print(f"{source}, {shown}: flagged {count}" + "".join(f"\n  {name}" for name in count.named))
    real = [count for (source, _), count in alarms.items() if "phantoms" not in source] or [*alarms.values()]
    wrong, of = sum(one.told for one in real), sum(one.of for one in real)
    # A miss or an alarm more than there was: none at all has no ratio.
    yield within("kinds of other things that are missed", (total.of - total.told or 1) / total.of, 1 - LEAST_CAUGHT, "")
    yield within("heads that are told to be none", (wrong or 1) / of, max(MOST_FLAGGED, 1 / of), "")


if __name__ == "__main__":
    tell(run())
