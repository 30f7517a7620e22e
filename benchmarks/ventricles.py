"""What the ventricle network of CT and the measures taken from it are worth, and what they cost.

`python benchmarks/ventricles.py [--checkpoint FOLDER] [--data FOLDER] [--phantoms 12] [--pictures FOLDER]` prints

- on phantoms made from the MNI152 head, which no recipe's anatomies of label maps contain: Dice with and without blood
  in the ventricles, outlines far from any ventricle in mL, and each measure of the network's mask beside that of the
  true one; for the midsagittal plane, how far it lies from the head's own at the ventricles;
- on DATA/ct-template (the mean CT of healthy older heads, MNI space, no skull): Dice with the ventricles of the MNI152
  atlas, as they are and grown into what is as dark around them; skipped, with a line, where the data are not there;
- file to report with and without the network, taking turns, and the ratio.

Without a checkpoint the masks are the true ones: what the measures alone are worth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ratios import DATA, Ratio, SkippedError, options, ratio, tell, within
from scipy import ndimage

from hemobench.datasets.phantom import PhantomSpec, generate_patient, mni, plan_patient
from hemobench.datasets.phantom.render import ct_geometry
from hemobench.datasets.phantom.sources import load_anatomy
from hemobench.datasets.phantom.tissues import Tissue
from hemobench.errors import UserError
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.outputs import write_outputs
from hemobench.inference.overview.slices import BLOOD_COLOURS, SlicePictures
from hemobench.inference.report import Ventricles
from hemobench.inference.shipped import checkpoints_by_role
from hemobench.inference.study import analyse
from hemobench.inference.ventricle_measures import ventricles_in_ct
from hemobench.io.nifti import read_nifti, write_nifti
from hemobench.metrics.midsagittal import midplane_of
from hemobench.volume import LABEL_MAP, Volume

ROLE = "ventricles-ct"
TEMPLATE = Path("ct-template/scct_unsmooth_SS_0.01.nii.gz")
SPEC = PhantomSpec(patients=400, slices=32, matrix=256, seed=5150, healthy=0.3, restless=0.3)
FAR_MM = 10.0  # from any true ventricle: skull base, sulci, cisterns
GROWN_MM = 6.0
MEASURES = ("volume_ml", "left_share", "blood_share", "evans_index", "midline_shift_mm")
ROUNDS = 5
PLANE_MM = 2.0
MOST_TIMES = 1.3
Mask = NDArray[np.bool_]


def dice(one: Mask, other: Mask) -> float:
    """2 |A and B| / (|A| + |B|); NaN of nothing."""
    both = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / both if both else float("nan")


def cases(count: int) -> Iterator[tuple[int, bool]]:
    """Patients of the data set, half of them with blood in the ventricles."""
    wanted = {True: count // 2, False: count - count // 2}
    for index in range(SPEC.patients):
        bloody = any(bleed.subtype == "intraventricular" for bleed in plan_patient(SPEC, index).bleeds)
        if wanted[bloody]:
            wanted[bloody] -= 1
            yield index, bloody


def plane_error_mm(index: int, head: Volume, ventricles: Mask) -> float:
    """Mean distance between the found midsagittal plane and the template's, at the ventricles; NaN without a plane."""
    plane = midplane_of(head)
    if plane is None:
        return float("nan")
    plan = plan_patient(SPEC, index)
    geometry = ct_geometry(SPEC, plan, load_anatomy(None, 0))
    where = np.argwhere(ventricles)
    row = geometry.matrix[2]
    column = (where - (np.array(geometry.shape) - 1) / 2) * geometry.spacing_mm @ row + geometry.centre[2]
    true_mm = (column - mni.SIDE_MM) / np.linalg.norm(row)
    return float(np.abs(plane.side_mm(head.to_world(where)) - true_mm).mean())


def measures_of(found: Ventricles) -> dict[str, float | None]:
    left = None if found.left_ml is None or not found.volume_ml else found.left_ml / found.volume_ml
    return {
        "volume_ml": found.volume_ml,
        "left_share": left,
        "blood_share": found.blood_share,
        "evans_index": found.evans_index,
        "midline_shift_mm": found.midline_shift_mm,
    }


