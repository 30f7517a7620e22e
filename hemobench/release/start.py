"""What a recipe begins with: a finished run, or a checkpoint's verified weights laid out as one."""

from __future__ import annotations

from pathlib import Path

from hemobench.errors import UserError
from hemobench.inference.checkpoint import MANIFEST, PEOPLE, open_checkpoint
from hemobench.inference.shipped import shipped_folder
from hemobench.io.json_files import write_json
from hemobench.release.recipes import Recipe
from hemobench.training.checkpointing import load_tensors, save_tensors
from hemobench.training.crossfit import EVERYBODY
from hemobench.training.loop import BEST
from hemobench.training.result import RESULT_FILE


def start_of(recipe: Recipe, given: Path | None, run: Path) -> Path | None:
    """Folder with the weights that a recipe begins with, None where it begins with nothing.

    given: a finished run or a checkpoint folder, by default `runs/<start>`, or the shipped checkpoint of that name.
    run: the recipe's own run folder, in which a checkpoint's weights are laid out. Raises: UserError where there is
    none of them.
    """
    if recipe.start is None:
        if given is not None:
            raise UserError(f"--start with recipe {recipe.name}; expected none: it begins with nothing; leave it out")
        return None
    name = Path(recipe.start).stem  # a recipe of one's own is named by its file
    folder = given or Path("runs") / name
    whole = (folder / MANIFEST, folder / RESULT_FILE, folder / EVERYBODY / RESULT_FILE)
    if given is None and not any(path.is_file() for path in whole):
        # Its folds may lie there without it.
        folder = shipped_folder() / name if (shipped_folder() / name).is_dir() else folder
    if (folder / MANIFEST).is_file():
        return _laid_out(folder, run / "start")
    if (folder / EVERYBODY / RESULT_FILE).is_file():
        folder /= EVERYBODY  # of a recipe with folds, the network that ships
    if not (folder / RESULT_FILE).is_file():
        raise UserError(
            f"recipe {recipe.name} begins with a finished run of {recipe.start}, and {folder} is none; "
            f"train it first (hemobench recipe {recipe.start}), or give --start FOLDER"
        )
    return folder


def _laid_out(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint's weights, and whom they know, as a run leaves them."""
    opened = open_checkpoint(checkpoint)
    if opened.people is None:
        raise UserError(
            f"checkpoint {checkpoint} does not say whom it learnt from; expected {PEOPLE}, so that nobody "
            "is tested whom it knows; export it again"
        )
    header = {"checkpoint": opened.name, "sha256": opened.sha256}
    # Written once: a run is told by the bytes of what it begins with, and safetensors orders a header as it likes.
    if not (folder / BEST).is_file() or load_tensors(folder / BEST)[1] != header:
        save_tensors(folder / BEST, dict(opened.build_model().state_dict()), header)
    write_json(folder / PEOPLE, opened.people.to_mapping())
    return folder
