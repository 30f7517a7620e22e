"""Recipes: everything between nothing and a checkpoint in one shipped YAML file, so that one command makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.errors import UserError, unknown_name
from hemobench.training.config import TrainConfig, read_options

FOLDER = Path(__file__).with_name("recipes")
_KEYS = ("description", "role", "data", "split", "training")


@dataclass(frozen=True)
class Recipe:
    """What a checkpoint is made of.

    role: its place in the study pipeline. data: name and options of a data set. fractions, split_seed: of the split by
    patient into training, validation and test. config: the training run.
    """

    name: str
    description: str
    role: str
    data: Mapping[str, Any]
    fractions: tuple[float, float, float]
    split_seed: int
    config: TrainConfig


def known_recipes() -> tuple[str, ...]:
    """Names of the shipped recipes.

    >>> known_recipes()
    ('bleed-2d', 'slice-classifier', 'ventricles')
    """
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


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
        split = content["split"]
        train, validation, test = (float(part) for part in split["fractions"])
        data = dict(content["data"])
        return Recipe(
            name=path.stem, description=" ".join(str(content["description"]).split()), role=str(content["role"]),
            data=data, fractions=(train, validation, test), split_seed=int(split["seed"]),
            config=TrainConfig.from_mapping(content["training"]).resolved(),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"recipe {path} is incomplete ({type(error).__name__}: {error}); expected {', '.join(_KEYS)} "
                        "as in the shipped ones; correct it") from error
