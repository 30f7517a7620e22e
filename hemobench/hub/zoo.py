"""The model zoo page: which checkpoints there are, how good they were measured to be, and what to use when."""

from __future__ import annotations

import os
from pathlib import Path

from hemobench.errors import UserError
from hemobench.hub.metadata import Headline, headlines
from hemobench.inference.checkpoint import MANIFEST, WEIGHTS, Checkpoint, open_checkpoint, read_manifest
from hemobench.inference.config import ROLES

BASELINE = "paper_cnn"
_TITLES = {
    "slice-classifier": "Which haemorrhages a slice shows",
    "haemorrhage": "Where the blood is, and of which type",
    "ventricles": "Where the ventricles are, on T1-weighted MRI",
    "ventricles-ct": "Where the ventricles are, on CT",
}
_USE = {
    "slice-classifier": (
        "Is there blood, in which slice, of which type: `hemobench predict` calls a study by it. Takes CT in "
        "Hounsfield units or pictures of slices. It does not say where in the slice the blood is."
    ),
    "haemorrhage": (
        "Where the blood is and how much of it. Takes CT volumes; single pictures work less well, and give no "
        "millilitres. `hemobench predict` uses it beside a classifier; alone, its likeliest voxel speaks for a slice."
    ),
    "ventricles": "Volume and shape of the ventricles on MRI. It knows nothing of CT and nothing of blood.",
    "ventricles-ct": (
        "Volume and sides of the ventricles on CT, Evans' index, the midline's shift, and how much of the ventricles "
        "is blood where a haemorrhage network outlines it. It does not look for blood itself."
    ),
}


def zoo_page(folder: Path) -> str:
    """The page in Markdown, of the checkpoints directly under `folder`; the same for the same checkpoints.

    Raises: UserError where there is none, or one is not whole.
    """
    found = [open_checkpoint(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if not found:
        raise UserError(f"no checkpoint in {folder}; expected folders with {MANIFEST}; check the path")
    parts = [
        "# Model zoo",
        "Made by `python -m hemobench.hub zoo checkpoints --output docs/model-zoo.md` from the checkpoints' manifests "
        "and metrics; not written by hand. **Research use only.**",
        "Weights that learnt from phantoms alone carry no patient data; scores on phantoms are scores on phantoms. "
        "Intervals are 95%, by patient. The cards say more, limits above all.",
    ]
    for role in ROLES:
        of_role = [one for one in found if one.config.role == role]
        if of_role:
            parts += [f"## {_TITLES[role]}", _USE[role], _overview(of_role), _scores(of_role)]
    parts += [
        "## What to use when",
        _choices(found),
        "Any of them runs by `--checkpoint FOLDER` or `--checkpoint user/name@revision`; `python -m "
        "hemobench.evaluate` measures it on your own data, and refuses patients who taught it.",
    ]
    return "\n\n".join(parts) + "\n"


def _overview(checkpoints: list[Checkpoint]) -> str:
    rows = [
        "| checkpoint | network | input | learnt from | MB | SHA-256 of the weights | commit |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in checkpoints:
        config = one.config
        size = read_manifest(one.directory)["files"][WEIGHTS]["bytes"] / 1e6
        learnt = str(config.training.get("data", "?"))
        taught_by = config.training.get("taught_by", "phantoms alone" if config.training.get("phantom") else "")
        learnt += f" ({taught_by})" if taught_by else ""
        rows.append(
            f"| [{config.name}]({_link(one)}) | {config.model} | {_input(one)} | {learnt} | {size:.1f} | "
            f"`{one.sha256[:12]}` | `{one.commit[:12]}` |"
        )
    return "\n".join(rows)


def _scores(checkpoints: list[Checkpoint]) -> str:
    rows = ["| checkpoint | data | patients | metric | value | 95% interval |", "|---|---|---|---|---|---|"]
    for one in checkpoints:
        rows += [_score_row(one, score) for score in headlines(one.config, one.metrics)]
    return "\n".join(rows)


def _score_row(checkpoint: Checkpoint, score: Headline) -> str:
    kind = "phantoms" if score.phantom else "real"
    return (
        f"| {checkpoint.config.name} | {score.data} | {score.patients} {kind} | {score.metric} | "
        f"{score.value:.3f} | {score.low:.3f} to {score.high:.3f} |"
    )


def _choices(checkpoints: list[Checkpoint]) -> str:
    """One line for each kind of question, with the checkpoints that answer it."""
    lines = []
    baselines = [f"`{one.config.name}`" for one in checkpoints if one.config.model == BASELINE]
    checkpoints = [one for one in checkpoints if one.config.model != BASELINE]
    for role, question in (
        ("slice-classifier", "A study or slices to be sorted: blood or none, and which type"),
        ("haemorrhage", "Outlines, lesions, millilitres"),
        ("ventricles", "Ventricles on MRI"),
        ("ventricles-ct", "Ventricles on CT"),
    ):
        names = [f"`{one.config.name}`" for one in checkpoints if one.config.role == role]
        lines.append(f"- {question}: {', '.join(names) if names else 'none yet'}.")
    if baselines:
        lines.append(
            f"- The 2021 paper's network, to be compared with and not to be relied on: {', '.join(baselines)}."
        )
    clean = [f"`{one.config.name}`" for one in checkpoints if one.config.training.get("phantom")]
    if clean:
        lines.append(f"- A starting point without patient data, for training on your own patients: {', '.join(clean)}.")
    timm_like = [f"`{one.config.name}`" for one in checkpoints if one.config.model.startswith("timm:")]
    if timm_like:
        lines.append(
            f"- In code that knows timm alone, from the Hub: {', '.join(timm_like)}, by "
            '`timm.create_model("hf-hub:user/name", pretrained=True)`.'
        )
    return "\n".join(lines)


def _input(checkpoint: Checkpoint) -> str:
    view = checkpoint.config.view
    if checkpoint.config.task == "classification":
        return f"{view.image_size[0]} x {view.image_size[1]} pixels, {view.channels} windows"
    return " x ".join(f"{length:g}" for length in getattr(view, "spacing_mm", ())) + " mm"


def _link(checkpoint: Checkpoint) -> str:
    return f"../{checkpoint.directory.parent.name}/{checkpoint.directory.name}/README.md".replace(os.sep, "/")
