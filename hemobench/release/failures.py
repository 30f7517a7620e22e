"""failures.png: the worst misses and false alarms of a network among phantoms, truth beside answer; patients never.

A classifier's cases are drawn from the data set itself; a segmenter's are what was measured, on the network's grid.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples
from hemobench.inference.config import VENTRICLE_ROLES
from hemobench.inference.overview.canvas import FAINT, MUTED, PANEL, TEXT, Canvas, Colour, mixed
from hemobench.inference.overview.frame import MARGIN, draw_footer, draw_header, draw_swatches
from hemobench.inference.overview.slices import BLOOD_COLOURS, RGB, VENTRICLE_COLOURS, SlicePictures, fullest_slice
from hemobench.inference.overview.style import CAUTION, TYPE_COLOURS, VENTRICLE_COLOUR, counted, millilitres
from hemobench.inference.report import NOTICE
from hemobench.labels import LABEL_IDS, SUBTYPES
from hemobench.training.result import CaseScores, SlicePredictions
from hemobench.views.view import SegmentationView
from hemobench.volume import GREY, Volume, display_affine, slice_number

EACH = 4  # misses, and false alarms
MOST_BYTES = 250_000
_TILE, _ASPECT, _GAP, _GUTTER = 150, 1.2, 3, 14
_WIDTH = 2 * MARGIN + EACH * (2 * _TILE + _GAP) + (EACH - 1) * _GUTTER
_HEIGHT = round(_TILE * _ASPECT)
_ANSWER: Colour = (190, 240, 60)  # of no type, and seen on blood and bone
_GREYS = (128, 96, 64, 48, 32, 24, 16, 12)
# Masks (D, H, W) of rows of examples, as np.packbits leaves them.
Masks = Callable[[Examples, NDArray[np.int64]], Mapping[int, NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Failure:
    """One case: two pictures with a word each, and two lines below them."""

    pictures: tuple[tuple[RGB, str], tuple[RGB, str]]
    lines: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Failures:
    """What a network missed and what it saw where nothing is, the worst first. rule: when something is called."""

    misses: Sequence[Failure]
    false_alarms: Sequence[Failure]
    rule: str = ""


def classifier_failures(predictions: SlicePredictions, dataset: Dataset, threshold: float) -> Failures:
    """Bleeding patients whose likeliest slice is the least likely, and patients without blood whose is the most.

    The first are drawn where most of their blood is, the second at that slice. threshold: from which a slice is called.
    """
    assert dataset.info.phantom
    studies = np.unique(predictions.study_ids)
    highest = np.asarray([predictions.probabilities[predictions.study_ids == study, -1].max() for study in studies])
    bleeds = np.asarray([predictions.targets[predictions.study_ids == study, -1].any() for study in studies])
    order = np.argsort(highest, kind="stable")
    missed = [study for study in order if bleeds[study]][:EACH]
    alarms = [study for study in order[::-1] if not bleeds[study]][:EACH]
    by_study = {case.study_id: case for case in dataset.cases}

    def drawn(number: int, draw: Callable[..., Failure]) -> Failure:
        rows = predictions.study_ids == studies[number]
        loaded = by_study[str(studies[number])].load()
        pictures = SlicePictures(loaded.image, loaded.label_map, BLOOD_COLOURS)
        probabilities = np.zeros((loaded.image.shape[0], predictions.probabilities.shape[1]))
        probabilities[predictions.slice_indices[rows]] = predictions.probabilities[rows]
        return draw(pictures, probabilities, threshold)

    return Failures(
        [drawn(one, _missed_study) for one in missed],
        [drawn(one, _alarming_study) for one in alarms],
        f"a slice is called from {threshold:.2f} on",
    )


def _missed_study(pictures: SlicePictures, probabilities: NDArray[np.float64], threshold: float) -> Failure:
    assert pictures.label_map is not None
    index = fullest_slice(pictures.label_map) or 0
    highest = float(probabilities[:, -1].max())
    said = "missed" if highest < threshold else "called"
    slices = counted(int(pictures.label_map.any(axis=(1, 2)).sum()), "slice")
    return Failure(
        (
            (pictures.axial(index, _TILE, _HEIGHT, labels=False), f"slice {slice_number(index)}"),
            (pictures.axial(index, _TILE, _HEIGHT), "truth"),
        ),
        (
            f"{_types(pictures)}, {_millilitres(pictures.volume.voxel_volume_ml, pictures.label_map > 0)}, {slices}",
            f"{said}: here {probabilities[index, -1]:.2f}, at most {highest:.2f}",
        ),
    )


def _alarming_study(pictures: SlicePictures, probabilities: NDArray[np.float64], threshold: float) -> Failure:
    index = int(probabilities[:, -1].argmax())
    highest = float(probabilities[index, -1])
    said = "false alarm" if highest >= threshold else "not called"
    likeliest = SUBTYPES[int(probabilities[index, :-1].argmax())]
    return Failure(
        (
            (pictures.axial(index, _TILE, _HEIGHT, labels=False), f"slice {slice_number(index)}"),
            (pictures.axial(index, _TILE, _HEIGHT, labels=False, window="bone"), "bone window"),
        ),
        (f"no blood; taken for {likeliest} {probabilities[index, :-1].max():.2f}", f"{said}: here {highest:.2f}"),
    )


def segmenter_failures(scores: CaseScores, examples: Examples, masks: Masks) -> Failures:
    """Cases of which the least share was found, and those with most outlined where nothing is."""
    assert examples.phantom
    assert isinstance(examples.view, SegmentationView)
    suffix = examples.view.suffix
    true_ml, pred_ml = (scores.values[f"volume_ml_{kind}_{suffix}"] for kind in ("true", "pred"))
    found = np.nan_to_num(scores.values[f"sensitivity_{suffix}"])
    false_ml = pred_ml - true_ml * found
    present = np.flatnonzero((true_ml > 0) & (found < 1))
    missed = present[np.lexsort((-true_ml[present], found[present]))][:EACH]
    alarms = [one for one in np.argsort(-false_ml, kind="stable") if false_ml[one] > 0][:EACH]
    row_of = {study: row for row, study in enumerate(examples.study_ids.tolist())}
    rows = {one: row_of[str(scores.study_ids[one])] for one in (*missed.tolist(), *alarms)}
    answers = masks(examples, np.asarray(sorted(set(rows.values())), dtype=np.int64))

    def drawn(number: int, *, missing: bool) -> Failure:
        truth = np.asarray(examples.targets[rows[number], 0])
        mask = np.unpackbits(answers[rows[number]], count=truth.size).reshape(truth.shape).astype(np.uint8)
        return _outlined_case(examples, rows[number], truth, mask, missing=missing)

    return Failures([drawn(one, missing=True) for one in missed], [drawn(one, missing=False) for one in alarms])


def _outlined_case(
    examples: Examples, row: int, truth: NDArray[np.uint8], mask: NDArray[np.uint8], *, missing: bool
) -> Failure:
    assert isinstance(examples.view, SegmentationView)
    spacing = tuple(float(length) for length in examples.spacing_mm[row])
    grey = np.asarray(examples.images[row, 0], dtype=np.float32) / 255
    shape = (truth.shape[0], truth.shape[1], truth.shape[2])
    volume = Volume(grey, display_affine(shape, (spacing[0], spacing[1], spacing[2])), GREY)
    colours = _colours_of(examples.view)
    wrong = (truth > 0) & (mask == 0) if missing else (truth == 0) & (mask > 0)
    index = fullest_slice(wrong.astype(np.uint8)) or 0
    answered = VENTRICLE_COLOUR if examples.view.target == "ventricles" else _ANSWER
    true, answer = SlicePictures(volume, truth, colours), SlicePictures(volume, mask, {1: answered})
    voxel_ml = float(abs(np.linalg.det(examples.steps_mm(row)))) / 1000.0
    amount = _millilitres(voxel_ml, wrong)
    told = f"{amount} of {_millilitres(voxel_ml, truth > 0)} missed" if missing else f"{amount} outlined where none is"
    kinds = _types(true) if examples.view.target == "subtypes" else examples.view.suffix.replace("any", "blood")
    return Failure(
        (
            (true.axial(index, _TILE, _HEIGHT), f"slice {slice_number(index)}, truth"),
            (answer.axial(index, _TILE, _HEIGHT), "answer"),
        ),
        (told, f"truth: {kinds if truth.any() else 'none'}"),
    )


def _colours_of(view: SegmentationView) -> Mapping[int, Colour]:
    """Colours of a view's labels."""
    if view.target == "ventricles":
        return VENTRICLE_COLOURS
    return BLOOD_COLOURS if view.target == "subtypes" else {1: _ANSWER}


