"""A UserError is a ValueError too, and nowhere taken for a library's: its own line comes out."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

import hemobench
from hemobench.boards import record
from hemobench.datasets.zeta import picture_files as zeta_pictures
from hemobench.errors import HemobenchError, UserError, unknown_name
from hemobench.io import pictures, read_scan
from hemobench.io.pictures import read_grey
from hemobench.models import create_model
from hemobench.release.recipes import load_recipe
from hemobench.training.checkpointing import load_tensors
from hemobench.training.result import _PICTURES, _PLAIN, RunResult
from hemobench.views.view import view_from_mapping

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "hemobench" / "release" / "recipes"


def test_a_far_name_gets_no_guess_but_the_list() -> None:
    message = str(unknown_name("model", "zzz", ["unet3d", "paper_cnn"]))
    assert message == "unknown model 'zzz'; known: paper_cnn, unet3d; use one of these names"


def test_a_mistake_is_a_value_error_and_of_hemobench() -> None:
    assert issubclass(UserError, ValueError)
    assert issubclass(UserError, HemobenchError)
    assert hemobench.HemobenchError is HemobenchError
    with pytest.raises(ValueError, match="no scan"):
        read_scan(Path("nowhere.nii.gz"))


def test_a_view_says_what_is_wrong_with_its_size() -> None:
    with pytest.raises(UserError, match=r"^view\.size is 4; expected 8 to 2048"):
        view_from_mapping("classification", {"size": 4})


def test_a_picture_too_large_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slice.png"
    Image.new("L", (40, 30)).save(path)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match="40 x 30 pixels; expected at most 1,000"):
        read_grey(path)


@pytest.mark.parametrize("read", [zeta_pictures.read_luma, zeta_pictures.read_rgb])
def test_a_render_too_large_is_refused_and_not_read_another_way(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "render.jpg"
    Image.new("L", (zeta_pictures.LARGEST_SIDE + 1, 2)).save(path)
    with pytest.raises(UserError, match="resize it"):
        read(path)


def test_a_recipe_names_the_training_option_that_is_wrong(tmp_path: Path) -> None:
    content = yaml.safe_load((RECIPES / "slice-classifier-phantom.yaml").read_text(encoding="utf-8"))
    content["training"]["epoch"] = 3
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"^unknown training option 'epoch'.*did you mean 'epochs'"):
        load_recipe(str(path))


def test_a_training_state_of_another_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_file({"weight": torch.zeros(1)}, path, {"hemobench": "0"})
    with pytest.raises(UserError, match="has format '0'; expected"):
        load_tensors(path)


def test_a_run_s_config_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    plain: dict[str, object] = {name: {} for name in ("validation_metrics", "baselines", "timings", "metrics")}
    content = {"schema": 1, **dict.fromkeys(_PLAIN), **plain, "config": {"task": "none", "view": {}}, "history": []}
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    np.savez(tmp_path / "predictions.npz", probabilities=np.zeros(1))
    np.savez(tmp_path / "pictures.npz", **{name: np.zeros(1) for name in _PICTURES})
    with pytest.raises(UserError, match=r"^unknown task 'none'"):
        RunResult.load(tmp_path)


def test_a_board_s_record_too_large_is_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_MOST_BYTES", 10)
    (tmp_path / record.RECORD).write_text(json.dumps({"schema": "something long"}), encoding="utf-8")
    with pytest.raises(UserError, match="has more than"):
        record.read_record(tmp_path)


def test_networks_of_our_own_say_what_they_lack() -> None:
    with pytest.raises(UserError, match=r"^prior 2\.0; expected one probability"):
        create_model("timm:resnet18", task="classification", in_channels=3, num_outputs=2, prior=2.0)
    with pytest.raises(UserError, match=r"^unknown pad_mode|^pad_mode 'odd'; expected"):
        create_model("monai:UNet", task="segmentation", in_channels=1, num_outputs=1, pad_mode="odd")


# Tries that may take a ValueError of ours for somebody else's: what they call raises none.
LOOKED_AT = {
    "cli/prediction_folder.py": {"Claim"},
    "datasets/ct_ich/labels.py": {"whole"},
    "datasets/hemseg.py": {"_plain"},
    "datasets/rsna/headers.py": {"_read_all", "walk"},
    "datasets/zeta/locations.py": {"_Record", "_add"},
    "evaluation/journal.py": {"_answer"},
    "io/archive.py": {"open", "read"},
    "io/dicom_fields.py": {"decimal"},
}


def test_whoever_catches_value_errors_lets_ours_pass_first() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "hemobench").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = _own_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Try):
                calls = _calls(node.body) & own
                if calls and _swallows(node.handlers):
                    found.setdefault(path.relative_to(ROOT / "hemobench").as_posix(), set()).update(calls)
    assert found == LOOKED_AT


def _own_names(tree: ast.Module) -> set[str]:
    """What a module defines, or takes from hemobench."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hemobench"):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _calls(body: list[ast.stmt]) -> set[str]:
    called = [node.func for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return {function.id for function in called if isinstance(function, ast.Name)} | {
        function.attr for function in called if isinstance(function, ast.Attribute)
    }


def _swallows(handlers: list[ast.ExceptHandler]) -> bool:
    """Whether a ValueError of a library is handled, and no handler of ours stands before."""
    for handler in handlers:
        caught = "" if handler.type is None else ast.unparse(handler.type)
        if "UserError" in caught or "HemobenchError" in caught:
            return False
        if "ValueError" in caught or caught.strip("_").isupper():
            return True
    return False
