"""Pictures and volumes that are no head on CT, made here or taken from what scikit-image and scikit-learn carry.

Each kind has a name and draws another example from each random generator: noise, patterns, masks, documents, plots,
photographs, other modalities, and other parts of the body as ellipses in HU. `not_a_head.py` measures on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.views.windows import Window, apply_window
from hemobench.volume import Volume, display_affine

Picture = NDArray[np.uint8]
Grey = NDArray[np.floating[Any]]
Random = np.random.Generator
SIDE = 256
SHAPE, SPACING_MM = (20, 160, 160), (6.0, 2.5, 2.5)
_ROWS, _COLUMNS = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
PHOTOGRAPHS = {
    "skimage": ("astronaut", "coffee", "chelsea", "rocket", "motorcycle_left", "hubble_deep_field", "ihc", "retina"),
    "grey": (
        "camera",
        "coins",
        "moon",
        "brick",
        "grass",
        "gravel",
        "cell",
        "clock_motion",
        "microaneurysms",
        "page",
        "text",
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "motorcycle_right",
        "retina",
        "ihc",
    ),
}
WINDOWS = {
    "brain": Window("brain", 40, 80),
    "soft": Window("soft", 40, 400),
    "lung": Window("lung", -600, 1500),
    "bone": Window("bone", 600, 2800),
}


class Ellipse(NamedTuple):
    """A part of a body: centre and radii in mm across (down, right), how dense it is, what of it is left at the ends of
    the volume, and how thick its wall is, 0 for a solid."""

    down: float
    right: float
    high: float
    wide: float
    hu: float
    left_at_ends: float = 1.0
    wall: float = 0.0


def _both(down: float, right: float, high: float, wide: float, hu: float, *more: float) -> tuple[Ellipse, Ellipse]:
    return Ellipse(down, right, high, wide, hu, *more), Ellipse(down, -right, high, wide, hu, *more)


_RIBS = tuple(
    Ellipse(105 * np.sin(angle), 150 * np.cos(angle), 7, 10, 500) for angle in np.linspace(0, 2 * np.pi, 14)[:-1]
)
_SPINE = (
    Ellipse(62, 0, 18, 22, 250),
    Ellipse(62, 0, 15, 19, 180),
    Ellipse(86, 0, 9, 9, 30),
    Ellipse(86, 0, 13, 13, 450, 1, 3),
    Ellipse(103, 0, 14, 4, 450),
)
BODIES: Mapping[str, tuple[Ellipse, ...]] = {
    "chest": (
        Ellipse(0, 0, 122, 172, -100),
        Ellipse(0, 0, 108, 156, 50),
        *_both(-5, 72, 82, 58, -850, 0.5),
        Ellipse(-25, 15, 45, 52, 45),
        *_RIBS,
        *_SPINE,
        Ellipse(-102, 0, 6, 20, 300),
    ),
    "chest of a thin person": (
        Ellipse(0, 0, 95, 138, 45),
        *_both(-5, 62, 72, 52, -850, 0.5),
        Ellipse(-22, 12, 38, 44, 45),
        *_SPINE,
    ),
    "abdomen": (
        Ellipse(0, 0, 125, 175, -100),
        Ellipse(0, 0, 100, 145, 50),
        Ellipse(-5, 0, 82, 122, -90),
        Ellipse(-15, -65, 60, 55, 60),
        Ellipse(-30, 60, 35, 38, 30),
        Ellipse(-48, 60, 14, 22, -950),
        *_both(35, 60, 26, 22, 35),
        *_SPINE,
    ),
    "abdomen of a child": (
        Ellipse(0, 0, 75, 98, 45),
        Ellipse(-8, -38, 45, 44, 60),
        Ellipse(-20, 35, 20, 25, -900),
        Ellipse(45, 0, 12, 14, 220),
        *_both(28, 35, 16, 13, 35),
    ),
    "pelvis": (
        Ellipse(0, 0, 120, 180, -100),
        Ellipse(5, 0, 95, 150, 50),
        Ellipse(-15, 0, 45, 50, 10),
        *_both(15, 105, 40, 18, 600, 0.5),
        *_both(15, 105, 34, 12, 150, 0.5),
        Ellipse(65, 0, 18, 40, 350),
    ),
    "thighs": (
        *_both(0, 90, 84, 82, -100),
        *_both(0, 90, 66, 64, 55),
        *_both(0, 92, 14, 14, 1300),
        *_both(0, 92, 8, 8, -60),
    ),
    "a thigh": (
        Ellipse(0, 0, 88, 84, -100),
        Ellipse(0, 0, 70, 68, 55),
        Ellipse(0, 2, 14, 14, 1300),
        Ellipse(0, 2, 8, 8, -60),
    ),
    "a lean calf": (
        Ellipse(0, 0, 58, 55, 55),
        Ellipse(-20, -8, 15, 14, 1200),
        Ellipse(-20, -8, 9, 8, -50),
        Ellipse(8, 32, 7, 7, 1200),
    ),
    "a knee": (
        Ellipse(0, 0, 66, 62, -90),
        Ellipse(0, 0, 58, 55, 40),
        *_both(8, 24, 26, 22, 500),
        *_both(8, 24, 23, 19, 180),
        Ellipse(-40, 0, 9, 20, 600),
    ),
    "a forearm": (
        Ellipse(0, 0, 38, 48, -90),
        Ellipse(0, 0, 33, 43, 55),
        *_both(0, 20, 8, 8, 1300),
        *_both(0, 20, 4, 4, -50),
    ),
    "a hand": tuple(
        part
        for place in (-54, -18, 18, 54)
        for part in (Ellipse(place / 6, place, 14, 14, 40), Ellipse(place / 6, place, 7, 6, 700))
    ),
    "a foot": (Ellipse(0, 0, 36, 105, 30), *(Ellipse(0, place, 22, 17, 400, 0.5) for place in (-70, -25, 20, 65))),
    "a neck": (
        Ellipse(0, 0, 62, 66, -90),
        Ellipse(0, 0, 55, 59, 50),
        Ellipse(-22, 0, 9, 10, -1000),
        Ellipse(22, 0, 13, 15, 400),
        Ellipse(40, 0, 8, 8, 30),
        *_both(-8, 32, 8, 8, 45),
    ),
    "shoulders": (
        Ellipse(0, 0, 80, 195, -100),
        Ellipse(0, 0, 66, 182, 50),
        *_both(0, 150, 26, 26, 400),
        *_both(5, 45, 30, 26, -850),
        *_SPINE[:2],
    ),
    "an animal's trunk": (Ellipse(0, 0, 70, 48, 45), *_both(-8, 20, 36, 16, -800, 0.3), Ellipse(45, 0, 8, 8, 400)),
    "a water cylinder": (Ellipse(0, 0, 105, 105, 120), Ellipse(0, 0, 100, 100, 0)),
    "a quality phantom": (
        Ellipse(0, 0, 100, 100, 90),
        *(
            Ellipse(58 * np.sin(turn), 58 * np.cos(turn), 8, 8, hu)
            for turn, hu in zip(
                np.linspace(0, 2 * np.pi, 9)[:-1], (-1000, -200, -100, -35, 120, 340, 950, 200), strict=True
            )
        ),
    ),
    "a bottle of oil": (Ellipse(0, 0, 45, 45, 60, 1), Ellipse(0, 0, 42, 42, -110)),
    "a ball": (Ellipse(0, 0, 80, 80, 60, 0.2),),
    "a melon": (
        Ellipse(0, 0, 95, 90, -60, 0.3),
        Ellipse(0, 0, 86, 81, 20, 0.3),
        Ellipse(0, 0, 40, 38, -80, 0.3),
        *(Ellipse(40 * np.sin(turn), 38 * np.cos(turn), 4, 4, 90) for turn in np.linspace(0, 6, 14)),
    ),
    "a coconut": (
        Ellipse(0, 0, 62, 60, -200, 0.3),
        Ellipse(0, 0, 50, 48, 250, 0.3),
        Ellipse(0, 0, 45, 43, 10, 0.3),
        Ellipse(0, 0, 34, 33, -950, 0.3),
    ),
    "an empty skull": (Ellipse(0, 0, 92, 72, 900, 0.4), Ellipse(0, 0, 85, 65, -1000, 0.4)),
    "an empty table": (Ellipse(160, 0, 30, 180, -700), Ellipse(150, 0, 32, 178, -1000)),
}


def body(parts: tuple[Ellipse, ...], random: Random) -> Volume:
    """Ellipses one over the other, no two bodies of one size or place, under a scanner's noise."""
    depth, height, width = SHAPE
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rows, columns = (rows - (height - 1) / 2) * SPACING_MM[1], (columns - (width - 1) / 2) * SPACING_MM[2]
    along = np.abs(np.linspace(-1, 1, depth))
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    size, aside, below = random.uniform(0.85, 1.1), *random.uniform(-15, 15, 2)
    for one in parts:
        grown = size * random.uniform(0.94, 1.06)
        for number, share in enumerate(1 - (1 - one.left_at_ends) * along**2):
            apart = np.hypot(
                (rows - below - size * one.down) / (one.high * grown * share),
                (columns - aside - size * one.right) / (one.wide * grown * share),
            )
            inside = (apart < 1) & (apart >= (1 - one.wall / one.high if one.wall else 0))
            hu[number][inside] = one.hu + random.normal(0, 2)
    grain = ndimage.gaussian_filter(random.normal(0, 1, SHAPE), (0, 0.7, 0.7)) * 20
    return _volume(np.clip(ndimage.gaussian_filter(hu, (0, 0.6, 0.6)) + grain, -1024, 3071))


