"""Grey pictures, PNG and JPEG, as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hemobench.errors import UserError

_FORMATS = ("JPEG", "PNG")
_MODES = ("L", "1", "P", "LA", "RGB", "RGBA")


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Grey levels (rows, columns) uint8 of an 8-bit PNG or JPEG; colour is turned to its luma.

    Raises UserError for a file that is missing, is no such picture, ends early, or has more than 8 bits.
    """
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            if picture.mode not in _MODES:
                raise UserError(f"{path} is a picture of mode {picture.mode}; expected 8 bits a channel; convert it")
            return np.asarray(picture if picture.mode == "L" else picture.convert("L"), dtype=np.uint8)
    except FileNotFoundError as error:
        raise UserError(f"no picture {path}; expected a PNG or JPEG; check the path") from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path} is no picture; expected a PNG or JPEG; export or copy it again") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} is too large for a CT slice; expected at most some megapixels; crop it") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow says so by three types: truncated data, a broken PNG chunk, a size that does not add up.
        raise UserError(f"{path} is damaged or ends early; expected a whole PNG or JPEG; copy it again") from error