def _types(pictures: SlicePictures) -> str:
    present = [name for name, number in LABEL_IDS.items() if np.any(pictures.label_map == number)]
    return present[0] if len(present) == 1 else f"{present[0]} and {len(present) - 1} more" if present else "none"


def _millilitres(voxel_volume_ml: float, mask: NDArray[np.bool_]) -> str:
    return f"{millilitres(float(np.count_nonzero(mask) * voxel_volume_ml))} mL"


def draw_failures(failures: Failures, name: str, data: str, role: str) -> bytes:
    """The page as a PNG of at most MOST_BYTES, in fewer greys where that needs it."""
    block = _HEIGHT + 50
    canvas = Canvas(_WIDTH, 200 + 2 * (block + 40))
    y = draw_header(canvas, f"where {name} fails: the worst of {data}, which are PHANTOMS")
    entries = [("ventricles", VENTRICLE_COLOUR)] if role in VENTRICLE_ROLES else list(TYPE_COLOURS.items())
    entries += [("blood, as answered", _ANSWER)] if role == "haemorrhage" else []
    x = draw_swatches(canvas, MARGIN, y + 8, entries)
    canvas.text(x + 8, y + 8, failures.rule, 14, MUTED, anchor="lm")
    y += 30
    for title, shown in (("worst misses", failures.misses), ("worst false alarms", failures.false_alarms)):
        canvas.text(MARGIN, y, title.upper() + ("" if shown else ": none"), 13, MUTED)
        y += 24
        for number, failure in enumerate(shown):
            _draw_failure(canvas, failure, MARGIN + number * (2 * _TILE + _GAP + _GUTTER), y)
        y += block + 12 if shown else 0
    sides = "Seen from the feet: the right (R) is on the left."
    return _encoded(canvas.finished(draw_footer(canvas, NOTICE, y, sides)))


