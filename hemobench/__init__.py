"""hemobench: intracranial haemorrhage on head CT, trained, measured and compared. Research use only.

    import hemobench

    report = hemobench.analyse("scan.nii.gz")

`hemobench.api` says what each name does. Importing the package loads none of them: a name's home is loaded when it is
first used, so that light programs start at once.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature

    from hemobench.api import compare as compare
    from hemobench.api import create_model as create_model
    from hemobench.api import evaluate as evaluate
    from hemobench.api import train as train
    from hemobench.case import Case as Case
    from hemobench.datasets.opening import open_dataset as open_dataset
    from hemobench.datasets.torch_dataset import torch_dataset as torch_dataset
    from hemobench.errors import HemobenchError as HemobenchError
    from hemobench.inference.checkpoint import open_checkpoint as open_checkpoint
    from hemobench.inference.report import StudyReport as StudyReport
    from hemobench.inference.study import analyse as analyse
    from hemobench.io.reading import read_scan as read_scan
    from hemobench.volume import Volume as Volume

__version__ = "0.1.0"
__all__ = [
    "Case",
    "HemobenchError",
    "StudyReport",
    "Volume",
    "__version__",
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
# The lightest module that has each name.
_HOMES = {
    "Case": "hemobench.case",
    "HemobenchError": "hemobench.errors",
    "StudyReport": "hemobench.inference.report",
    "Volume": "hemobench.volume",
    "analyse": "hemobench.inference.study",
    "create_model": "hemobench.api",
    "open_checkpoint": "hemobench.inference.checkpoint",
    "open_dataset": "hemobench.datasets.opening",
    "read_scan": "hemobench.io.reading",
    "torch_dataset": "hemobench.datasets.torch_dataset",
}
# Modules that are functions too: see CallableModule.
_CALLABLE = ("compare", "evaluate", "train")


class CallableModule(ModuleType):
    """A submodule that is also the public function of its name.

    `python -m hemobench.train` needs a module `hemobench.train`, and Python binds it to the package whenever somebody
    imports it. So the module itself can be called: `hemobench.train(...)` is `hemobench.api.train(...)`, whoever
    imported what before.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function of `hemobench.api` gives."""
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        return signature(self._function())

    def _function(self) -> Any:
        return getattr(import_module("hemobench.api"), self.__name__.rpartition(".")[2])


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"hemobench.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hemobench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
