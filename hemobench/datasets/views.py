"""Views: how a case becomes arrays for a network. A view is frozen and JSON-able, so a cache can be keyed by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemobench.datasets.case import Loaded
from hemobench.errors import UserError, unknown_name
from hemobench.labels import LABEL_IDS, SUBTYPES, UNTYPED, slice_labels_from_label_map, with_any
from hemobench.resampling import AxisGrid, grid_around, resample, resized
from hemobench.volume import GREY, Volume
from hemobench.windows import WINDOWS, apply_window

TARGETS = ("haemorrhage", "subtypes", "ventricles")
MR_PERCENTILES = (0.5, 99.5)
DEFAULT_WINDOW = "brain"
SOLID_HU = -200.0
FAINT_SHARE = 0.1
HEAD_TRIM = 0.005
# Without millimetres, the longer side of the head's outline is taken for that of an average adult (glabella to
# opisthocranion; US Army survey of 2012, mean head length of men about 199 mm and of women about 189 mm).
ASSUMED_HEAD_MM = 194.0


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
            raise UserError(f"view.spacing_mm is {list(self.spacing_mm)}; expected three lengths in mm, each above 0 "
                            "(slice, row, column); give e.g. [5, 2, 2]")
        # One grid has one spelling, whether it was written 5 or 5.0: caches are keyed by it.
        object.__setattr__(self, "spacing_mm", tuple(float(length) for length in self.spacing_mm))
        object.__setattr__(self, "shape", tuple(int(count) for count in self.shape))
        if len(self.shape) != 3 or not all(1 <= n <= 2048 for n in self.shape):
            raise UserError(f"view.shape is {list(self.shape)}; expected three sizes from 1 to 2048 "
                            "(slices, rows, columns); give e.g. [32, 112, 96]")

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
        raise UserError(f"view {dict(mapping)!r} cannot be read ({error}); expected e.g. "
                        f"{view_to_mapping(base)!r}; correct the value") from error


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


def render(
    loaded: Loaded, view: View, where: str, *, spacing_known: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and targets of one case under a view; `where` names the case in errors. spacing_known: see `Case`.

    Returns: ((D, C, S, S), (D, 6)) for classification, ((1, C, D, H, W), (1, 1, D, H, W)) for segmentation, all uint8.
    """
    if isinstance(view, ClassificationView):
        return _render_slices(loaded, view, where)
    return _render_volume(loaded, view, where, spacing_known)


