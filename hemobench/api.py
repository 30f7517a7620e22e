"""What `import hemobench` offers: a scan read and judged, data sets opened, networks made, trained, measured, ranked.

Each name here is also `hemobench.NAME`. Nothing is printed, a mistake raises `HemobenchError` (a `ValueError`), and
scores are returned as values. Research use only, never a diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hemobench.case import Case, Dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.torch_dataset import torch_dataset
from hemobench.errors import HemobenchError, UserError
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.inference.report import StudyReport
from hemobench.inference.study import analyse
from hemobench.io import read_scan
from hemobench.labels import CLASSES
from hemobench.volume import Volume

if TYPE_CHECKING:
    from torch import nn

    from hemobench.compare.leaderboard import Leaderboard
    from hemobench.datasets.splits import Split
    from hemobench.evaluation.run import Evaluation
    from hemobench.training.result import RunResult

__all__ = [
    "Case",
    "HemobenchError",
    "StudyReport",
    "Volume",
    "analyse",
    "compare",
    "create_model",
    "evaluate",
    "open_checkpoint",
    "open_dataset",
    "read_scan",
    "torch_dataset",
    "train",
]

PREDICTIONS = "predictions:"


def create_model(
    name: str,
    *,
    pretrained: bool = False,
    task: str | None = None,
    in_channels: int | None = None,
    num_outputs: int | None = None,
    image_size: tuple[int, ...] | None = None,
    **options: Any,
) -> nn.Module:
    """A network by name.

    A classifier maps images float (B, C, H, W), values 0 to 1, to logits (B, num_outputs). A segmenter maps volumes
    float (B, C, D, H, W) to logits (B, num_outputs, D, H, W).

    Args:
        name: `timm:<backbone>`, `timm-unet:<backbone>`, `paper_cnn`, `unet2d`, `unet2.5d`, `unet3d`,
            `monai:<network>`, or a shipped checkpoint such as `slice-classifier`, whose network it then is.
        pretrained: Weights to begin with instead of freshly drawn ones. For a backbone of timm they are timm's own,
            from natural pictures, fetched from the Hub once and adapted to the channels as timm does. For a shipped
            checkpoint they are its weights. Other networks have none, and refuse it. Weights of a folder or of the Hub
            come by `open_checkpoint(where).build_model()`.
        task: "classification" or "segmentation". None: what the name is for; `timm-unet:` then segments.
        in_channels: Channels of the input. None: 3 display windows for a classifier, 1 for a segmenter.
        num_outputs: Logits. None: the six of `labels.CLASSES` for a classifier, 1 for a segmenter.
        image_size: (H, W) or (D, H, W) in pixels or voxels, for networks of a fixed size. None: the default view's.
        **options: Of the network's class, such as `drop_rate` of timm's.

    Returns:
        The network, float32 on the CPU; with a shipped checkpoint's weights it is in evaluation mode.

    Raises:
        HemobenchError: A name, task or option is unknown, weights cannot be had, or the size does not fit.

    Source: Wightman, PyTorch Image Models (timm); Ronneberger et al. 2015 (U-Net); MONAI.
    """
    from hemobench.inference.shipped import shipped_names
    from hemobench.models.creation import create_model as create
    from hemobench.views.view import default_view

    if name in shipped_names():
        fixed = {"task": task, "in_channels": in_channels, "num_outputs": num_outputs, "image_size": image_size}
        given = [key for key, value in fixed.items() if value is not None] + list(options)
        if given:
            raise UserError(
                f"{', '.join(given)} for the checkpoint '{name}'; expected nothing beside its name; leave "
                "them out, or name a network"
            )
        return _of_checkpoint(open_checkpoint(name), pretrained)
    if pretrained:
        if not name.startswith(("timm:", "timm-unet:")):
            raise UserError(
                f"pretrained weights of '{name}'; expected timm:<backbone>, timm-unet:<backbone> or one of "
                f"{', '.join(shipped_names())}; set pretrained to False"
            )
        options["pretrained"] = True
    classifies = name.startswith("timm:") or name == "paper_cnn"
    task = task or ("classification" if classifies else "segmentation")
    view = default_view("classification" if task == "classification" else "segmentation")
    return create(
        name,
        task=task,
        in_channels=in_channels or view.channels,
        num_outputs=num_outputs or (len(CLASSES) if task == "classification" else 1),
        image_size=image_size or view.image_size,
        **options,
    )


def _of_checkpoint(checkpoint: Checkpoint, pretrained: bool) -> nn.Module:
    """A checkpoint's network, to run and to train on: with its weights or with freshly drawn ones."""
    if pretrained:
        return checkpoint.build_model().requires_grad_(True)
    from hemobench.models.creation import create_model as create

    config = checkpoint.config
    options = {key: value for key, value in config.model_options.items() if key != "pretrained"}
    return create(
        config.model,
        task=config.task,
        in_channels=config.in_channels,
        num_outputs=len(config.outputs),
        image_size=config.view.image_size,
        **options,
    )


