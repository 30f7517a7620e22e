"""Views: what a network sees of a case. A view is frozen and JSON-able, so that a cache can be keyed by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hemobench.errors import UserError, unknown_name
from hemobench.labels import SUBTYPES
from hemobench.views.resampling import AxisGrid, grid_around
from hemobench.views.windows import WINDOWS
from hemobench.volume import Volume

TARGETS = ("haemorrhage", "subtypes", "ventricles")
DEFAULT_WINDOW = "brain"


@dataclass(frozen=True)
class ClassificationView:
    """Every slice of a study as one example: (windows, size, size) grey uint8, target (6,) = five types and `any`.

    The longer side of the slice in millimetres becomes `size` pixels, the shorter one is padded with black, so shapes
    are kept. With `field`, a square about the head becomes `size` pixels instead, `field` times as long as the longer
    side of the head in the whole stack: whatever the scanner's field of view, the head is as large and in the middle.
    Averaging is anti-aliased and happens after windowing, as on a display.
    """

    windows: tuple[str, ...] = ("brain", "subdural", "bone")
    size: int = 128
    field: float | None = None

    def __post_init__(self) -> None:
        if not self.windows:
            raise UserError("view.windows is empty; at least one window is needed; name one, e.g. [brain]")
        for name in self.windows:
            _check_window(name)
        if not 8 <= self.size <= 2048:
            raise UserError(f"view.size is {self.size}; expected 8 to 2048 pixels; give e.g. 128")
        if self.field is not None and not 1 <= self.field <= 4:
            raise UserError(f"view.field is {self.field}; expected 1 to 4 lengths of the head; give e.g. 1.2")

    @property
    def channels(self) -> int:
        return len(self.windows)

    @property
    def image_size(self) -> tuple[int, ...]:
        return (self.size, self.size)


@dataclass(frozen=True)
class SegmentationView:
    """Every study as one example: (C, D, H, W) uint8 on a grid of `spacing_mm`, its middle slice the volume's and its
    middle column that of the head.

    `target` is blood of any type as a mask, `subtypes` as a label map 1..5 (UNTYPED where nobody knows the type), or
    the ventricles as a mask. A head without millimetres is scaled to an average one first. `window` names a display
    window for CT, or several joined by "+", a channel each; with None, intensities between the volume's
    percentiles 0.5 and 99.5 become 0..255 (MR has no unit), and CT has the brain window. Down-sampling is
    anti-aliased; a voxel is foreground where at least half of it was.

    With `own_slices`, for networks that go slice by slice, the scan's slices stay as they are and no two are mixed:
    `spacing_mm[0]` is then the largest distance to which thinner ones are averaged, a whole number of them at a time.
    """

    target: str = "haemorrhage"
    spacing_mm: tuple[float, float, float] = (5.0, 2.0, 2.0)
    shape: tuple[int, int, int] = (32, 112, 96)
    window: str | None = DEFAULT_WINDOW
    own_slices: bool = False

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise unknown_name("segmentation target", self.target, TARGETS)
        for name in self.windows:
            if name is not None:
                _check_window(name)
        if len(self.spacing_mm) != 3 or not all(0 < s < 100 for s in self.spacing_mm):
            raise UserError(
                f"view.spacing_mm is {list(self.spacing_mm)}; expected three lengths in mm, each above 0 "
                "(slice, row, column); give e.g. [5, 2, 2]"
            )
        # One grid has one spelling, whether it was written 5 or 5.0: caches are keyed by it.
        object.__setattr__(self, "spacing_mm", tuple(float(length) for length in self.spacing_mm))
        object.__setattr__(self, "shape", tuple(int(count) for count in self.shape))
        if len(self.shape) != 3 or not all(1 <= n <= 2048 for n in self.shape):
            raise UserError(
                f"view.shape is {list(self.shape)}; expected three sizes from 1 to 2048 "
                "(slices, rows, columns); give e.g. [32, 112, 96]"
            )

    @property
    def windows(self) -> tuple[str | None, ...]:
        """The window of each channel; (None,) for the volume's own percentiles."""
        return (None,) if self.window is None else tuple(self.window.split("+"))

    @property
    def channels(self) -> int:
        return len(self.windows)

    @property
    def image_size(self) -> tuple[int, ...]:
        return self.shape

    def grid(self, volume: Volume, centre: Sequence[float], shape: tuple[int, int, int]) -> AxisGrid:
        """The view's grid of `shape` on a volume, its middle at index `centre`."""
        step_mm = self.spacing_mm[0]
        if self.own_slices:
            step_mm = volume.spacing_mm[0] * max(1, int(step_mm / volume.spacing_mm[0] + 1e-6))
        found = grid_around(volume.shape, volume.spacing_mm, centre, (step_mm, *self.spacing_mm[1:]), shape)
        return found.on_whole_slices() if self.own_slices else found

    @property
    def suffix(self) -> str:
        """Ending of the metric names for this target: `dice_any`, `dice_ventricles`."""
        return "ventricles" if self.target == "ventricles" else "any"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a network's channels stand for: the structure and, for `subtypes`, then the five types of it."""
        return (self.suffix, *SUBTYPES) if self.target == "subtypes" else (self.suffix,)


View = ClassificationView | SegmentationView
VENTRICLE_VIEW = SegmentationView("ventricles", (1.0, 1.0, 1.0), (80, 120, 120), None)


def default_view(task: str, target: str = "haemorrhage") -> View:
    """The view of a config that names none; the ventricle one is the paper's (80, 120, 120) crop at 1 mm."""
    if task == "classification":
        return ClassificationView()
    return VENTRICLE_VIEW if target == "ventricles" else SegmentationView()


def view_to_mapping(view: View) -> dict[str, Any]:
    """JSON-able form; `view_from_mapping` reads it back. A field that is not asked for is left out, as it was before
    there was one: caches and checkpoints are known by this."""
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(view).items()}
    return {key: v for key, v in values.items() if (key, v) not in (("field", None), ("own_slices", False))}


def view_from_mapping(task: str, mapping: Mapping[str, Any]) -> View:
    """View of a task from YAML or JSON; keys that are not given keep the task's defaults.

    Raises: UserError on an unknown key or a value of the wrong type.

    >>> view_from_mapping("classification", {"size": 64}).size
    64
    """
    base = default_view(task, str(mapping.get("target", "haemorrhage")))
    known = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    for key in mapping:
        if key not in known:
            raise unknown_name(f"{task} view option", str(key), known)
    try:
        return dataclasses.replace(base, **{key: _coerced(key, value) for key, value in mapping.items()})
    except UserError:
        raise  # it says more than the line below
    except (TypeError, ValueError) as error:
        raise UserError(
            f"view {dict(mapping)!r} cannot be read ({error}); expected e.g. "
            f"{view_to_mapping(base)!r}; correct the value"
        ) from error


def _coerced(key: str, value: Any) -> Any:
    if key == "size":
        if isinstance(value, bool) or int(value) != value:
            raise ValueError(f"size {value!r} is no whole number")
        return int(value)
    if key == "own_slices":
        if not isinstance(value, bool):
            raise ValueError(f"own_slices {value!r} is neither true nor false")
        return value
    if key == "field":
        return None if value is None else float(value)
    if key == "windows":
        return (value,) if isinstance(value, str) else tuple(str(name) for name in value)
    if key == "spacing_mm":
        return tuple(float(length) for length in value)
    if key == "shape":
        return tuple(int(count) for count in value)
    return value if value is None else str(value)


def _check_window(name: str) -> None:
    if name not in WINDOWS:
        raise unknown_name("window", name, WINDOWS)
