"""What the report shows of a board beside its table: curves, confusion matrices and example rows, from RunResults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hemobench.compare.cases import entry_cases
from hemobench.compare.data_uris import PREDICTION_COLOUR, TRUTH_COLOUR, enlarged, overlay, png_data_uri
from hemobench.compare.figures import Curve
from hemobench.compare.leaderboard import Board
from hemobench.compare.prediction_curves import precision_recall_lines, prevalence, reliabilities, roc_lines, volumes
from hemobench.compare.report import Confusion, Disagreements, Evidence, ExampleCell, ExampleRow
from hemobench.labels import CLASSES, PAPER_CLASSES, SUBTYPES, to_paper_class
from hemobench.training.config import EPOCH_MONITOR, LOSS_MONITOR, monitor_column
from hemobench.training.result import CaseScores, Pictures, Predictions, RunResult, SlicePredictions

CALL_THRESHOLD = 0.5
# The field's abbreviations keep the axes short, in the order of PAPER_CLASSES.
SLICE_CALLS = ("none", "EDH", "IPH", "IVH", "SAH", "SDH", "multiple")
CLASS_CALLS = SLICE_CALLS[1:]
VOXEL_CALLS = ("background", "mask")
MAX_EXAMPLES = 8
# Who lacks one of them says nothing of some type, or only ranks and calls.
_TYPES_ASKED = tuple(f"auroc_{name}" for name in SUBTYPES)
_SURE = "ece_any"

Runs = Mapping[str, Sequence[RunResult]]


def board_evidence(
    board: Board,
    runs: Runs,
    *,
    notes: Sequence[str] = (),
    pictures: bool = True,
    disagreements: Disagreements | None = None,
) -> Evidence:
    """Everything the report needs of a board whose entries' runs are given, name to one run a seed.

    pictures: False leaves out every example picture, for pages about patients that are to be passed on. Entries that
    nobody trained have runs without a history, and no figure of what they do not answer.
    """
    runs = {entry.name: runs[entry.name] for entry in board.entries if entry.name in runs}
    every = [run for group in runs.values() for run in group]
    curves = [(name, run) for name, group in runs.items() for run in group if run.history]
    monitor = next((_plotted(run) for _, run in curves), None)
    return Evidence(
        board=board,
        curves=tuple(_curve(name, run) for name, run in curves),
        validation_metric=monitor or board.rank_by,
        confusions=tuple(_confusion(name, group) for name, group in _with(runs, board, _TYPES_ASKED).items()),
        confusion_caption=_CONFUSION[_kind(every[0].test)],
        examples=example_rows(runs) if pictures else (),
        examples_caption=_EXAMPLES[_kind(every[0].test)],
        notes=tuple(notes),
        roc=roc_lines(runs),
        precision_recall=precision_recall_lines(runs),
        prevalence=prevalence(runs),
        reliabilities=reliabilities(board, _with(runs, board, (_SURE,))),
        volumes=volumes(runs),
        cases=entry_cases(runs, pictures=pictures),
        made_with=(*_made_with(every), *_whose(board, runs)),
        disagreements=disagreements,
    )


_TYPES = (
    "epidural (EDH), intraparenchymal (IPH), intraventricular (IVH), subarachnoid (SAH), subdural (SDH), several "
    "(multiple)"
)
_CONFUSION = {
    "types": f"Test slices, all seeds together, types called at a probability of 0.5: {_TYPES} or none.",
    "classes": f"Test slices, all seeds together, the likeliest class called: {_TYPES}.",
    "masks": "Volume in mL over the test patients, all seeds together: truth against prediction.",
}
_EXAMPLES = {
    "types": "Test slices with their types; below, what each entry (first seed) calls, with its probability of any "
    "haemorrhage.",
    "classes": "Test slices with their class; below, the class that each entry (first seed) calls, with its "
    "probability.",
    "masks": "Test slices with the true mask in green; below, each entry's predicted mask (first seed) in orange.",
}


def _with(runs: Runs, board: Board, metrics: Sequence[str]) -> Runs:
    """The runs of the entries that have all of these metrics, as far as the board has them."""
    held = {entry.name: entry.metrics for entry in board.entries}
    asked = [metric for metric in metrics if any(metric in own for own in held.values())]
    return {name: group for name, group in runs.items() if all(metric in held[name] for metric in asked)}


def slice_confusion(predictions: SlicePredictions) -> NDArray[np.int64]:
    """Counts of truth by call of slices: (7, 7) of none, one of the five types, or multiple; of exclusive classes
    (6, 6), the paper's, the likeliest being called."""
    if predictions.exclusive:
        truth, calls = predictions.targets.argmax(axis=1), predictions.probabilities.argmax(axis=1)
        size = len(PAPER_CLASSES)
    else:
        types = slice(len(SUBTYPES))
        truth = to_paper_class(predictions.targets[:, types]) + 1
        calls = to_paper_class((predictions.probabilities[:, types] >= CALL_THRESHOLD).astype(np.uint8)) + 1
        size = len(SLICE_CALLS)
    return np.bincount(truth * size + calls, minlength=size * size).reshape(size, size).astype(np.int64)


def volume_confusion(scores: CaseScores) -> NDArray[np.float64]:
    """Volumes (2, 2) in mL of truth by prediction, background then mask, summed over cases.

    They follow from the scores of a case: the overlap is Dice times the mean of both volumes, the field's volume is
    the background's over the background's share.
    """
    suffix = next(name for name in scores.values if name.startswith("dice_")).removeprefix("dice_")
    true_ml, pred_ml = scores.values[f"volume_ml_true_{suffix}"], scores.values[f"volume_ml_pred_{suffix}"]
    overlap_ml = np.nan_to_num(scores.values[f"dice_{suffix}"]) * (true_ml + pred_ml) / 2
    mask_share = 1 - scores.values["voxel_accuracy_background"]
    known = mask_share > 0
    field_ml = float(np.mean(true_ml[known] / mask_share[known])) * len(true_ml) if known.any() else math.nan
    hits, missed, invented = overlap_ml.sum(), (true_ml - overlap_ml).sum(), (pred_ml - overlap_ml).sum()
    return np.asarray([[field_ml - hits - missed - invented, invented], [missed, hits]])


