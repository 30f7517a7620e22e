"""JSON files that appear whole, and hold no number that some readers do not take."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from hemobench.errors import UserError


def _json_able(value: Any) -> Any:
    """NaN and infinity have no JSON form that every reader takes; they become null."""
    if isinstance(value, dict):
        return {str(key): _json_able(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_able(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file under a temporary name, then move it in place."""
    temporary = path.with_name(f"{path.name}.tmp")
    text = json.dumps(_json_able(content), indent=1, allow_nan=False) + "\n"
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises: UserError when it is missing or no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); expected a JSON file that hemobench wrote; check the path"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; expected a JSON object; check the path")
    return content
