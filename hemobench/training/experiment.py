"""One experiment: train, take the best weights, score the test patients, and keep everything as a RunResult."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hemobench import __version__
from hemobench.datasets.cache import Examples
from hemobench.datasets.splits import Split, check_disjoint
from hemobench.errors import UserError
from hemobench.models import count_parameters
from hemobench.progress import Reporter, Silent
from hemobench.training.checkpointing import load_tensors
from hemobench.training.config import TrainConfig
from hemobench.training.evaluate import Stopwatch, case_scores, mean_scores, slice_metrics, slice_predictions
from hemobench.training.example_slices import dice_of, slice_pictures, volume_pictures
from hemobench.training.hardware import peak_memory_mb
from hemobench.training.loop import BEST, HISTORY, LAST, TENSORBOARD, Trained, restored, train
from hemobench.training.problem import build_model, pose_problem
from hemobench.training.result import RESULT_FILE, CaseScores, Pictures, Predictions, RunResult, SlicePredictions
from hemobench.training.stream import ExampleStream, StreamSpec

_RUN_FILES = (RESULT_FILE, LAST, BEST, HISTORY, "predictions.npz", "pictures.npz")


def run_experiment(
    config: TrainConfig,
    examples: Examples,
    split: Split,
    output: Path,
    *,
    resume: bool = True,
    name: str | None = None,
    progress: Reporter | None = None,
    stream: StreamSpec | None = None,
    start: Path | None = None,
    tested: bool = True,
) -> RunResult:
    """Train a config on a split of the examples, score it on the test patients, save all of it under `output`.

    stream: phantoms that the config's `stream_share` comes from. start: folder of a finished run of the same network,
    whose best weights this one begins with.

    A finished run of the same config, data and split is returned as it is; an interrupted one goes on after its last
    finished epoch. One of another config, or `resume=False`, is trained again from the start in the same folder.
    The best epoch is chosen on the validation patients alone (on the test part where the split says `watch_test`);
    without any, the last one stands. With `tested` False the split may come without test patients, and nothing is
    measured. Raises: UserError.
    """
    config, reporter = config.resolved(), progress or Silent()
    check_disjoint(split)
    needed = ("train", "test") if tested else ("train",)
    parts = {part: _rows(examples, getattr(split, part), part, needed) for part in ("train", "validation", "test")}
    if split.watch_test:
        parts["validation"] = parts["test"]
    check_stream(config, stream)
    check_epochs(config, started=start is not None)
    taught_by = teachers(examples, stream, start)
    identity = f"{config.as_trained.fingerprint} {taught_by} {split.fingerprint}"
    finished = finished_result(output, config, taught_by, split) if resume else None
    if finished is not None:
        return finished
    _make_room(output, resume)
    problem = pose_problem(config, examples)
    rows = {part: own[problem.usable[own]] for part, own in parts.items()}
    if len(rows["train"]) == 0:
        raise UserError(
            f"no example of the training patients can be learnt from with loss '{config.loss}'; expected "
            "some; check the split and the loss"
        )
    with contextlib.ExitStack() as stack:
        assert config.view is not None
        trained = train(
            config,
            problem,
            examples,
            (rows["train"], rows["validation"]),
            output,
            identity=identity,
            resume=resume,
            reporter=reporter,
            stream=None
            if stream is None
            else stack.enter_context(ExampleStream(stream, config.view, masks=config.locates)),
            start=None if start is None else _weights(start),
        )
    reporter.say(f"{trained.plan.reason}; best epoch {trained.best_epoch}")
    result = _measure(config, examples, split, trained, rows, name or output.name)
    result = dataclasses.replace(result, data_fingerprint=taught_by)
    if trained.main_process:
        result.save(output)
    return result


def check_epochs(config: TrainConfig, *, started: bool) -> None:
    """Whether something is left to learn, or another run's weights to take as they are. Raises: UserError."""
    if config.epochs == 0 and not started:
        raise UserError(
            "epochs is 0 without a run to start with; expected a whole number of at least 1, or weights to "
            "take as they are; change one of the two"
        )