def example_rows(runs: Runs) -> tuple[ExampleRow, ...]:
    """The truth's row of pictures, then one row an entry for the same slices, from each entry's first run."""
    first = {name: group[0] for name, group in runs.items()}
    pictures = {name: run.pictures for name, run in first.items() if len(run.pictures.where(""))}
    if not pictures:
        return ()
    reference = next(iter(pictures.values()))
    titles = [str(reference.titles[place]) for place in reference.where("")[:MAX_EXAMPLES]]
    kind = _kind(next(iter(first.values())).test)
    rows = [ExampleRow("truth", tuple(_truth_cell(reference, number, kind) for number in range(len(titles))))]
    for name, own in pictures.items():
        places = {str(own.titles[place]): int(place) for place in own.where("")}
        cells = [_prediction_cell(own, places[title], kind) if title in places else ExampleCell() for title in titles]
        rows.append(ExampleRow(name, tuple(cells)))
    return tuple(rows)


def _kind(test: Predictions) -> str:
    """What a run's examples show: masks, types that may come together, or one of the paper's classes."""
    if isinstance(test, CaseScores):
        return "masks"
    return "classes" if test.exclusive else "types"


def _truth_cell(pictures: Pictures, number: int, kind: str) -> ExampleCell:
    title, grey = str(pictures.titles[number]), pictures.images[number]
    if kind == "masks":
        picture = overlay(grey, pictures.truth[number] > 0, TRUTH_COLOUR)
        return ExampleCell(png_data_uri(picture), f"{title} with the true mask", title)
    names = PAPER_CLASSES if kind == "classes" else SUBTYPES
    types = [name for name, present in zip(names, pictures.truth[number], strict=False) if present]
    return ExampleCell(png_data_uri(enlarged(grey)), title, f"{', '.join(types) or 'no haemorrhage'} ({title})")


def _prediction_cell(pictures: Pictures, number: int, kind: str) -> ExampleCell:
    title = str(pictures.titles[number])
    if kind == "masks":
        picture = overlay(pictures.images[number], pictures.prediction[number] > 0, PREDICTION_COLOUR)
        overlap = _dice(pictures.truth[number] > 0, pictures.prediction[number] > 0)
        caption = "no mask in either" if overlap is None else f"Dice of this slice {overlap:.2f}"
        return ExampleCell(png_data_uri(picture), f"{title} with the predicted mask", caption)
    probabilities = pictures.prediction[number] / 255
    if kind == "classes":
        called = int(probabilities.argmax())
        return ExampleCell(caption=f"{PAPER_CLASSES[called]} {100 * probabilities[called]:.0f}%")
    calls = [name for name, value in zip(SUBTYPES, probabilities, strict=False) if value >= CALL_THRESHOLD]
    any_probability = probabilities[CLASSES.index("any")]
    return ExampleCell(caption=f"{', '.join(calls) or 'no type'}; any {100 * any_probability:.0f}%")


def _dice(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> float | None:
    both = int(truth.sum() + prediction.sum())
    return 2 * int((truth & prediction).sum()) / both if both else None


def _made_with(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """Versions, commits and hardware of the trained runs, each kind once: boards may be finished on another day."""
    lines = [
        f"hemobench {run.version} at commit {run.commit[:12]}, torch {run.hardware.get('torch', '?')}, "
        f"{run.hardware.get('device_name') or run.hardware.get('device', '?')}, {run.hardware.get('precision', '?')}, "
        f"{run.hardware.get('threads', '?')} threads a run"
        for run in runs
        if run.history
    ]
    return tuple(dict.fromkeys(lines))


def _whose(board: Board, runs: Runs) -> tuple[str, ...]:
    """Of each entry that nobody trained for the board, whose answers these are."""
    untrained = [entry for entry in board.entries if entry.name in runs and not runs[entry.name][0].history]
    return tuple(
        f"{entry.name}: {', '.join(f'{key} {value}' for key, value in entry.config.items() if isinstance(value, str))}"
        for entry in untrained
    )


def _plotted(run: RunResult) -> str:
    """The monitor of a run, or its loss where no score was watched."""
    monitor = run.config.resolved().monitor or LOSS_MONITOR
    return LOSS_MONITOR if monitor == EPOCH_MONITOR else monitor


def _curve(name: str, run: RunResult) -> Curve:
    column, rows = monitor_column(_plotted(run)), run.history
    return Curve(
        entry=name,
        seed=run.seed,
        epochs=[row.get("epoch", float(number + 1)) for number, row in enumerate(rows)],
        train_loss=[row.get("train_loss", math.nan) for row in rows],
        validation=[row.get(column, math.nan) for row in rows],
    )


def _confusion(name: str, group: Sequence[RunResult]) -> Confusion:
    tests = [run.test for run in group]
    slices = [test for test in tests if isinstance(test, SlicePredictions)]
    if slices:
        labels = CLASS_CALLS if slices[0].exclusive else SLICE_CALLS
        return Confusion(name, np.sum([slice_confusion(test) for test in slices], axis=0), labels)
    volumes = np.sum([volume_confusion(test) for test in tests if isinstance(test, CaseScores)], axis=0)
    return Confusion(name, np.rint(np.nan_to_num(volumes)).astype(np.int64), VOXEL_CALLS)
