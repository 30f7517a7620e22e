"""Recipes: everything between nothing and a checkpoint in one shipped YAML file, so that one command makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.errors import UserError, unknown_name
from hemobench.training.config import TrainConfig, read_options
from hemobench.training.stream import StreamSpec

FOLDER = Path(__file__).with_name("recipes")
_NEEDED = ("description", "role", "data", "training")
_KEYS = (*_NEEDED, "split", "folds", "start", "stream", "beside")


@dataclass(frozen=True)
class Recipe:
    """What a checkpoint is made of.

    role: its place in the study pipeline. data: name and options of a data set. fractions, split_seed: of the split by
    patient into training, validation and test. config: the training run. folds: where patients are few, how many
    networks answer for each other's patients, instead of that split; 0 for none. start: a recipe whose network this one
    begins with. stream: patients, passes and `without` (see `StreamSpec`) and options of the phantoms that
    `stream_share` comes from, or None. beside: of a segmenter with folds, the recipe of a slice classifier that is
    trained with the same folds, and with which it judges slices and studies together; where it is `start` too, each
    fold begins with the classifier of the same fold.
    """

    name: str
    description: str
    role: str
    data: Mapping[str, Any]
    fractions: tuple[float, float, float]
    split_seed: int
    config: TrainConfig
    folds: int = 0
    start: str | None = None
    stream: Mapping[str, Any] | None = None
    beside: str | None = None


def known_recipes() -> tuple[str, ...]:
    """Names of the shipped recipes.

    >>> [name for name in known_recipes() if "classifier" not in name]
    ['bleed', 'paper-cnn', 'ventricles', 'ventricles-ct']
    """
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def described_recipes() -> dict[str, str]:
    """What each shipped recipe makes: the first sentence of its description, by name."""
    described = {
        name: " ".join(str(read_options(FOLDER / f"{name}.yaml")["description"]).split()) for name in known_recipes()
    }
    return {name: text.partition(". ")[0].rstrip(".") for name, text in described.items()}


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name, or one from a YAML file. Raises: UserError where it is unknown or says too little."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in known_recipes():
            raise unknown_name("recipe", name, known_recipes())
        path = FOLDER / f"{name}.yaml"
    content = read_options(path)
    for key in content:
        if key not in _KEYS:
            raise unknown_name("recipe key", key, _KEYS)
    try:
        folds = int(content.get("folds", 0))
        split = content.get("split", {"seed": 0, "fractions": (1, 0, 0)}) if folds else content["split"]
        train, validation, test = (float(part) for part in split.get("fractions", (1, 0, 0)))
        stream = content.get("stream")
        return Recipe(
            name=path.stem,
            description=" ".join(str(content["description"]).split()),
            role=str(content["role"]),
            data=dict(content["data"]),
            fractions=(train, validation, test),
            split_seed=int(split["seed"]),
            config=TrainConfig.from_mapping(content["training"]).resolved(),
            folds=folds,
            start=None if content.get("start") is None else str(content["start"]),
            stream=None if stream is None else dict(stream),
            beside=None if content.get("beside") is None else str(content["beside"]),
        )
    except UserError:
        raise  # of the training options, which it names
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"recipe {path} is incomplete ({type(error).__name__}: {error}); expected "
            f"{', '.join(_NEEDED)} and split or folds as in the shipped ones; correct it"
        ) from error


def stream_of(recipe: Recipe, anatomies: str, groups: tuple[str, ...] | None) -> StreamSpec | None:
    """The phantoms that a recipe learns from beside its data, made of `anatomies` (`phantom`, `phantom:FOLDER`, ...),
    of the groups that training may see."""
    if recipe.stream is None:
        return None
    return StreamSpec.from_options(anatomies, recipe.stream, seed=recipe.config.seed, groups=groups)
