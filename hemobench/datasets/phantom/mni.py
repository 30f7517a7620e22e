"""Anatomy that needs no download: the MNI152 tissue maps inside nilearn, in a skull, scalp and face drawn around them.

The ICBM 2009a template (Fonov et al., NeuroImage 54:313, 2011) gives grey and white matter; what they leave free
inside the cranium is CSF, with real ventricles, cisterns and sulci. nilearn carries the brain alone, so bone and soft
tissue are built here from solids at MNI coordinates (right, anterior, superior mm) of the structures they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import nilearn.datasets
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hemobench.datasets.phantom.anatomy import BoolArray, Parts, distance_mm
from hemobench.datasets.phantom.tissues import Tissue

Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]
FloatArray = NDArray[np.float32]

# The grid's corners in MNI mm: right-left +-92, back to nose, below the foramen magnum to above the vertex.
TOP_MM, BOTTOM_MM, FRONT_MM, BACK_MM, SIDE_MM = 100, -104, 108, -128, 92
SHAPE = (TOP_MM - BOTTOM_MM, FRONT_MM - BACK_MM, 2 * SIDE_MM)


@dataclass(frozen=True)
class Grid:
    """MNI coordinates (mm) of every voxel, broadcastable: x (1,1,X), y (1,Y,1), z (Z,1,1)."""

    x: FloatArray
    y: FloatArray
    z: FloatArray

    def ellipsoid(self, centre: Point, radii: Point) -> BoolArray:
        """Voxels inside an ellipsoid with axes along x, y, z (mm)."""
        near, (x, y, z) = self._near(
            [c - r for c, r in zip(centre, radii, strict=True)], [c + r for c, r in zip(centre, radii, strict=True)]
        )
        terms = [((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radii, strict=True)]
        return self._placed(near, np.asarray(terms[0] + terms[1] + terms[2] < 1))

    def cone(self, start: Point, end: Point, radius_start: float, radius_end: float) -> BoolArray:
        """Voxels inside a rounded cone from one point to another (mm)."""
        reach = max(radius_start, radius_end)
        near, axes = self._near(
            [min(pair) - reach for pair in zip(start, end, strict=True)],
            [max(pair) + reach for pair in zip(start, end, strict=True)],
        )
        a, b = np.array(start, np.float32), np.array(end, np.float32)
        d = b - a
        rel = tuple(axis - place for axis, place in zip(axes, a, strict=True))
        t = np.clip((rel[0] * d[0] + rel[1] * d[1] + rel[2] * d[2]) / float(d @ d), 0, 1)
        squared = sum((r - t * c) ** 2 for r, c in zip(rel, d, strict=True))
        return self._placed(near, np.asarray(squared < (radius_start + t * (radius_end - radius_start)) ** 2))

    def _near(self, low: Sequence[float], high: Sequence[float]) -> tuple[Box, tuple[FloatArray, ...]]:
        """The box of voxels (z, y, x) between two corners (x, y, z in mm), and the coordinates within it."""
        spans = []
        for axis, least, most in zip((self.x, self.y, self.z), low, high, strict=True):
            inside = np.flatnonzero((axis.ravel() >= least - 1) & (axis.ravel() <= most + 1))
            spans.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0))
        along_x, along_y, along_z = spans
        coordinates = (self.x[:, :, along_x], self.y[:, along_y], self.z[along_z])
        return (along_z, along_y, along_x), coordinates

    def _placed(self, near: Box, solid: BoolArray) -> BoolArray:
        """A solid in its box as voxels of the whole grid: most are small beside it."""
        whole = np.zeros((self.z.size, self.y.size, self.x.size), bool)
        whole[near] = solid
        return whole

    def both_sides(self, shape: str, *arguments: object) -> BoolArray:
        """The union of a solid given on the patient's left (x < 0) with its mirror image."""
        mirrored = [(-a[0], *a[1:]) if _is_place(shape, i) else a for i, a in enumerate(arguments)]  # type: ignore[index]
        draw = getattr(self, shape)
        return np.asarray(draw(*arguments) | draw(*mirrored))


def _is_place(shape: str, position: int) -> bool:
    return position < (1 if shape == "ellipsoid" else 2)