def train(
    model: str | None = None,
    data: str | Dataset = "phantom",
    *,
    output: str | Path | None = None,
    split: Split | str | Path | None = None,
    size: int | None = None,
    patients: int | None = None,
    resume: bool = True,
    config: Mapping[str, Any] | None = None,
    progress: bool = False,
    **options: Any,
) -> RunResult:
    """Train a network, choose its best epoch on validation patients, and score it on test patients.

    Args:
        model: `paper_cnn`, `timm:<backbone>`, `unet2d`, `unet2.5d`, `unet3d`, ... None: the task's default.
        data: `NAME[:PATH]` as `open_dataset` takes it, or an opened data set.
        output: Folder of the run. None: `runs/<model>-<data>-s<seed>`, as the command has it.
        split: Who trains, validates and tests: a `Split`, the path of its JSON, or "official" for its authors' own.
            None: drawn by patient.
        size: Side of a classifier's pictures in pixels.
        patients: How many phantom patients.
        resume: Go on where the same run stopped, and give the result of a finished one.
        config: Training options as a mapping; `options` go before it.
        progress: Say on stderr how far it is.
        **options: Fields of `TrainConfig`: `epochs`, `learning_rate`, `batch_size`, `weighting`, `loss`, `augment`,
            `seed`, `task`, `view`, ...

    Returns:
        The run: `metrics` by name on the test patients, `history` by epoch, `best_epoch`, predictions, and `directory`
        with the weights (`hemobench.training.experiment.load_model` opens them).

    Raises:
        HemobenchError: An option is unknown, or the data set does not serve the task.
    """
    from hemobench.training.one_run import train_once

    named = {**(config or {}), **options, **({} if model is None else {"model": model})}
    return train_once(
        named,
        data,
        size=size,
        patients=patients,
        split=split,
        resume=resume,
        output=None if output is None else Path(output),
        progress=progress,
    )


