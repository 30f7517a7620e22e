"""What a run keeps of its epochs: history.csv, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hemobench.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def write_history(path: Path, rows: Sequence[Mapping[str, float | None]]) -> None:
    """history.csv, one row an epoch, undefined values empty; written whole each time, so a kill leaves no half row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


class TensorBoardLog:
    """Scalars of every epoch under `folder`, for those who watch them live."""

    def __init__(self, folder: Path, first_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "tensorboard is on and the package is not installed; expected it; pip install 'hemobench[logging]'"
            ) from error
        # Events of epochs that a killed run logged and a resumed one repeats are dropped by the viewer.
        self._writer: SummaryWriter = SummaryWriter(str(folder), purge_step=first_epoch)  # type: ignore[no-untyped-call]

    def log(self, row: Mapping[str, float]) -> None:
        """One epoch's numbers."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))  # type: ignore[no-untyped-call]
        self._writer.flush()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()  # type: ignore[no-untyped-call]