def make_grid() -> Grid:
    """The template grid in S-P-L order."""
    z = np.arange(BOTTOM_MM, TOP_MM, dtype=np.float32)[:, None, None]
    y = np.arange(FRONT_MM, BACK_MM, -1, dtype=np.float32)[None, :, None]
    x = np.arange(SIDE_MM, -SIDE_MM, -1, dtype=np.float32)[None, None, :]
    return Grid(x, y, z)


def to_voxel(point: Point) -> Point:
    """MNI mm to the template's voxel position (z, y, x)."""
    return (point[2] - BOTTOM_MM, FRONT_MM - point[1], SIDE_MM - point[0])


def _tissue_map(kind: str) -> FloatArray:
    folder = Path(nilearn.datasets.__file__).parent / "data"
    source = nibabel.load(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
    fraction = np.asarray(source.dataobj, np.float32) / 255  # type: ignore[attr-defined]
    right_up = fraction.transpose(2, 1, 0)[:, ::-1, ::-1]  # (S, P, L)
    x0, y0, z0 = source.affine[:3, 3]  # type: ignore[attr-defined]
    placed = np.zeros(SHAPE, np.float32)
    top, front, right = z0 - BOTTOM_MM, FRONT_MM - (y0 + fraction.shape[1] - 1), SIDE_MM - (x0 + fraction.shape[0] - 1)
    starts = [int(top), int(front), int(right)]
    target, origin = [], []
    for start, size, room in zip(starts, right_up.shape, SHAPE, strict=True):
        target.append(slice(max(0, start), min(room, start + size)))
        origin.append(slice(max(0, -start), max(0, -start) + min(room, start + size) - max(0, start)))
    placed[tuple(target)] = right_up[tuple(origin)]
    return placed


def parts_from_mni() -> Parts:
    """The MNI brain in a built head: tissues, fractions, hemispheres and landmarks."""
    grid = make_grid()
    grey, white = _tissue_map("gm"), _tissue_map("wm")
    cord = grid.cone((0, -46, -66), (0, -42, -110), 5.5, 5.0)
    white = np.maximum(white, ndimage.gaussian_filter(cord.astype(np.float32), 0.7))
    neural = grey + white
    cranium, petrous = _cranium(grid, neural)
    tissue = _shell(grid, cranium, petrous)
    tissue[cranium] = Tissue.BRAIN
    tissue[_ventricles(grid, neural, cranium)] = Tissue.VENTRICLE
    tissue[_sinuses(grid, cranium)] = Tissue.VENOUS_SINUS
    solid = neural > 0.5
    lower = solid & _below_tentorium(grid)
    brainstem = solid & grid.cone((0, -20, -12), (0, -44, -75), 15, 11) & ~grid.ellipsoid((0, -62, -35), (55, 24, 30))
    deep = grid.both_sides("ellipsoid", (-21.0, 0.0, 2.0), (9.0, 17.0, 11.0)) & (grey > white) & solid
    tissue[deep | (grid.both_sides("ellipsoid", (-11.0, -19.0, 8.0), (9.0, 13.0, 9.0)) & solid)] = Tissue.BRAIN
    upper = solid & ~lower & ~brainstem
    return Parts(
        tissue,
        (grey * 255).astype(np.uint8),
        (np.clip(white, 0, 1) * 255).astype(np.uint8),
        cranium,
        upper & (grid.x < -0.5),
        upper & (grid.x > 0.5),
        lower | brainstem,
        brainstem,
        {
            "deep_right": to_voxel((21, -6, 4)),
            "deep_left": to_voxel((-21, -6, 4)),
            "pons": to_voxel((0, -27, -33)),
            "pineal": to_voxel((0, -30, 0)),
            "suprasellar": to_voxel((0, -7, -20)),
        },
    )


def _cranium(grid: Grid, neural: FloatArray) -> tuple[BoolArray, BoolArray]:
    brain = neural > 0.4
    closed = distance_mm(distance_mm(brain) > 9) > 9  # closing by a ball of 9 mm bridges sulci and cisterns
    closed |= brain
    inner = distance_mm(closed) <= 1.6  # subarachnoid space over the gyri
    inner |= grid.ellipsoid((0, -8, -22), (16, 14, 9)) | grid.ellipsoid((0, -45, -68), (15, 14, 12))  # cisterns
    inner |= grid.cone((0, -46, -66), (0, -42, -110), 10, 9)  # spinal canal
    petrous = (
        grid.both_sides("cone", (-13.0, -17.0, -37.0), (-48.0, -34.0, -44.0), 6.0, 13.0)
        | grid.cone((0, -3, -32), (0, -22, -62), 6.5, 5.0)  # dorsum sellae and clivus
        | grid.both_sides("cone", (-8.0, 8.0, -24.0), (-44.0, 16.0, -20.0), 3.5, 4.0)  # lesser wing of the sphenoid
        | grid.cone((0, 46, -22), (0, 66, -4), 2.0, 2.0)  # crista galli
    )
    petrous &= ~(distance_mm(neural > 0.55) <= 1.2)
    return np.asarray(ndimage.binary_opening(inner & ~petrous, iterations=1)), petrous


def _below_tentorium(grid: Grid) -> BoolArray:
    """Below a tent whose ridge is the straight sinus, from the incisura down to the petrous edge and the torcula."""
    ridge = np.interp(grid.y, [-95, -75, -45, -30], [-22, -9, 2, -6]).astype(np.float32)
    slope = np.interp(grid.y, [-95, -40], [0.12, 0.5]).astype(np.float32)
    return np.asarray((grid.z < ridge - slope * np.abs(grid.x)) & (grid.y < -28))


def _ventricles(grid: Grid, neural: FloatArray, cranium: BoolArray) -> BoolArray:
    """The parts of the CSF remainder that are ventricles, by solids that part them from the cisterns."""
    fluid = (neural < 0.5) & cranium
    lateral = fluid & (
        grid.both_sides("ellipsoid", (-14.0, 8.0, 14.0), (13.0, 34.0, 17.0))
        | grid.both_sides("ellipsoid", (-24.0, -36.0, 10.0), (12.0, 18.0, 17.0))
        | grid.both_sides("cone", (-28.0, -42.0, 2.0), (-27.0, -62.0, 8.0), 7.0, 6.0)
        | grid.both_sides("cone", (-32.0, -36.0, -6.0), (-31.0, -10.0, -19.0), 6.0, 6.0)
    )
    # The fissure between the thalami and the quadrigeminal cistern lie near the midline, below the fornix.
    lateral &= ~(grid.ellipsoid((0, -42, 2), (16, 12, 11)))
    third = fluid & grid.ellipsoid((0, -14, -2), (4.5, 17.0, 13.0))
    fourth = fluid & grid.ellipsoid((0, -46, -34), (10.0, 9.0, 14.0))
    grown = np.zeros(fluid.shape, bool)
    for part in (lateral, third, fourth):
        groups, count = ndimage.label(part)
        if count:
            sizes = np.bincount(groups.ravel())
            sizes[0] = 0
            grown |= np.isin(groups, np.nonzero(sizes > 150)[0])
    return grown


def _sinuses(grid: Grid, cranium: BoolArray) -> BoolArray:
    outside = distance_mm(~cranium, 12.0)
    superior = (np.abs(grid.x) < 4.5) & (outside + np.abs(grid.x) * 0.9 < 5.5) & (grid.z > -8) & cranium
    torcula = grid.ellipsoid((0, -92, -18), (8, 9, 7)) & (outside < 7)
    edge = np.abs(grid.z - np.interp(np.abs(grid.x), [0, 35, 60], [-18, -25, -34]).astype(np.float32)) < 4.5
    transverse = edge & (outside < 6) & (grid.y < -48) & cranium
    straight = grid.cone((0, -46, 2), (0, -84, -12), 1.8, 2.4)
    return np.asarray(superior | (torcula & cranium) | transverse | (straight & cranium))


def _shell(grid: Grid, cranium: BoolArray, petrous: BoolArray) -> NDArray[np.uint8]:
    """Everything outside the cranium, from the skin inwards: later layers overwrite earlier ones."""
    rng = np.random.default_rng(152)  # the template itself is fixed; people vary later
    outside = distance_mm(cranium, 40.0)
    thickness = _skull_thickness(grid, rng)
    # The temporal muscle fills the hollow beside the orbit, up to the temporal lines.
    temporal = np.exp(-(((grid.z + 12) / 24) ** 2) - ((grid.y - 18) / 34) ** 2) * (np.abs(grid.x) > 38)
    scalp = 6.0 + 8.0 * ndimage.gaussian_filter(np.asarray(temporal, np.float32), 3)
    head = outside < thickness + scalp
    face = grid.ellipsoid((0, 18, -62), (66, 82, 62)) & (grid.y > -30) | grid.cone((0, 88, -26), (0, 98, -50), 7, 13)
    neck = ((grid.x / 62) ** 2 + ((grid.y + 28) / 66) ** 2 < 1) & (grid.z < -40)
    head |= (face & (grid.z < -14)) | neck
    head = np.asarray(ndimage.gaussian_filter(head.astype(np.float32), 3.0) > 0.5) | (outside < thickness + scalp - 1)
    inward = distance_mm(~head, 30.0)
    lumps = _smooth_noise(head.shape, rng, 5.0)
    tissue = np.zeros(head.shape, np.uint8)
    tissue[head] = Tissue.MUSCLE
    tissue[head & (lumps > 0.75) & (outside > thickness)] = Tissue.FAT
    tissue[head & (inward < 3.6 + 0.8 * lumps)] = Tissue.FAT
    tissue[head & (inward < 2.4)] = Tissue.SKIN
    _paint_face(grid, tissue, rng)
    bone = (outside > 0) & (outside < thickness)
    bone &= ~(neck & (grid.z < -66)) | grid.ellipsoid((0, -44, -70), (26, 24, 5))
    core = bone & (outside > 1.9) & (outside < thickness - 1.7)
    tissue[bone] = Tissue.CORTICAL_BONE
    tissue[core & (lumps < 0.9)] = Tissue.DIPLOE
    tissue[petrous & ~cranium] = Tissue.CORTICAL_BONE
    frontal = grid.both_sides("ellipsoid", (-11.0, 77.0, -10.0), (11.0, 6.0, 13.0)) & (np.abs(grid.x) > 0.8)
    _paint_air(tissue, frontal & ~cranium)
    cells = _smooth_noise(head.shape, rng, 1.6)
    mastoid = grid.both_sides("ellipsoid", (-53.0, -40.0, -47.0), (11.0, 15.0, 17.0)) & ~cranium
    tissue[mastoid] = Tissue.CORTICAL_BONE
    tissue[mastoid & (cells > -0.1) & (inward > 9)] = Tissue.AIR
    tissue[grid.both_sides("cone", (-44.0, -27.0, -42.0), (-90.0, -24.0, -44.0), 3.5, 4.0)] = Tissue.AIR
    tissue[grid.both_sides("ellipsoid", (-40.0, -28.0, -41.0), (5.0, 4.0, 5.0)) & (cells > 0)] = Tissue.AIR
    return tissue


def _skull_thickness(grid: Grid, rng: np.random.Generator) -> FloatArray:
    """Millimetres of skull over each place: 6 to 8 over the convexity (Lillie et al., J Bone Miner Res 31:299, 2016),
    thicker behind and in front at the midline, thin over the temporal squama and the orbits' roof. The base of 6.3 and
    the spread of 0.9 were set by eye on CT-ICH, whose scale is nominal."""
    temporal = np.exp(-(((grid.z + 18) / 22) ** 2) - ((grid.y - 5) / 28) ** 2) * (np.abs(grid.x) > 40)
    occiput = np.exp(-(((grid.z + 18) / 16) ** 2) - ((grid.y + 96) / 18) ** 2 - (grid.x / 14) ** 2)
    brow = np.exp(-(((grid.z + 14) / 14) ** 2) - ((grid.y - 78) / 14) ** 2 - (grid.x / 26) ** 2)
    base = np.exp(-(((grid.z + 32) / 14) ** 2) - ((grid.y - 42) / 30) ** 2)
    thickness = 6.3 - 2.8 * temporal + 6.0 * occiput + 7.0 * brow - 4.2 * base * (np.abs(grid.x) < 50)
    return np.asarray(np.maximum(thickness + 0.9 * _smooth_noise(SHAPE, rng, 16.0), 1.5), np.float32)


def _paint_face(grid: Grid, tissue: NDArray[np.uint8], rng: np.random.Generator) -> None:
    def sides(shape: str, *arguments: object) -> BoolArray:
        return grid.both_sides(shape, *arguments)

    socket = sides("cone", (-33.0, 64.0, -40.0), (-13.0, 18.0, -34.0), 20.0, 6.0)
    orbit = sides("cone", (-33.0, 68.0, -40.0), (-13.0, 20.0, -34.0), 18.2, 4.5)
    front = grid.y < 66
    bones: Iterable[BoolArray] = (
        socket & front,
        sides("ellipsoid", (-27.0, 46.0, -68.0), (17.5, 20.0, 19.0)),  # walls of the maxillary sinus
        grid.ellipsoid((0, 12, -42), (18, 16, 13)),  # body of the sphenoid
        sides("cone", (-50.0, 48.0, -52.0), (-62.0, 20.0, -52.0), 6.5, 3.0),  # cheek bone and its arch
        sides("cone", (-62.0, 20.0, -52.0), (-60.0, -12.0, -48.0), 3.0, 3.5),
        sides("cone", (-50.0, -10.0, -52.0), (-47.0, 6.0, -104.0), 5.5, 5.0),  # ramus of the mandible
        sides("cone", (-14.0, 10.0, -52.0), (-17.0, 8.0, -78.0), 3.0, 2.0),  # pterygoid plates
        grid.ellipsoid((0, -30, -76), (24, 10, 6)) | grid.cone((0, -26, -74), (0, -24, -110), 7, 10),  # atlas, axis
        grid.ellipsoid((0, -58, -78), (22, 9, 5)),
        sides("cone", (-38.0, -30.0, -48.0), (-26.0, -30.0, -70.0), 6.0, 7.0),  # condyles
    )
    for bone in bones:
        tissue[bone] = Tissue.CORTICAL_BONE
    tissue[grid.cone((0, -46, -70), (0, -42, -110), 10.5, 9.5)] = Tissue.FAT
    tissue[orbit] = Tissue.FAT
    tissue[sides("cone", (-33.0, 54.0, -40.0), (-14.0, 22.0, -35.0), 2.3, 2.0)] = Tissue.MUCOSA  # optic nerve
    for dx, dz in ((-9.0, 0.0), (9.0, 0.0), (0.0, 9.0), (0.0, -9.0)):  # the straight muscles of the eye
        tissue[sides("cone", (-33.0 + dx, 54.0, -40.0 + dz), (-14.0, 22.0, -35.0), 2.2, 1.5)] = Tissue.MUSCLE
    tissue[sides("ellipsoid", (-33.0, 66.0, -40.0), (13.2, 13.2, 13.2))] = Tissue.SKIN  # sclera
    tissue[sides("ellipsoid", (-33.0, 66.0, -40.0), (12.0, 12.0, 12.0))] = Tissue.EYE
    tissue[sides("ellipsoid", (-33.0, 75.0, -40.0), (4.5, 2.2, 4.5))] = Tissue.LENS
    cells = _smooth_noise(SHAPE, rng, 2.2)
    ethmoid = grid.ellipsoid((0, 42, -40), (13, 30, 14))
    nasal = grid.ellipsoid((0, 48, -66), (12, 36, 16))
    tissue[ethmoid | nasal] = Tissue.MUCOSA
    tissue[(ethmoid | nasal) & (np.abs(cells) > 0.35) & (np.abs(grid.x) > 1)] = Tissue.AIR
    tissue[(ethmoid | nasal) & ((np.abs(cells) < 0.10) | (np.abs(grid.x) <= 1))] = Tissue.CORTICAL_BONE
    _paint_air(tissue, sides("ellipsoid", (-27.0, 46.0, -68.0), (15.0, 17.5, 17.0)))
    _paint_air(tissue, grid.ellipsoid((0, 13, -42), (15, 13, 10)) & (np.abs(grid.x - 2) > 0.7))
    tissue[grid.ellipsoid((0, 0, -84), (15, 9, 26))] = Tissue.AIR  # nasopharynx


def _paint_air(tissue: NDArray[np.uint8], cavity: BoolArray) -> None:
    tissue[ndimage.binary_dilation(cavity, iterations=1) & (tissue != Tissue.AIR)] = Tissue.CORTICAL_BONE
    tissue[cavity] = Tissue.AIR


def _smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, sigma: float) -> FloatArray:
    """Gaussian noise of a given grain (mm), unit variance."""
    step = max(1, int(sigma / 1.5))
    small = rng.standard_normal([s // step + 2 for s in shape]).astype(np.float32)
    soft = ndimage.gaussian_filter(small, sigma / step)
    grown = ndimage.zoom(soft, step, order=1)[tuple(slice(0, s) for s in shape)]
    return np.asarray(grown / grown.std(), np.float32)
