"""CT display windows: Hounsfield units to grey and back, with a source for each preset.

Sources. [radiopaedia] Radiopaedia, "Windowing (CT)": brain W 80 L 40; subdural W 130-300 L 50-100; stroke W 8 L 32 or
W 40 L 40; temporal bones W 2800 L 600. [turner] Turner and Holdsworth 2011, Br J Radiol 84:1061: stroke 40 WW 40 WL.
[fastai] fastai.medical.imaging `dicom_windows`, as (width, level): subdural (254, 100), brain_bone (2800, 600).
[ct-ich] Hssayeni et al. 2020, pictures of PhysioNet CT-ICH v1.0: brain level 40 width 120, bone level 700 width 3200.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hemobench.errors import UserError, unknown_name


@dataclass(frozen=True)
class Window:
    """A display window: `low_hu` and below is black, `high_hu` and above is white, straight in between."""

    name: str
    center_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.center_hu) and np.isfinite(self.width_hu) and self.width_hu > 0):
            raise UserError(
                f"window '{self.name}' with center {self.center_hu} and width {self.width_hu} HU; "
                "expected a finite center and a width above 0; correct them"
            )

    @property
    def low_hu(self) -> float:
        return self.center_hu - self.width_hu / 2

    @property
    def high_hu(self) -> float:
        return self.center_hu + self.width_hu / 2


WINDOWS = MappingProxyType(
    {
        window.name: window
        for window in (
            Window("brain", 40, 80),  # radiopaedia
            Window("subdural", 80, 200),  # inside radiopaedia's W 130-300 L 50-100
            Window("subdural-wide", 100, 254),  # fastai
            Window("stroke", 40, 40),  # turner; radiopaedia, the second of its two
            Window("stroke-narrow", 32, 8),  # radiopaedia, the first of its two
            Window("bone", 600, 2800),  # radiopaedia's temporal bone; fastai's brain_bone
            Window("brain-ct-ich", 40, 120),  # ct-ich
            Window("bone-ct-ich", 700, 3200),  # ct-ich
        )
    }
)


def get_window(name: str) -> Window:
    """The preset of this name; an unknown one raises UserError listing the names."""
    if name not in WINDOWS:
        raise unknown_name("window", name, WINDOWS)
    return WINDOWS[name]


def apply_window(hu: ArrayLike, window: Window | str) -> NDArray[np.float32]:
    """Hounsfield units of any shape -> float32 in [0, 1] of the same shape, clipped at both ends. NaN stays NaN.

    >>> apply_window([-50.0, 0.0, 40.0, 90.0], "brain").tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    preset = get_window(window) if isinstance(window, str) else window
    values = np.asarray(hu, dtype=np.float32)
    grey = np.empty_like(values, order="C")
    # Slice by slice, so that the three steps find their numbers in the processor's cache.
    for part, shown in zip(values, grey, strict=True) if values.ndim > 2 else ((values, grey),):
        np.subtract(part, np.float32(preset.low_hu), out=shown)
        shown *= np.float32(1.0 / preset.width_hu)
        np.clip(shown, 0.0, 1.0, out=shown)
    return grey


def to_grey_uint8(hu: ArrayLike, window: Window | str) -> NDArray[np.uint8]:
    """Hounsfield units -> display grey 0..255, rounded to the nearest; NaN, which no display has, becomes 0."""
    grey = apply_window(hu, window) * np.float32(255.0)
    return np.rint(np.nan_to_num(grey, nan=0.0)).astype(np.uint8)


def hu_from_grey(grey: ArrayLike, window: Window | str) -> NDArray[np.float32]:
    """Display grey 0..255 -> Hounsfield units, the inverse of `to_grey_uint8` to half a grey step inside the window.

    Grey 0 and 255 are saturated: they stand for "at most low_hu" and "at least high_hu", which are what they give.

    >>> hu_from_grey([0, 51, 255], "brain").tolist()
    [0.0, 16.0, 80.0]
    """
    preset = get_window(window) if isinstance(window, str) else window
    levels = np.asarray(grey)
    if levels.dtype != np.uint8 and levels.size and (levels.min() < 0 or levels.max() > 255):
        raise UserError(f"grey values {levels.min()}..{levels.max()}; expected 0..255; scale the picture to 8 bits")
    hu = levels.astype(np.float32)
    hu *= np.float32(preset.width_hu / 255.0)
    hu += np.float32(preset.low_hu)
    return hu