def _render_slices(loaded: Loaded, view: ClassificationView, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    volume = loaded.image
    images = slice_images(volume, view, where)
    if loaded.slice_labels is not None:
        subtype_labels = loaded.slice_labels
    elif loaded.label_map is not None:
        subtype_labels = slice_labels_from_label_map(loaded.label_map)
    elif loaded.study_labels is not None:
        # All that is known: right for the study (the largest over its slices), too generous for a slice.
        subtype_labels = np.tile(np.asarray(loaded.study_labels, dtype=np.uint8), (volume.shape[0], 1))
    elif loaded.any_labels is not None or loaded.study_any is not None:
        subtype_labels = np.zeros((volume.shape[0], len(SUBTYPES)), dtype=np.uint8)
    else:
        raise UserError(f"{where} has no slice labels; classification needs them; choose another task or data set")
    targets = np.asarray(with_any(subtype_labels), dtype=np.uint8)
    if loaded.any_labels is not None:
        # Blood whose type nobody wrote down.
        targets[:, -1] = np.maximum(targets[:, -1], loaded.any_labels)
    elif loaded.study_any is not None and loaded.slice_labels is None and loaded.label_map is None:
        targets[:, -1] = np.maximum(targets[:, -1], loaded.study_any)
    return images, targets


def slice_images(volume: Volume, view: ClassificationView, where: str) -> NDArray[np.uint8]:
    """Every slice of a volume as a classifier sees it: (D, C, S, S) grey. UserError where it is neither CT nor grey."""
    if volume.modality not in ("CT", GREY):
        raise UserError(f"{where} is {volume.modality}; classification views window CT in HU; use a CT data set")
    images = np.zeros((volume.shape[0], view.channels, view.size, view.size), dtype=np.uint8)
    for channel, name in enumerate(view.windows):
        # Pictures without units had their window applied by whoever made them: every channel shows them as they are.
        grey = np.clip(volume.voxels, 0, 1) if volume.modality == GREY else apply_window(volume.voxels, WINDOWS[name])
        images[:, channel] = square_slices(grey, volume, view)
    return images


def square_slices(planes: NDArray[np.float32], volume: Volume, view: ClassificationView) -> NDArray[np.uint8]:
    """Slices (D, H, W) of values from 0 to 1 on a volume's grid as a classifier's squares (D, S, S), 0 to 255."""
    if view.field is None:
        return resize_to_square(planes, volume.spacing_mm[1:], view.size)
    _, *sides = head_box(volume)
    spacing_mm = volume.spacing_mm[1:]
    head_mm = max((last - first + 1) * step for (first, last), step in zip(sides, spacing_mm, strict=True))
    pixel_mm = view.field * head_mm / view.size
    centre = (0.0, *((first + last) / 2 for first, last in sides))
    grid = grid_around(planes.shape, (1.0, *spacing_mm), centre, (1.0, pixel_mm, pixel_mm), (1, view.size, view.size))
    whole = AxisGrid(grid.ratio, (0.0, *grid.offset[1:]), (len(planes), *grid.shape[1:]))
    return np.rint(np.clip(resample(planes, whole), 0, 1) * 255).astype(np.uint8)


def resize_to_square(grey: NDArray[np.float32], pixel_mm: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    """Slices (D, H, W) in [0, 1] as (D, size, size) uint8: anti-aliased, aspect in mm kept, padded with 0."""
    height_mm, width_mm = grey.shape[1] * pixel_mm[0], grey.shape[2] * pixel_mm[1]
    longer = max(height_mm, width_mm)
    rows, columns = (max(1, round(size * side / longer)) for side in (height_mm, width_mm))
    small = resized(grey, (rows, columns))
    square = np.zeros((grey.shape[0], size, size), dtype=np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[:, top : top + rows, left : left + columns] = np.rint(np.clip(small, 0, 1) * 255)
    return square


def _render_volume(
    loaded: Loaded, view: SegmentationView, where: str, spacing_known: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = mask_of(loaded, view.target)
    if mask is None:
        kind = {"subtypes": "label map of types", "ventricles": "mask of the ventricles"}.get(view.target, "label map")
        raise UserError(f"{where} has no {kind}; segmentation needs one; choose another task or data set")
    volume = loaded.image if spacing_known else assumed_scale(loaded.image)
    grey = display_channels(volume, view, where)
    grid = network_grid(volume, view, view.shape)
    image = resample(grey, grid)
    target = _on_grid(mask, view, grid)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)[None], target[None, None]


def mask_of(loaded: Loaded, target: str) -> NDArray[Any] | None:
    """What a case has marked of a view's target: a mask (D, H, W), the label map of `typed_blood` for subtypes, or
    None."""
    if target == "ventricles":
        return loaded.ventricle_mask
    return loaded.foreground if target != "subtypes" else typed_blood(loaded)


def render_mask(
    labels: NDArray[np.uint8], image: Volume, view: SegmentationView, *, spacing_known: bool = True
) -> NDArray[np.uint8]:
    """A label map (D, H, W) of an image on the view's grid, `view.shape`, as `render` brings the true one there: ids of
    types (1..5, UNTYPED) where the view's target is subtypes, 1 for whatever is above 0 elsewhere."""
    volume = image if spacing_known else assumed_scale(image)
    mask = labels if view.target == "subtypes" else labels > 0
    return _on_grid(mask, view, network_grid(volume, view, view.shape))


def _on_grid(mask: NDArray[Any], view: SegmentationView, grid: AxisGrid) -> NDArray[np.uint8]:
    labels = (*LABEL_IDS.values(), UNTYPED) if view.target == "subtypes" else (1,)
    shares = resample(np.stack([np.asarray(mask == label, dtype=np.float32) for label in labels]), grid)
    # 0.5 itself counts, less one rounding error of the interpolation.
    filled = shares.sum(axis=0) >= 0.5 - 1e-4
    return np.where(filled, shares.argmax(axis=0) + 1, 0).astype(np.uint8)


def typed_blood(loaded: Loaded) -> NDArray[np.uint8] | None:
    """Label map (D, H, W) of blood by type, 0..5, and UNTYPED where only the blood is known; None without masks, and
    where nothing tells the types.

    Blood of a mask without types has that of its slice where the slice has one alone.
    """
    if loaded.label_map is not None or loaded.blood_mask is None or loaded.slice_labels is None:
        return loaded.label_map
    ids = np.full(len(loaded.blood_mask), UNTYPED, dtype=np.uint8)
    single = loaded.slice_labels.sum(axis=1) == 1
    ids[single] = loaded.slice_labels[single].argmax(axis=1) + 1
    return np.asarray(loaded.blood_mask * ids[:, None, None], dtype=np.uint8)


def assumed_scale(volume: Volume) -> Volume:
    """A volume whose millimetres are nominal, with pixels of such a size that its head is as long as an average one.

    Slices keep their distance: a picture has one, and what it is thick is not known either.
    """
    _, (top, bottom), (left, right) = head_box(volume)
    rows, columns = (bottom - top + 1) * volume.spacing_mm[1], (right - left + 1) * volume.spacing_mm[2]
    affine: NDArray[Any] = np.array(volume.affine)
    affine[:3, 1:3] *= ASSUMED_HEAD_MM / max(rows, columns)
    return Volume(volume.voxels, affine, volume.modality)


def display_channels(volume: Volume, view: SegmentationView, where: str) -> NDArray[np.float32]:
    """Voxels as a segmenter sees them: float32 (C, D, H, W) in [0, 1], a channel for each of the view's windows."""
    return np.stack([display_grey(volume, window, where) for window in view.windows])


def display_grey(volume: Volume, window: str | None, where: str) -> NDArray[np.float32]:
    """Voxels (D, H, W) as a network sees them: float32 in [0, 1] through a window, or between percentiles."""
    if window is None and volume.modality == "CT":
        # Between percentiles of air and bone, brain is one grey; and HU need none.
        window = DEFAULT_WINDOW
    if window is None:
        return percentile_grey(volume.voxels)
    if volume.modality == GREY:
        return np.clip(volume.voxels, 0, 1)
    if volume.modality != "CT":
        raise UserError(f"{where} is {volume.modality}; window '{window}' needs CT in HU; set view.window to null")
    return apply_window(volume.voxels, WINDOWS[window])


def percentile_grey(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensities between the volume's percentiles 0.5 and 99.5 as 0..1, clipped; a flat volume becomes 0.

    >>> percentile_grey(np.full((2, 2, 2), 7.0, dtype=np.float32)).max()
    np.float32(0.0)
    """
    low, high = np.percentile(voxels, MR_PERCENTILES)
    if high <= low:
        return np.zeros_like(voxels, dtype=np.float32)
    return np.clip((voxels - low) / (high - low), 0, 1).astype(np.float32)


def network_grid(volume: Volume, view: SegmentationView, shape: tuple[int, int, int]) -> AxisGrid:
    """The view's grid on a volume, of `shape`: along the slices about the middle one, in the plane about the head."""
    _, (top, bottom), (left, right) = head_box(volume)
    centre = ((volume.shape[0] - 1) / 2, (top + bottom) / 2, (left + right) / 2)
    return view.grid(volume, centre, shape)


def head_box(volume: Volume) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """First and last slice, row and column of the head: what is denser than fat, or brighter than black.

    The outermost 0.5% of that on each side are left out, so that a head holder or a cable does not count; a volume
    without any is a head from edge to edge.
    """
    coarse = volume.voxels[:, ::2, ::2]
    if volume.modality == "CT":
        solid = coarse > SOLID_HU
    else:
        solid = coarse > coarse.min() + FAINT_SHARE * (np.percentile(coarse, MR_PERCENTILES[1]) - coarse.min())
    slices, rows, columns = (
        _bounds(solid.sum(axis=axes, dtype=np.int64), step, size)
        for axes, step, size in zip(((1, 2), (0, 2), (0, 1)), (1, 2, 2), volume.shape, strict=True)
    )
    return slices, rows, columns


def _bounds(amount: NDArray[np.int64], step: int, size: int) -> tuple[int, int]:
    summed = np.cumsum(amount)
    if summed[-1] == 0:
        return 0, size - 1
    first, last = np.searchsorted(summed, [HEAD_TRIM * summed[-1], (1 - HEAD_TRIM) * summed[-1]])
    return step * int(first), min(size - 1, step * int(last) + step - 1)