def check_stream(config: TrainConfig, stream: StreamSpec | None) -> None:
    """Whether there is a stream exactly where a run wants one. Raises: UserError."""
    if bool(config.stream_share) != (stream is not None):
        raise UserError(
            f"stream_share is {config.stream_share} {'without' if stream is None else 'with'} a stream; "
            "expected a stream exactly where the share is above 0; change one of the two"
        )


def load_model(directory: Path) -> tuple[nn.Module, TrainConfig]:
    """The network of a run folder with its best weights, in evaluation mode, and the config it was trained with.

    Input: float32 in [0, 1] as the config's view renders it. Raises: UserError when the folder has no checkpoint.
    """
    tensors, header = load_tensors(directory / BEST)
    config = TrainConfig.from_mapping(header["config"])
    model = build_model(config, header["in_channels"], header["num_outputs"])
    model.load_state_dict(tensors)
    return model.eval(), config


def score_run(run: RunResult, examples: Examples) -> RunResult:
    """A finished run as it does on all of other examples: its best weights, nothing learnt or chosen there.

    The result is the run's with these test predictions, metrics and pictures, and no validation. Raises: UserError
    when the run left no checkpoint or the examples are of another view.
    """
    if run.directory is None or examples.view != run.config.view:
        raise UserError(
            f"run '{run.name}' on examples of another view, or without a folder; expected those of its "
            "view; build the examples with it"
        )
    begin, watch = time.perf_counter(), Stopwatch()
    model, config = load_model(run.directory)
    trained = restored(config, model, pose_problem(config, examples), examples, run.best_epoch)
    rows = np.flatnonzero(trained.problem.usable)
    test, metrics, undefined, pictures = _scored(config, examples, trained, rows, watch)
    nobody, _, _, _ = _scored(config, examples, trained, rows[:0], Stopwatch())
    studies = len(np.unique(examples.study_ids))
    measured = {"test_seconds": time.perf_counter() - begin, "infer_ms_per_case": 1000 * watch.seconds / studies}
    return dataclasses.replace(
        run,
        dataset=examples.dataset,
        phantom=examples.phantom,
        data_fingerprint=examples.fingerprint,
        metrics=metrics,
        validation_metrics={},
        undefined=undefined,
        baselines=_baselines(test, metrics),
        timings={**run.timings, **measured},
        patients={"test": len(np.unique(examples.patient_ids))},
        test=test,
        validation=nobody,
        pictures=pictures,
    )


def _rows(examples: Examples, patients: tuple[str, ...], part: str, needed: tuple[str, ...]) -> NDArray[np.int64]:
    unknown = sorted(set(patients) - set(examples.units.tolist()))
    if unknown:
        raise UserError(
            f"{part} patients {', '.join(unknown[:5])} of the split are not in data set "
            f"'{examples.dataset}'; expected its patients; make the split from this data set"
        )
    if part in needed and not patients:
        raise UserError(f"the split has no {part} patients; expected at least one; change its fractions")
    return examples.rows_of(patients)


def teachers(examples: Examples, stream: StreamSpec | None = None, start: Path | None = None) -> str:
    """Fingerprint of all that a run learns from: its examples, a stream, and the run that it starts with."""
    if stream is None and start is None:
        return examples.fingerprint
    beside = [
        "" if stream is None else stream.fingerprint,
        "" if start is None else hashlib.sha256((start / BEST).read_bytes()).hexdigest(),
    ]
    return f"{examples.fingerprint} {hashlib.sha256(' '.join(beside).encode()).hexdigest()[:16]}"


def _weights(run: Path) -> Mapping[str, torch.Tensor]:
    return load_tensors(run / BEST)[0]


def finished_result(output: Path, config: TrainConfig, taught_by: str, split: Split) -> RunResult | None:
    """The result in the folder if it is whole and of this very run; taught_by: fingerprint of all it learnt from."""
    if not (output / RESULT_FILE).is_file():
        return None
    try:
        result = RunResult.load(output)
    except UserError:
        return None  # damaged or of an older schema: it is made again
    same = (
        result.config.fingerprint == config.fingerprint
        and result.data_fingerprint == taught_by
        and result.split_fingerprint == split.fingerprint
    )
    return result if same else None