def on_phantoms(checkpoint: Checkpoint | None, count: int, pictures: Path | None) -> Iterator[Ratio]:
    """A line a phantom, then means and errors; how far the midsagittal plane stays below its limit."""
    rows, tiles = [], []
    for index, bloody in cases(count):
        loaded = generate_patient(SPEC, index)
        assert loaded.ventricles is not None
        assert loaded.label_map is not None
        truth, image = loaded.ventricles, loaded.image
        mask = truth
        if checkpoint is not None:
            report = analyse(image, [checkpoint])
            assert report.ventricle_map is not None
            mask = np.asarray(report.ventricle_map.voxels > 0)
        far = mask & (ndimage.distance_transform_edt(~truth, sampling=image.spacing_mm) > FAR_MM)
        pair = [
            measures_of(
                ventricles_in_ct(
                    image, image.with_voxels(one.astype(np.uint8), LABEL_MAP), loaded.label_map, spacing_known=True
                )
            )
            for one in (truth, mask)
        ]
        row = {
            "bloody": bloody,
            "dice": dice(truth, mask),
            "far_ml": far.sum() * image.voxel_volume_ml,
            "plane": plane_error_mm(index, image, truth),
            "pair": pair,
        }
        rows.append(row)
        print(
            f"phantom {index:3d} {'blood' if bloody else '     '} dice {row['dice']:.3f} far {row['far_ml']:.2f} mL "
            f"plane {row['plane']:.1f} mm  "
            + "  ".join(f"{name} {_short(pair[0][name])}/{_short(pair[1][name])}" for name in MEASURES),
            flush=True,
        )
        tiles.append(_row_of_pictures(image, loaded.label_map, mask, truth))
    for bloody in (False, True):
        found = [row["dice"] for row in rows if row["bloody"] == bloody]
        if found:
            print(
                f"dice {'with' if bloody else 'without'} blood in them: mean {np.mean(found):.3f}, "
                f"lowest {min(found):.3f}, {len(found)} phantoms"
            )
    print(f"outlined more than {FAR_MM:g} mm from any ventricle: largest {max(row['far_ml'] for row in rows):.2f} mL")
    planes = [row["plane"] for row in rows if np.isfinite(row["plane"])]
    if not planes:
        raise SkippedError("no midsagittal plane was found in any phantom")
    print(
        f"midsagittal plane found in {len(planes)} of {len(rows)}, off by {np.median(planes):.1f} mm (median), "
        f"{max(planes):.1f} mm (largest)"
    )
    yield within(f"midsagittal plane off, median of {len(planes)} phantoms", float(np.median(planes)), PLANE_MM, "mm")
    for name in MEASURES:
        both = [(one[name], other[name]) for one, other in (row["pair"] for row in rows)]
        errors = [abs(other - one) for one, other in both if one is not None and other is not None]
        print(
            f"{name}: {len(errors)} of {len(rows)} measured in both masks"
            + (f", error median {np.median(errors):.3g}, largest {max(errors):.3g}" if errors else "")
        )
    _save(tiles, pictures, "phantoms.png")


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def atlas_on(template: Volume) -> Mask:
    """The MNI152 head's ventricles, as the phantoms have them, on a volume in MNI space, by nearest voxel."""
    anatomy = load_anatomy(None, 0)
    ventricles = (anatomy.tissue == Tissue.VENTRICLE).numpy()
    index = np.stack(np.meshgrid(*(np.arange(size) for size in template.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(template.to_world(index.reshape(-1, 3)), -1, 0)
    place = np.rint(np.stack([z - mni.BOTTOM_MM, mni.FRONT_MM - y, mni.SIDE_MM - x])).astype(int)
    there = ((place >= 0) & (place < np.array(ventricles.shape)[:, None])).all(axis=0)
    mask = np.zeros(len(x), dtype=bool)
    mask[there] = ventricles[tuple(place[:, there])]
    return mask.reshape(template.shape)


def grown(mask: Mask, template: Volume) -> Mask:
    """What within 6 mm of the mask is nearer to its density than to the brain's: older heads have wider ventricles than
    the atlas. Densities are the template's own: a mean of heads whose zero lies somewhere below that of water."""
    near = ndimage.distance_transform_edt(~mask, sampling=template.spacing_mm) <= GROWN_MM
    hu = np.asarray(template.voxels)
    # The middle of the atlas's ventricles is fluid for certain; of all that is in the head most is brain.
    fluid = np.median(hu[ndimage.binary_erosion(mask)])
    middle = (fluid + np.median(hu[hu > fluid + 5])) / 2
    return np.asarray(near & (hu < middle) & (hu != 0))


def on_template(checkpoint: Checkpoint | None, data: Path, pictures: Path | None) -> None:
    """Dice with both references, and what lies far from either."""
    if not (data / TEMPLATE).is_file():
        print(f"ct-template skipped: no {data / TEMPLATE}")
        return
    template = read_nifti(data / TEMPLATE)
    atlas = atlas_on(template)
    wide = grown(atlas, template)
    inside = np.asarray(template.voxels)[atlas]
    print(
        f"ct-template: atlas's ventricles {atlas.sum() * template.voxel_volume_ml:.1f} mL, median "
        f"{np.median(inside):.0f} HU; grown into fluid {wide.sum() * template.voxel_volume_ml:.1f} mL"
    )
    if checkpoint is None:
        _save([_row_of_pictures(template, None, wide, atlas)], pictures, "template.png")
        return
    report = analyse(template, [checkpoint], modality="CT")
    assert report.ventricle_map is not None
    mask = np.asarray(report.ventricle_map.voxels > 0)
    far = mask & (ndimage.distance_transform_edt(~wide, sampling=template.spacing_mm) > FAR_MM)
    print(
        f"  network {mask.sum() * template.voxel_volume_ml:.1f} mL: dice {dice(mask, atlas):.3f} with the atlas, "
        f"{dice(mask, wide):.3f} grown; {far.sum() * template.voxel_volume_ml:.2f} mL far from both"
    )
    _save([_row_of_pictures(template, None, mask, wide)], pictures, "template.png")


def _row_of_pictures(image: Volume, blood: NDArray[np.uint8] | None, mask: Mask, truth: Mask) -> NDArray[np.uint8]:
    """Six slices through the ventricles: above as they are with the truth, below with the mask and blood."""
    used = np.flatnonzero((truth | mask).any(axis=(1, 2)))
    chosen = np.rint(np.linspace(used[0], used[-1], 8)).astype(int)[1:-1] if len(used) else [0] * 6
    drawn = [
        SlicePictures(image, blood if one is mask else None, BLOOD_COLOURS, one.astype(np.uint8))
        for one in (truth, mask)
    ]
    return np.concatenate([np.concatenate([one.axial(int(k), 200, 240) for k in chosen], axis=1) for one in drawn])


def _save(tiles: list[NDArray[np.uint8]], folder: Path | None, name: str) -> None:
    if folder is None or not tiles:
        return
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(tiles)).save(folder / name)
    print(f"wrote {folder / name}: truth above, outlined below")


def seconds_of(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def cost(checkpoint: Checkpoint) -> Ratio:
    """File to report, with the shipped networks and with this one added, taking turns in one process."""
    shipped = {role: one for role, one in checkpoints_by_role().items() if role not in ("ventricles", ROLE)}
    loaded = generate_patient(replace(SPEC, slices=40, matrix=512), 3)
    with tempfile.TemporaryDirectory() as place:
        scan, output = Path(place) / "scan.nii.gz", Path(place) / "out"
        write_nifti(loaded.image, scan)

        def report(checkpoints: list[Checkpoint]) -> None:
            output.mkdir(exist_ok=True)
            write_outputs(analyse(scan, checkpoints), output)

        sets = ([*shipped.values()], [*shipped.values(), checkpoint])
        for each in sets:
            report(each)
        taken = [[seconds_of(lambda each=each: report(each)) for each in sets] for _ in range(ROUNDS)]  # type: ignore[misc]
    before, after = zip(*taken, strict=True)
    print(
        f"file to report, 512 x 512 x 40: {statistics.median(before):.2f} s without the network, "
        f"{statistics.median(after):.2f} s with it"
    )
    return ratio("file to report with ventricles on CT", "without them", after, before, goal=1 / MOST_TIMES)


def run(argv: Sequence[str] | None = None) -> Iterator[Ratio]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=None)
    parser.add_argument("--data", type=Path, default=Path(DATA))
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--pictures", type=Path, default=None)
    asked = options(parser, argv, {"phantoms": 2, "data": Path("nowhere")})
    checkpoint = None if asked.checkpoint is None else open_checkpoint(asked.checkpoint)
    if checkpoint is not None and checkpoint.config.role != ROLE:
        raise UserError(f"checkpoint {checkpoint.name} is for {checkpoint.config.role}; expected {ROLE}; give another")
    if asked.phantoms:
        yield from on_phantoms(checkpoint, asked.phantoms, asked.pictures)
    on_template(checkpoint, asked.data, asked.pictures)
    if checkpoint is not None:
        yield cost(checkpoint)


if __name__ == "__main__":
    tell(run())
