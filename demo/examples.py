"""The example scans: phantoms, one of each type, a healthy head and an MRI, made again by `python -m demo.examples`.

The anatomy is the MNI152 template that nilearn carries, the blood is drawn: no patient's data are in them. The command
writes `demo/examples/` (scans, their true outlines, thumbnails, `examples.json` with what was put into each), and
`examples()` reads it.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.case import Loaded
from hemobench.errors import UserError
from hemobench.inference.overview.style import millilitres
from hemobench.io.atomic import replacing
from hemobench.views.windows import to_grey_uint8
from hemobench.volume import LABEL_MAP, Volume

FOLDER = Path(__file__).parent / "examples"
INDEX = "examples.json"
SLICES, MATRIX, THICKNESS_MM = 24, 256, 5.0
THUMBNAIL_PIXELS = 208
# Everything that is nearly air becomes air, bone and soft tissue keep fewer steps: what deflates to half the size
# and nobody sees (the noise is twice the step of soft tissue).
_AIR_BELOW_HU, _AIR_HU = -300.0, -1000.0
_BONE_ABOVE_HU, _BONE_STEP_HU, _SOFT_STEP_HU = 150.0, 32.0, 2.0
# Calcium is left in, as every head has some; what would make an example hard to read is left out.
_LOOKALIKES = ("pineal-calcification", "choroid-calcification")
_NOISE_HU, _SHARPNESS = 1.3, 0.2


@dataclass(frozen=True)
class Recipe:
    """How an example is made: the phantom's seed and its one bleed, which was chosen because it looks its type.

    subtype: None for a head without blood. place, size: as in `hemobench.datasets.phantom.plan.Bleed`. product: "ct" or
    "t1" (MRI at 2 mm).
    """

    name: str
    title: str
    words: str
    seed: int
    subtype: str | None = None
    place: str = ""
    size: float = 0.0
    product: str = "ct"


RECIPES = (
    Recipe("epidural", "Epidural", "A lens between skull and dura", 3, "epidural", "convexity", 0.75),
    Recipe("intraparenchymal", "Intraparenchymal", "A clot deep in the brain", 3, "intraparenchymal", "deep", 0.75),
    Recipe("intraventricular", "Intraventricular", "A cast of the ventricles", 4, "intraventricular", "cast", 0.6),
    Recipe("subarachnoid", "Subarachnoid", "Blood in the basal cisterns", 4, "subarachnoid", "cisterns", 0.6),
    Recipe("subdural", "Subdural", "A crescent inside the skull", 3, "subdural", "convexity", 0.65),
    Recipe("healthy", "No blood", "A head without a bleed", 7),
    Recipe("mri-t1", "MRI", "T1-weighted, for the ventricles", 4, product="t1"),
)


@dataclass(frozen=True)
class Example:
    """One example as the page shows it. `volume_ml` is the blood put in (0 without), `slice_index` the thumbnail's,
    `truth` the label map of what is there to be outlined (blood, in MR the ventricles), None where there is nothing."""

    name: str
    title: str
    words: str
    path: Path
    thumbnail: Path
    subtype: str | None
    volume_ml: float
    slice_index: int
    truth: Path | None = None

    @property
    def is_mr(self) -> bool:
        """Whether it is an MRI, whose truth are the ventricles."""
        return self.truth is not None and self.subtype is None

    @property
    def caption(self) -> str:
        """The words with what was put in, and that nobody was scanned for it."""
        drawn = f", {millilitres(self.volume_ml)} mL drawn in" if self.volume_ml else ""
        return f"{self.words}{drawn}. A phantom, no patient."


def examples(folder: Path = FOLDER) -> tuple[Example, ...]:
    """The examples in the order of the page; UserError where the folder holds none or lacks a file."""
    index = folder / INDEX
    if not index.is_file():
        raise UserError(
            f"no {INDEX} in {folder.name}; expected the example scans; make them with python -m demo.examples"
        )
    found = []
    for row in json.loads(index.read_text(encoding="utf-8")):
        names = {key: row.pop(key, None) for key in ("path", "thumbnail", "truth")}
        files: dict[str, Any] = {key: folder / name if name else None for key, name in names.items()}
        missing = [path.name for path in files.values() if path is not None and not path.is_file()]
        if missing:
            raise UserError(f"no {missing[0]} beside {INDEX}; expected it; make them with python -m demo.examples")
        found.append(Example(**files, **row))
    return tuple(found)


def make_example(recipe: Recipe, folder: Path) -> Example:
    """Render one recipe into `folder` as scan, truth and thumbnail. The same recipe gives the same voxels."""
    loaded = _render(recipe)
    assert loaded.label_map is not None
    blood = loaded.label_map > 0 if recipe.subtype else np.zeros(loaded.image.shape, dtype=bool)
    if recipe.product == "t1":
        volume, grey = _thinned_mri(loaded.image)
    else:
        volume, grey = _thinned_ct(loaded.image), to_grey_uint8(loaded.image.voxels, "brain")
    # Most blood, or where the ventricles are widest in most heads.
    shown = int(blood.sum(axis=(1, 2)).argmax()) if blood.any() else round(0.58 * len(grey))
    path, thumbnail = folder / f"{recipe.name}.nii.gz", folder / f"{recipe.name}.png"
    _write_scan(volume, path)
    with replacing(thumbnail) as temporary:
        _thumbnail(grey[shown], loaded.image.spacing_mm[1] * loaded.image.shape[1] / grey.shape[1]).save(
            temporary, optimize=True
        )
    volume_ml = round(float(np.count_nonzero(blood)) * loaded.image.voxel_volume_ml, 1)
    truth = _write_truth(recipe, loaded, folder)
    return Example(recipe.name, recipe.title, recipe.words, path, thumbnail, recipe.subtype, volume_ml, shown, truth)


def make_examples(folder: Path = FOLDER, recipes: Sequence[Recipe] = RECIPES) -> tuple[Example, ...]:
    """Make every example and the index that `examples` reads. Takes about three seconds a scan."""
    made = tuple(make_example(recipe, folder) for recipe in recipes)
    files = ("path", "thumbnail", "truth")
    rows = [
        {key: value.name if key in files and value else value for key, value in asdict(one).items()} for one in made
    ]
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return made


def _render(recipe: Recipe) -> Loaded:
    # Here: whoever shows the examples should not load torch, which makes them.
    from hemobench.datasets.phantom import PhantomSpec, plan_patient
    from hemobench.datasets.phantom.generate import render_plan

    if recipe.product == "t1":
        spec = PhantomSpec(patients=1, seed=recipe.seed, product="t1")
        return render_plan(spec, plan_patient(spec, 0))
    subtypes = (recipe.subtype,) if recipe.subtype else None
    spec = PhantomSpec(1, SLICES, MATRIX, recipe.seed, thickness_mm=THICKNESS_MM, healthy=0.0, subtypes=subtypes)
    plan = plan_patient(replace(spec, healthy=0.0 if recipe.subtype else 1.0), 0)
    bleeds = tuple(replace(one, age="acute", place=recipe.place, size=recipe.size) for one in plan.bleeds[:1])
    lookalikes = tuple(name for name in plan.lookalikes if name in _LOOKALIKES)
    scan = replace(plan.scan, tilt_deg=0.0, noise_hu=_NOISE_HU, sharpness=_SHARPNESS, coverage=1.0)
    return render_plan(spec, replace(plan, bleeds=bleeds, lookalikes=lookalikes, scan=scan))


def _thinned_ct(volume: Volume) -> Volume:
    """The same CT as int16 HU in the steps that compress."""
    hu = np.where(volume.voxels < _AIR_BELOW_HU, _AIR_HU, volume.voxels)
    step = np.where(hu > _BONE_ABOVE_HU, _BONE_STEP_HU, _SOFT_STEP_HU)
    return volume.with_voxels((np.rint(hu / step) * step).astype(np.int16))


def _thinned_mri(volume: Volume) -> tuple[Volume, NDArray[np.uint8]]:
    """An MRI of half as many steps along each axis as uint8, and the same as grey pictures."""
    coarse = _blocks(volume.voxels).mean(axis=(1, 3, 5))
    grey = (np.clip(np.rint(coarse / np.percentile(coarse, 99.8) * 125), 0, 127) * 2).astype(np.uint8)
    # The noise of the background is half of the file, and nobody looks at it.
    grey[grey < 16] = 0
    return Volume(grey, _coarse_affine(volume), "MR"), grey


def _blocks(voxels: NDArray[Any]) -> NDArray[Any]:
    """Voxels as (D/2, 2, H/2, 2, W/2, 2); an odd last one is left out."""
    depth, height, width = (size // 2 * 2 for size in voxels.shape)
    return voxels[:depth, :height, :width].reshape(depth // 2, 2, height // 2, 2, width // 2, 2)


def _coarse_affine(volume: Volume) -> NDArray[np.float64]:
    return np.asarray(volume.affine @ np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]]))


def _write_truth(recipe: Recipe, loaded: Loaded, folder: Path) -> Path | None:
    """The label map beside the scan, on its grid; nothing where nothing was put in."""
    assert loaded.label_map is not None
    labels = np.asarray(loaded.label_map, dtype=np.uint8)
    truth = Volume(labels, loaded.image.affine, LABEL_MAP)
    if recipe.product == "t1":
        # Where at least half of the finer voxels are ventricle.
        blocks, affine = _blocks(labels > 0), _coarse_affine(loaded.image)
        truth = Volume((blocks.mean(axis=(1, 3, 5)) >= 0.5).astype(np.uint8), affine, LABEL_MAP)
    elif recipe.subtype is None:
        return None
    path = folder / f"{recipe.name}-truth.nii.gz"
    _write_scan(truth, path)
    return path


def _write_scan(volume: Volume, path: Path) -> None:
    """As NIfTI of axes L-P-S, so that rows lie together and deflate well; without a date, so that bytes stay."""
    turned = volume.reoriented("LPS")
    image = nibabel.Nifti1Image(np.asarray(turned.voxels), turned.affine)
    image.set_sform(turned.affine, code=1)
    image.set_qform(turned.affine, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=9, mtime=0))


def _thumbnail(grey: NDArray[np.uint8], pixel_mm: float) -> Image.Image:
    """The head of one slice as a square picture, 5 mm of black around it."""
    rows, columns = (np.flatnonzero((grey > 40).any(axis=axis)) for axis in (1, 0))
    centre = [(line[0] + line[-1]) / 2 for line in (rows, columns)]
    half = max(line[-1] - line[0] for line in (rows, columns)) / 2 + 5 / pixel_mm
    top, left = (round(middle - half) for middle in centre)
    side = round(2 * half)
    square = Image.fromarray(grey).crop((left, top, left + side, top + side))
    return square.resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)


def main() -> int:
    """Make the examples and say what they weigh."""
    made = make_examples()
    for one in made:
        kilobytes = one.path.stat().st_size / 1000
        sys.stdout.write(f"{one.path.name}: {kilobytes:.0f} kB, {one.volume_ml:g} mL of blood\n")
    total = sum(file.stat().st_size for file in FOLDER.iterdir())
    sys.stdout.write(f"{len(made)} examples, {total / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