def _make_room(output: Path, resume: bool) -> None:
    """A result that does not belong to this run goes first; checkpoints stay for resuming, which checks them."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in _RUN_FILES:
            if name in (LAST, BEST, HISTORY) and resume:
                continue
            (output / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"output folder {output} cannot be written ({error.strerror}); expected a writable folder; choose another"
        ) from error
    if not resume:
        shutil.rmtree(output / TENSORBOARD, ignore_errors=True)


def _measure(
    config: TrainConfig,
    examples: Examples,
    split: Split,
    trained: Trained,
    rows: dict[str, NDArray[np.int64]],
    name: str,
) -> RunResult:
    begin, watch = time.perf_counter(), Stopwatch()
    test, metrics, undefined, pictures = _scored(config, examples, trained, rows["test"], watch)
    validation, validation_metrics, _, _ = _scored(config, examples, trained, rows["validation"], Stopwatch())
    studies = len(np.unique(examples.study_ids[rows["test"]]))
    return RunResult(
        name=name,
        config=config,
        dataset=examples.dataset,
        phantom=examples.phantom,
        data_fingerprint=examples.fingerprint,
        split_fingerprint=split.fingerprint,
        metrics=metrics,
        validation_metrics=validation_metrics,
        undefined=undefined,
        baselines=_baselines(test, metrics),
        history=trained.history,
        timings={
            "train_seconds": float(sum(row["seconds"] for row in trained.history)),
            "test_seconds": time.perf_counter() - begin,
            "infer_ms_per_case": 1000 * watch.seconds / max(1, studies),
        },
        parameters=count_parameters(trained.model),
        peak_memory_mb=peak_memory_mb(trained.source.device),
        hardware=trained.plan.to_mapping(),
        commit=package_commit(),
        version=__version__,
        best_epoch=trained.best_epoch,
        patients={part: len(getattr(split, part)) for part in ("train", "validation", "test")},
        test=test,
        validation=validation,
        pictures=pictures,
    )


def _scored(
    config: TrainConfig, examples: Examples, trained: Trained, rows: NDArray[np.int64], watch: Stopwatch
) -> tuple[Predictions, dict[str, float], dict[str, int], Pictures]:
    """Predictions, metrics, undefined counts and pictures of one part of the split."""
    assert config.batch_size is not None
    if config.task == "classification":
        slices = slice_predictions(
            trained.model, trained.problem, examples, trained.source, rows, config.batch_size, watch
        )
        metrics = slice_metrics(slices)
        undefined = {metric: int(math.isnan(value)) for metric, value in metrics.items()}
        return slices, metrics, undefined, slice_pictures(examples, rows, slices)
    scores, masks = case_scores(trained.model, trained.problem, examples, trained.source, rows, watch)
    metrics, undefined = mean_scores(scores)
    return scores, metrics, undefined, volume_pictures(examples, rows, masks, dice_of(scores))


def _baselines(test: Predictions, metrics: dict[str, float]) -> dict[str, float]:
    if not len(test.patient_ids):
        return {}
    if isinstance(test, CaseScores):
        return {"voxel_accuracy": metrics["voxel_accuracy_background"]}
    return _commoner_answer(test)


def _commoner_answer(test: SlicePredictions) -> dict[str, float]:
    """Accuracy of giving every slice the answer that most of them have."""
    if test.exclusive:
        return {"accuracy_exclusive": float(test.targets.mean(axis=0).max())}
    positive = float(test.targets[:, -1].mean())
    return {"accuracy": max(positive, 1 - positive)}


def package_commit() -> str:
    """Git commit of this package's checkout, `+dirty` when tracked files differ; "" where it is no checkout."""
    package = Path(__file__).resolve().parents[1]
    # A site-packages folder inside somebody else's repository has another prefix.
    if _git(package, "rev-parse", "--show-prefix") != f"{package.name}/":
        return ""
    dirty = "+dirty" if _git(package, "status", "--porcelain", "--untracked-files=no", "--", ".") else ""
    return f"{_git(package, 'rev-parse', 'HEAD')}{dirty}"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done: subprocess.CompletedProcess[Any] = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return str(done.stdout).strip() if done.returncode == 0 else ""
