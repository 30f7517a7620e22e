"""A data set as torch expects one: decoded once under a view, then served as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from hemobench.case import Dataset
from hemobench.datasets.cache import Examples, build_examples
from hemobench.datasets.opening import open_dataset
from hemobench.errors import UserError
from hemobench.views.view import ClassificationView, SegmentationView, View

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class ExampleDataset(TorchDataset[tuple[Tensor, Tensor]]):
    """Examples as pairs (image, target), in the order of the data set's cases.

    Under a `ClassificationView` each slice is an example: image float32 (C, H, W) from 0 to 1, a channel a display
    window, and target float32 (6,), 0 or 1 in the order of `labels.CLASSES`: five types and `any`. Under a
    `SegmentationView` each study is one: image float32 (C, D, H, W) from 0 to 1, and target (1, D, H, W), float32 0 or
    1, or int64 label ids where the view's target is "subtypes".

    Attributes:
        examples: The arrays behind it, memory maps under `$HEMOBENCH_HOME`.
        rows: (N,) int64, which of them are served.
        transform: Called with image and target, gives both; None for none.
    """

    def __init__(
        self, examples: Examples, rows: NDArray[np.int64] | None = None, transform: Transform | None = None
    ) -> None:
        self.examples = examples
        self.rows = np.arange(len(examples)) if rows is None else rows
        self.transform = transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """The example at `index`, as image and target."""
        row = int(self.rows[index])
        image = torch.from_numpy(np.asarray(self.examples.images[row])).float() / 255
        target = torch.from_numpy(np.asarray(self.examples.targets[row]))
        view = self.examples.view
        typed = isinstance(view, SegmentationView) and view.target == "subtypes"
        target = target.long() if typed else target.float()
        return (image, target) if self.transform is None else self.transform(image, target)

    @property
    def patient_ids(self) -> NDArray[np.str_]:
        """Whose each example is, (N,): what a split divides."""
        return self.examples.patient_ids[self.rows]

    @property
    def study_ids(self) -> NDArray[np.str_]:
        """Which study each example is of, (N,)."""
        return self.examples.study_ids[self.rows]

    def of_patients(self, patients: Iterable[str]) -> ExampleDataset:
        """The examples of these patients alone, such as `split.train`.

        Args:
            patients: Their ids, as `Case.patient_id` has them.

        Returns:
            Another data set on the same arrays.

        Raises:
            HemobenchError: A patient is not in this data set.
        """
        wanted = tuple(patients)
        unknown = sorted(set(wanted) - set(self.patient_ids.tolist()))
        if unknown:
            raise UserError(
                f"patients {', '.join(unknown[:5])} are not in data set '{self.examples.dataset}'; "
                "expected its own; make the split from this data set"
            )
        kept = np.isin(self.patient_ids, np.asarray(wanted, dtype=np.str_))
        return ExampleDataset(self.examples, self.rows[kept], self.transform)


def torch_dataset(
    data: str | Path | Dataset, view: View | None = None, *, transform: Transform | None = None, **options: Any
) -> ExampleDataset:
    """A data set for a `torch.utils.data.DataLoader`.

    The scans are decoded once, on all cores, and kept under `$HEMOBENCH_HOME`; a second call opens what is there.

        train = hemobench.torch_dataset("ct-ich:FOLDER", ClassificationView(size=256))
        images, targets = next(iter(DataLoader(train, batch_size=32)))   # (32, 3, 256, 256) and (32, 6)

    Args:
        data: `NAME[:PATH]` as `open_dataset` takes it, or an opened data set.
        view: How a network sees a scan: `ClassificationView` (windows, size in pixels) gives an example a slice,
            `SegmentationView` (target, spacing_mm, shape) one a study. None: `ClassificationView()`, three windows of
            128 x 128 pixels.
        transform: Called with image and target of each example, gives both.
        **options: Of the data set, such as `patients=20` for phantoms.

    Returns:
        Pairs (image, target): see `ExampleDataset`. `of_patients` takes a part of it.

    Raises:
        HemobenchError: The data set is unknown, cannot be read, or lacks what the view asks for.
    """
    if isinstance(data, Dataset):
        if options:
            raise UserError(
                f"options {', '.join(options)} for an opened data set; expected them where it is opened; leave them out"
            )
        opened = data
    else:
        opened = open_dataset(str(data), **options)
    return ExampleDataset(build_examples(opened, view or ClassificationView()), transform=transform)