def _volume(voxels: NDArray[Any], modality: str = "CT") -> Volume:
    return Volume(voxels.astype(np.float32), display_affine(voxels.shape, SPACING_MM), modality)


def _slice_of(parts: tuple[Ellipse, ...], window: str, random: Random) -> Picture:
    volume = body(parts, random)
    return _levels(apply_window(volume.voxels[len(volume.voxels) // 2], WINDOWS[window]))


def _projection_of(parts: tuple[Ellipse, ...], random: Random) -> Picture:
    """As a radiograph from the front: what is dense is white, what is beside the body black."""
    sums = (body(parts, random).voxels + 1000).clip(0).sum(axis=1)[::-1]
    return np.asarray(Image.fromarray(_levels(sums / sums.max())).resize((SIDE, SIDE)))


def _levels(grey: Grey) -> Picture:
    return np.asarray(np.rint(np.clip(grey, 0, 1) * 255), dtype=np.uint8)


def _scaled(values: Grey) -> Picture:
    low, high = float(values.min()), float(values.max())
    return _levels((values - low) / (high - low))


def _clouds(random: Random, shape: tuple[int, ...] = (SIDE, SIDE)) -> Grey:
    """Noise of all sizes, the larger the stronger, 0..1."""
    parts = (ndimage.gaussian_filter(random.normal(0, 1, shape), size, mode="wrap") * size**1.5 for size in (2, 5, 11))
    total = np.sum(list(parts), axis=0)
    return np.asarray((total - total.min()) / np.ptp(total))


def _photograph(library: str, name: str, random: Random) -> Picture:
    """One that a package carries, from another cut each time; `grey`: without its colours."""
    package, folder = (sklearn, "datasets/images") if library == "sklearn" else (skimage, "data")
    path = next((Path(package.__file__).parent / folder).glob(f"{name}.*"))
    picture = Image.open(path).convert("L" if library == "grey" else "RGB")
    share = random.uniform(0.7, 1.0)
    width, height = (round(share * side) for side in picture.size)
    left, top = random.integers(0, (picture.width - width + 1, picture.height - height + 1)).tolist()
    return np.asarray(picture.crop((left, top, left + width, top + height)))


def _drawn(draw: Callable[[ImageDraw.ImageDraw, Random], None], paper: int, random: Random) -> Picture:
    page = Image.new("L", (400, 400), paper)
    draw(ImageDraw.Draw(page), random)
    return np.asarray(page)


def _text(ink: int, draw: ImageDraw.ImageDraw, random: Random) -> None:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz     .,"))
    for row in range(10, 390, 14):
        draw.text((12, row), "".join(random.choice(letters, 58)), fill=ink)


def _lines(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.line((40, 20, 40, 360, 380, 360), fill=0, width=2)
    for grey in (0, 90, 160):
        heights = 180 + np.cumsum(random.normal(0, 12, 35))
        draw.line([(40 + 10 * place, float(high)) for place, high in enumerate(heights)], fill=grey, width=2)


def _bars(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.line((40, 20, 40, 360, 380, 360), fill=0, width=2)
    for place, high in enumerate(random.uniform(20, 320, 10)):
        draw.rectangle((55 + 32 * place, 360 - high, 77 + 32 * place, 360), fill=int(random.integers(60, 200)))


def _scribble(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.line([tuple(place) for place in random.uniform(20, 380, (60, 2))], fill=20, width=4, joint="curve")


def _table(draw: ImageDraw.ImageDraw, random: Random) -> None:
    for place in range(20, 400, 36):
        draw.line((20, place, 380, place), fill=80)
        draw.line((place, 20, place, 380), fill=80)
        for column in range(24, 380, 36):
            draw.text((column, place + 10), f"{random.uniform(0, 99):.1f}", fill=0)


def _screen(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.rectangle((0, 0, 400, 28), fill=60)
    draw.rectangle((0, 28, 110, 400), fill=40)
    for row in range(40, 390, 24):
        draw.text((8, row), "patient list", fill=200)
        draw.rectangle((120, row, 120 + random.uniform(60, 260), row + 12), fill=int(random.integers(60, 230)))


def _bleeds(draw: ImageDraw.ImageDraw, random: Random) -> None:
    for _ in range(3):
        x, y, wide, high = random.uniform((90, 90, 15, 15), (300, 300, 60, 60))
        draw.ellipse((x - wide, y - high, x + wide, y + high), fill=255)


def _regions(random: Random) -> Picture:
    """A map of areas of one grey each within an outline, as an atlas is drawn."""
    seeds = random.uniform(-0.8, 0.8, (24, 2))
    apart = np.hypot(_ROWS[..., None] - seeds[:, 0], _COLUMNS[..., None] - seeds[:, 1])
    inside = np.hypot(_ROWS / 0.85, _COLUMNS / 0.7) < 1
    return np.asarray(np.where(inside, 10 * (1 + apart.argmin(axis=-1)), 0), dtype=np.uint8)


def _fan(random: Random) -> Picture:
    """Speckle in a sector, as of ultrasound."""
    depth, angle = np.hypot(_ROWS + 1, _COLUMNS), np.arctan2(_COLUMNS, _ROWS + 1)
    speckle = ndimage.gaussian_filter(random.rayleigh(0.5, (SIDE, SIDE)), 1.2) * (0.4 + _clouds(random))
    return _levels(np.where((depth > 0.15) & (depth < 1.9) & (np.abs(angle) < 0.6), speckle, 0))


def _spots(random: Random) -> Picture:
    """Blurred hot spots on grey, as of PET."""
    hot = np.zeros((SIDE, SIDE))
    hot[tuple(random.integers(60, 196, (2, 12)))] = random.uniform(20, 200, 12)
    trunk = np.hypot(_ROWS / 0.9, _COLUMNS / 0.5) < 1
    return _levels(ndimage.gaussian_filter(hot, 6) + 0.25 * ndimage.gaussian_filter(trunk.astype(float), 5))


def _mr_head(plane: int, random: Random) -> Picture:
    """A slice of a T1 phantom across one of its axes."""
    spec = PhantomSpec(patients=1000, slices=48, matrix=128, product="t1")
    volume = generate_patient(spec, int(random.integers(1000))).image
    return _cut(volume, plane, 0, float(np.percentile(volume.voxels, 99.5)))


def _head_across(plane: int, random: Random) -> Picture:
    """A coronal or sagittal slice of a CT phantom: a head, in no plane that the networks know."""
    volume = generate_patient(PhantomSpec(patients=1000, slices=48, matrix=128), int(random.integers(1000))).image
    return _cut(volume, plane, 0, 80)


def _cut(volume: Volume, plane: int, low: float, high: float) -> Picture:
    grey = _levels((np.take(volume.voxels, volume.shape[plane] // 2, axis=plane) - low) / (high - low))
    sizes = [size for axis, size in enumerate(volume.spacing_mm) if axis != plane]
    tall = round(SIDE * grey.shape[0] * sizes[0] / (grey.shape[1] * sizes[1]))
    return np.asarray(Image.fromarray(grey[::-1] if plane else grey).resize((SIDE, tall)))


def _mr(parts: tuple[Ellipse, ...], random: Random) -> Volume:
    """A body as an MRI shows it: fat bright, muscle grey, bone and air black."""
    hu = ndimage.gaussian_filter(body(parts, random).voxels, (0, 0.5, 0.5))
    signal = np.interp(hu, (-1000, -300, -100, -30, 50, 150, 400), (0, 10, 500, 300, 180, 120, 15))
    return _volume(np.abs(signal + random.normal(0, 8, SHAPE)))


def _labels(parts: tuple[Ellipse, ...], random: Random) -> Volume:
    hu = ndimage.gaussian_filter(body(parts, random).voxels, (0, 1, 1))
    return _volume(np.digitize(hu, (-900, -400, -150, -20, 100, 300, 700)).astype(np.float32) * 7)


def _mr_as_ct(random: Random) -> Volume:
    """An MRI of a head whose values were scaled to a CT's."""
    spec = PhantomSpec(patients=1000, slices=24, matrix=128, product="t1")
    image = generate_patient(spec, int(random.integers(1000))).image
    return image.with_voxels(image.voxels / image.voxels.max() * 2000 - 1000, "CT")


def _boxes(random: Random) -> Volume:
    """A bag on its way through a scanner."""
    hu = np.full(SHAPE, -1000.0)
    for _ in range(25):
        low = (random.uniform(0, 0.7, 3) * SHAPE).astype(int)
        high = low + (random.uniform(0.08, 0.35, 3) * SHAPE).astype(int) + 1
        hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = random.uniform(-300, 1500)
    return _volume(hu + random.normal(0, 10, SHAPE))


def _stacked(name: str, random: Random) -> Volume:
    picture = Image.fromarray(_photograph("grey", name, random)).resize(SHAPE[2:0:-1])
    shade = np.asarray(picture, dtype=np.float32)[None] + random.normal(0, 3, SHAPE)
    return _volume(shade * 8 - 1000)


def _across(name: str) -> NDArray[np.float64]:
    depth, rows, columns = np.meshgrid(*(np.linspace(0, 1, size) for size in SHAPE), indexing="ij")
    return np.asarray({"slope": rows + 0.3 * columns, "waves": 0.5 + 0.5 * np.sin(40 * rows + 9 * depth)}[name])


def _noises() -> dict[str, Callable[[Random], Picture]]:
    size, disc = (SIDE, SIDE), np.hypot(_ROWS / 0.8, _COLUMNS / 0.65) < 1
    return {
        "noise, even": lambda random: random.integers(0, 256, size, dtype=np.uint8),
        "noise, normal": lambda random: _levels(random.normal(0.5, 0.15, size)),
        "noise, salt and pepper": lambda random: np.where(random.random(size) < 0.5, 0, 255).astype(np.uint8),
        "noise in an ellipse": lambda random: _levels(random.normal(0.5, 0.15, size) * disc),
        "noise, blurred": lambda random: _scaled(ndimage.gaussian_filter(random.normal(0, 1, size), 3)),
        "clouds": lambda random: _levels(_clouds(random)),
        "clouds in an ellipse": lambda random: _levels(_clouds(random) * disc),
        "clouds in a white ring": lambda random: _levels(
            np.where(np.hypot(_ROWS / 0.9, _COLUMNS / 0.75) < 1, np.where(disc, 0.8 * _clouds(random), 1), 0)
        ),
    }


def _patterns() -> dict[str, Callable[[Random], Picture]]:
    far = np.hypot(_ROWS, _COLUMNS)
    squares = np.indices((SIDE, SIDE)) // 16
    return {
        "a slope of grey": lambda random: _scaled(_ROWS + random.uniform(-1, 1) * _COLUMNS),
        "a round slope": lambda random: _levels(1 - random.uniform(0.6, 1) * far),
        "a chessboard": lambda random: np.uint8(255) * (squares.sum(axis=0) % 2 == 0),
        "stripes": lambda random: _levels(0.5 + 0.5 * np.sin(random.uniform(20, 60) * (_ROWS + _COLUMNS))),
        "rings": lambda random: _levels(0.5 + 0.5 * np.cos(random.uniform(15, 60) * far**2)),
        "a white ellipse": lambda random: _levels(
            (np.hypot(_ROWS / 0.8, _COLUMNS / random.uniform(0.5, 0.8)) < 1) * random.uniform(0.4, 1)
        ),
        "a mask of bleeds": partial(_drawn, _bleeds, 0),
        "a map of labels": _regions,
    }


def _documents() -> dict[str, Callable[[Random], Picture]]:
    return {
        "a page of text": partial(_drawn, partial(_text, 0), 255),
        "white text on black": partial(_drawn, partial(_text, 255), 0),
        "curves of a plot": partial(_drawn, _lines, 255),
        "bars of a plot": partial(_drawn, _bars, 255),
        "a scribble": partial(_drawn, _scribble, 240),
        "a table": partial(_drawn, _table, 255),
        "a screenshot": partial(_drawn, _screen, 20),
    }


def _photographs() -> dict[str, Callable[[Random], Picture]]:
    found = {f"{name}, photograph": ("skimage", name) for name in PHOTOGRAPHS["skimage"]}
    found |= {f"{name}, in grey": ("grey", name) for name in PHOTOGRAPHS["grey"]}
    found |= {f"{name}, photograph": ("sklearn", name) for name in ("china", "flower")}
    return {kind: partial(_photograph, *which) for kind, which in found.items()}


def _scans() -> dict[str, Callable[[Random], Picture]]:
    shown = [
        ("chest", "soft"),
        ("chest", "lung"),
        ("chest", "brain"),
        ("chest of a thin person", "soft"),
        ("abdomen", "soft"),
        ("abdomen", "brain"),
        ("abdomen of a child", "soft"),
        ("pelvis", "bone"),
        ("thighs", "soft"),
        ("a thigh", "soft"),
        ("a lean calf", "soft"),
        ("a knee", "bone"),
        ("a forearm", "soft"),
        ("a hand", "bone"),
        ("a foot", "bone"),
        ("a neck", "soft"),
        ("shoulders", "soft"),
        ("a quality phantom", "soft"),
        ("a water cylinder", "brain"),
        ("a melon", "soft"),
        ("a coconut", "soft"),
        ("an empty skull", "bone"),
    ]
    return {
        **{f"{name}, {window} window": partial(_slice_of, BODIES[name], window) for name, window in shown},
        **{f"{name}, radiograph": partial(_projection_of, BODIES[name]) for name in ("chest", "pelvis", "a hand")},
        "ultrasound": _fan,
        "hot spots of PET": _spots,
        "MRI of a head, axial": partial(_mr_head, 0),
        "MRI of a head, sagittal": partial(_mr_head, 2),
        "CT of a head, coronal": partial(_head_across, 1),
        "CT of a head, sagittal": partial(_head_across, 2),
    }


def _volumes() -> dict[str, Callable[[Random], Volume]]:
    mr = ("chest", "abdomen", "thighs", "a thigh", "a lean calf", "a knee")
    return {
        **{name: partial(body, parts) for name, parts in BODIES.items()},
        **{f"{name}, MRI": partial(_mr, BODIES[name]) for name in mr},
        **{f"{name}, map of labels": partial(_labels, BODIES[name]) for name in ("chest", "abdomen", "a knee")},
        **{f"{name}, as a stack": partial(_stacked, name) for name in ("camera", "coins", "astronaut", "moon")},
        "noise, even": lambda random: _volume(random.uniform(-1000, 1000, SHAPE)),
        "noise about water": lambda random: _volume(random.normal(0, 30, SHAPE)),
        "clouds": lambda random: _volume(_clouds(random, SHAPE) * 2000 - 1000),
        "clouds about water": lambda random: _volume(_clouds(random, SHAPE) * 200 - 100),
        "a slope": lambda random: _volume(_across("slope") * 1500 - 1000 + random.normal(0, 4, SHAPE)),
        "waves": lambda random: _volume(_across("waves") * 1200 - 1000 + random.normal(0, 4, SHAPE)),
        "a mask": lambda random: _volume(_clouds(random, SHAPE) > 0.6),
        "probabilities": lambda random: _volume(_clouds(random, SHAPE) ** 3),
        "a bag with things": _boxes,
        "MRI of a head as CT": _mr_as_ct,
    }


PICTURES: Mapping[str, Callable[[Random], Picture]] = {
    **_noises(),
    **_patterns(),
    **_documents(),
    **_photographs(),
    **_scans(),
}
VOLUMES: Mapping[str, Callable[[Random], Volume]] = _volumes()
