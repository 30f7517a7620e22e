"""A checkpoint or a folder of predictions, by name, on an opened data set: what `hemobench.evaluate` does."""

from __future__ import annotations

from pathlib import Path

from hemobench.case import Dataset
from hemobench.errors import UserError, unknown_name
from hemobench.evaluation.run import Evaluation, check_measurable, check_seen, evaluate
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.engine import KINDS
from hemobench.predictions.folder import open_predictions
from hemobench.predictions.measure import evaluate_predictions
from hemobench.progress import ConsoleReporter, counting

PREDICTIONS = "predictions:"
"""What stands before a folder of another tool's answers."""


def measure_on(
    where: str | Path | Checkpoint,
    dataset: Dataset,
    folder: Path,
    *,
    engine: str = "auto",
    masks: bool = False,
    seen: tuple[bool, bool] = (False, False),
    again: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Measure what `where` names on a data set, its files under `folder`.

    seen: whether people whom a checkpoint knows are measured and marked, and whether they are left out. progress: on
    stderr. Raises: UserError.
    """
    if engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    if all(seen):
        raise UserError(
            "allow_seen and leave_out_seen; expected one of them: people whom a checkpoint knows are kept "
            "and marked, or left out; leave one off"
        )
    if isinstance(where, str) and where.startswith(PREDICTIONS):
        if masks or any(seen):
            raise UserError(
                "masks, allow_seen or leave_out_seen for predictions; expected them with a checkpoint "
                "alone; leave them out"
            )
        answers = open_predictions(Path(where[len(PREDICTIONS) :]).expanduser(), dataset)
        with ConsoleReporter() as reporter:
            counted = counting(reporter, f"measuring on {dataset.info.name}") if progress else None
            return evaluate_predictions(answers, dataset, folder, again=again, progress=counted)
    checkpoint = where if isinstance(where, Checkpoint) else open_checkpoint(where)
    check_measurable(checkpoint, dataset)
    kept = check_seen(checkpoint, dataset, allow=seen[0], leave_out=seen[1])
    with ConsoleReporter() as reporter:
        counted = counting(reporter, f"measuring on {dataset.info.name}") if progress else None
        return evaluate(checkpoint, kept, folder, engine=engine, masks=masks, again=again, progress=counted)