def _draw_failure(canvas: Canvas, failure: Failure, x: int, y: int) -> None:
    wide = 2 * _TILE + _GAP
    canvas.fill((x, y, x + wide, y + _HEIGHT + 50), PANEL, radius=6)
    for number, (picture, words) in enumerate(failure.pictures):
        left = x + number * (_TILE + _GAP)
        canvas.picture(left, y, picture)
        canvas.outlined_text(left + 6, y + 4, words, 12, TEXT if number == 0 else MUTED)
        canvas.outlined_text(left + 5, y + _HEIGHT // 2, "R", 12, FAINT, anchor="lm")
    for number, line in enumerate(failure.lines):
        canvas.text(x + 8, y + _HEIGHT + 6 + 20 * number, line, 13, (TEXT, MUTED)[number], limit=wide - 16)


def _encoded(page: Image.Image) -> bytes:
    """A PNG with a palette: greys, and the project's colours at every strength that a tint has."""
    content = b""
    for greys in _GREYS:
        ramp: list[Colour] = [(level, level, level) for level in np.linspace(0, 255, greys).astype(int).tolist()]
        tints = [
            mixed((level, level, level), colour, share)
            for colour in (*TYPE_COLOURS.values(), VENTRICLE_COLOUR, CAUTION, _ANSWER)
            for level in (20, 80, 140, 200)
            for share in (0.32, 0.66, 1.0)
        ]
        palette = Image.new("P", (1, 1))
        palette.putpalette([value for colour in [*ramp, *dict.fromkeys(tints)][:256] for value in colour])
        buffer = io.BytesIO()
        page.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        content = buffer.getvalue()
        if len(content) <= MOST_BYTES:
            return content
    return content