def evaluate(
    checkpoint: str | Path | Checkpoint,
    data: str | Dataset,
    *,
    output: str | Path | None = None,
    engine: str = "auto",
    masks: bool = False,
    allow_seen: bool = False,
    leave_out_seen: bool = False,
    again: bool = False,
    progress: bool = False,
    **options: Any,
) -> Evaluation:
    """Measure a checkpoint, or another tool's predictions, on a data set, with intervals by patient.

    Args:
        checkpoint: A shipped name, a folder, `user/name[@revision]` on the Hub, an open checkpoint, or
            `predictions:FOLDER` for masks and tables that another tool wrote (docs/predictions.md).
        data: `NAME[:PATH]` as `open_dataset` takes it, or an opened data set.
        output: Folder for metrics.json and predictions.csv; there a stopped call goes on. None: nothing is kept.
        engine: "auto", "openvino" or "torch".
        masks: Write the label maps of a segmenter too.
        allow_seen: Measure on people who taught the checkpoint too, and mark it.
        leave_out_seen: Leave those people out.
        again: Measure once more what is finished in `output`.
        progress: Say on stderr how far it is.
        **options: Of the data set.

    Returns:
        The evaluation: `metrics` and `position` (what slices' positions alone would score), name to
        {mean, ci, sd_seeds, n, undefined}; `notes` that a reader of the scores must know.

    Raises:
        HemobenchError: The checkpoint knows people of the data, the two do not fit, or one cannot be opened.
    """
    from hemobench.evaluation.measuring import measure_on

    dataset = _opened(data, options)
    with TemporaryDirectory() as scratch:
        return measure_on(
            checkpoint,
            dataset,
            Path(output or scratch),
            engine=engine,
            masks=masks and output is not None,
            seen=(allow_seen, leave_out_seen),
            again=again,
            progress=progress,
        )


def compare(
    suite: str | Path | None = None,
    *,
    data: str | None = None,
    entries: Sequence[str] = (),
    seeds: int | None = None,
    folds: int | None = None,
    tests: Sequence[str] = (),
    output: str | Path | None = None,
    jobs: int | None = None,
    threads: int = 1,
    engine: str | None = None,
    missing: str | None = None,
    allow_seen: bool = False,
    leave_out_seen: bool = False,
    pictures: bool = True,
    progress: bool = False,
) -> Leaderboard:
    """Train the entries of a suite and rank them, take what exists, or both.

    Runs train in processes of their own where `jobs` is above 1: a script then needs `if __name__ == "__main__":`.

    Args:
        suite: A shipped suite's name or a YAML file. None: `quick`, or with `entries` no suite at all.
        data: `NAME[:PATH]` to rank on instead of the suite's own.
        entries: What exists, `[NAME=]CHECKPOINT` or `[NAME=]predictions:FOLDER`: beside a suite, or alone on `data`.
        seeds: Seeds of each entry. None: the suite's.
        folds: Test every patient: so many networks for each entry and seed.
        tests: Other data sets on which the trained networks are scored too.
        output: Folder; there a stopped call goes on. None: `hemobench-results/<suite>[-<data>]`.
        jobs: Runs that train at once. None: as many as cores or GPUs allow.
        threads: Of each run.
        engine: "local" or "ray"; without a suite "auto", "openvino" or "torch".
        missing: "count" leaves out cases that predictions lack, "empty" counts them as if nothing was found. None: as a
            board's file says, else "count".
        allow_seen: Rank checkpoints on people whom they know too, and mark it.
        leave_out_seen: Leave those people out, for all entries.
        pictures: Show slices of patients in the report.
        progress: Say on stderr how far it is.

    Returns:
        The leaderboard: `boards`, each with `entries` in their order (name, rank, metrics as {mean, ci, ...}, ties).
        `output` holds leaderboard.csv, .json, .md, .tex and report.html.

    Raises:
        HemobenchError: A name is unknown, data or entries cannot be opened, or a run diverged.
    """
    from hemobench.boards.request import Request, rank

    request = Request(
        suite=None if suite is None else str(suite),
        data=data,
        entries=tuple(entries),
        seeds=seeds,
        folds=folds,
        tests=tuple(tests),
        jobs=jobs,
        threads=threads,
        engine=engine,
        missing=missing,
        allow_seen=allow_seen,
        leave_out_seen=leave_out_seen,
        pictures=pictures,
    )
    return rank(request, None if output is None else Path(output), progress=progress)


def _opened(data: str | Dataset, options: Mapping[str, Any]) -> Dataset:
    if not isinstance(data, Dataset):
        return open_dataset(data, **options)
    if options:
        raise UserError(
            f"options {', '.join(options)} for an opened data set; expected them where it is opened; leave them out"
        )
    return data
