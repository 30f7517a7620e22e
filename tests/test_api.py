"""What `import hemobench` offers: every name, without loading anything before it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import hemobench
import hemobench.api
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.splits import split_by_patient
from hemobench.datasets.torch_dataset import ExampleDataset
from hemobench.inference.shipped import shipped_names
from hemobench.views.view import ClassificationView, SegmentationView

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = (
    "analyse",
    "read_scan",
    "Volume",
    "open_dataset",
    "torch_dataset",
    "create_model",
    "open_checkpoint",
    "train",
    "evaluate",
    "compare",
    "Case",
    "StudyReport",
    "HemobenchError",
)
HEAVY = {"numpy", "torch", "pandas", "scipy", "timm", "monai", "nibabel", "pydicom", "sklearn", "plotly"}


def run(code: str, cwd: Path = ROOT) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing() -> None:
    roots = "{name.split('.')[0] for name in sys.modules}"
    inner = "[name for name in sys.modules if name.startswith('hemobench.')]"
    told = run(f"import sys, hemobench; print(sorted({roots} & {HEAVY}), {inner})")
    assert told.split() == ["[]", "[]"]


def test_all_names_are_there_and_no_other() -> None:
    assert set(hemobench.__all__) == {*PUBLIC, "__version__"}
    assert set(hemobench.api.__all__) == set(PUBLIC)
    for name in PUBLIC:
        assert name in dir(hemobench)
        offered, own = getattr(hemobench, name), getattr(hemobench.api, name)
        assert offered is own or inspect.signature(offered) == inspect.signature(own)
    with pytest.raises(AttributeError, match="no attribute 'analyze'"):
        _ = hemobench.analyze


@pytest.mark.parametrize("name", ["train", "evaluate", "compare"])
@pytest.mark.parametrize("first", ["", "import hemobench.{0}; ", "import hemobench.{0}, hemobench.api; "])
def test_a_command_s_module_is_the_function_in_any_order(name: str, first: str) -> None:
    told = run(
        f"{first.format(name)}import hemobench; f = hemobench.{name}; import hemobench.{name}, types\n"
        f"assert f is hemobench.{name} and callable(f) and isinstance(f, types.ModuleType)\n"
        f"import inspect; print(list(inspect.signature(f).parameters)[:2])"
    )
    assert told.strip() == str(list(inspect.signature(getattr(hemobench.api, name)).parameters)[:2])


def test_every_public_name_says_what_comes_in_and_out() -> None:
    for name in PUBLIC:
        own = getattr(hemobench.api, name)
        text = inspect.getdoc(own) or ""
        assert text.splitlines()[0].endswith("."), name
        if inspect.isfunction(own):
            parameters = [one.name for one in inspect.signature(own).parameters.values()]
            missing = [one for one in parameters if f"\n    {one}:" not in text and f"\n    **{one}:" not in text]
            assert missing == [], name
            assert "\nReturns:\n" in text, name
            assert "\nRaises:\n" in text, name
            assert "return" in own.__annotations__, name


@pytest.mark.slow
def test_a_user_s_script_is_checked_by_mypy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import hemobench\n"
        "try:\n"
        "    report: hemobench.StudyReport = hemobench.analyse('scan.nii.gz')\n"
        "except hemobench.HemobenchError as error:\n"
        "    print(error)\n"
        "volume: hemobench.Volume = hemobench.read_scan('scan.nii.gz').volume\n"
        "cases: tuple[hemobench.Case, ...] = hemobench.open_dataset('phantom').cases\n"
        "print(len(hemobench.torch_dataset('phantom', patients=2)))\n"
        "print(hemobench.create_model('unet3d').training, hemobench.open_checkpoint('bleed').sha256)\n"
        "print(hemobench.train('paper_cnn', epochs=1).metrics['auroc_any'] + 1)\n"
        "print(hemobench.evaluate('bleed', 'phantom').metrics['dice_any'])\n"
        "print(hemobench.compare('quick').boards[0].entries[0].rank)\n"
        "hemobench.create_model(3)  # E\n"
        "hemobench.evaluate()  # E\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "",
        "--cache-dir",
        str(tmp_path / "cache"),
        "--follow-imports",
        "silent",
        str(script),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in lines] == [13, 14], done.stdout + done.stderr


def test_slices_come_as_tensors() -> None:
    view = ClassificationView(("brain", "bone"), 32)
    data = hemobench.torch_dataset("phantom", view, patients=4, slices=6, matrix=64)
    assert isinstance(data, ExampleDataset)
    images, targets = next(iter(DataLoader(data, batch_size=8)))
    assert (tuple(images.shape), images.dtype) == ((8, 2, 32, 32), torch.float32)
    assert (tuple(targets.shape), targets.dtype) == ((8, 6), torch.float32)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    # The last column is 1 where one of the types is.
    assert torch.equal(targets[:, -1], targets[:, :-1].amax(dim=1))
    assert len(data) == 4 * 6


def test_a_split_divides_them_and_a_transform_is_asked() -> None:
    dataset = open_dataset("phantom", patients=6, slices=4, matrix=64)
    split = split_by_patient(dataset.cases, seed=0)
    data = hemobench.torch_dataset(dataset, ClassificationView(("brain",), 16), transform=lambda x, y: (x + 1, y))
    train = data.of_patients(split.train)
    assert set(train.patient_ids) == set(split.train)
    assert len(train) == 4 * len(split.train)
    assert float(train[0][0].min()) >= 1
    assert len(set(train.study_ids)) == len(split.train)
    with pytest.raises(hemobench.HemobenchError, match="patients nobody are not in data set 'phantom'"):
        data.of_patients(["nobody"])
    with pytest.raises(hemobench.HemobenchError, match="options patients for an opened data set"):
        hemobench.torch_dataset(dataset, patients=3)


def test_volumes_come_with_masks() -> None:
    grid = SegmentationView("subtypes", (8.0, 8.0, 8.0), (8, 16, 16))
    image, target = hemobench.torch_dataset("phantom", grid, patients=2, slices=6, matrix=64)[1]
    assert tuple(image.shape) == tuple(target.shape) == (1, 8, 16, 16)
    assert target.dtype == torch.int64


def test_networks_by_name() -> None:
    classifier = hemobench.create_model("timm:resnet18")
    assert classifier(torch.zeros(2, 3, 64, 64)).shape == (2, 6)
    segmenter = hemobench.create_model("unet3d", num_outputs=2)
    assert segmenter(torch.zeros(1, 1, 8, 16, 16)).shape == (1, 2, 8, 16, 16)
    with pytest.raises(hemobench.HemobenchError, match="pretrained weights of 'unet3d'; expected timm:"):
        hemobench.create_model("unet3d", pretrained=True)


def test_a_shipped_checkpoint_is_a_network_too() -> None:
    assert "slice-classifier" in shipped_names()
    taught = hemobench.create_model("ventricles", pretrained=True)
    stored = hemobench.open_checkpoint("ventricles").build_model()
    assert all(torch.equal(one, two) for one, two in zip(taught.parameters(), stored.parameters(), strict=True))
    assert all(one.requires_grad for one in taught.parameters())
    fresh = hemobench.create_model("ventricles")
    assert not all(torch.equal(one, two) for one, two in zip(fresh.parameters(), taught.parameters(), strict=True))
    with pytest.raises(hemobench.HemobenchError, match="in_channels for the checkpoint 'ventricles'"):
        hemobench.create_model("ventricles", in_channels=3)


def test_train_gives_scores_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"epochs": 1, "size": 32, "patients": 12}
    result = hemobench.train("paper_cnn", "phantom:,slices=6,matrix=64", output=tmp_path / "run", **options)
    assert 0 <= result.metrics["accuracy"] <= 1
    assert (tmp_path / "run" / "run.json").is_file()
    again = hemobench.train("paper_cnn", "phantom:,slices=6,matrix=64", output=tmp_path / "run", **options)
    assert again.timings == result.timings  # of the finished run
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    with pytest.raises(ValueError, match="unknown training option 'epoch'"):
        hemobench.train("paper_cnn", epoch=1)


def test_evaluate_gives_metrics_with_intervals_and_keeps_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = hemobench.open_dataset("phantom", patients=3, slices=6, matrix=64, healthy=0.3)
    result = hemobench.evaluate("slice-classifier-timm", data)
    low, high = result.metrics["auroc_any"]["ci"]
    assert np.isnan(low) or low <= result.metrics["auroc_any"]["mean"] <= high
    assert any(note.startswith("PHANTOMS") for note in result.notes)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""
    hemobench.evaluate("slice-classifier-timm", data, output=tmp_path / "kept")
    assert (tmp_path / "kept" / "metrics.json").is_file()
    with pytest.raises(hemobench.HemobenchError, match="expected one of them"):
        hemobench.evaluate("bleed", data, allow_seen=True, leave_out_seen=True)


def test_compare_ranks_what_exists_without_printing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    board = hemobench.compare(
        data="phantom:,patients=3,slices=6,matrix=64",
        entries=["slice-classifier-timm", "mine=paper-cnn"],
        output=tmp_path,
        pictures=False,
    ).boards[0]
    assert {"slice-classifier-timm", "mine"} <= {entry.name for entry in board.entries}
    assert "hemobench.compare(data=" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(hemobench.HemobenchError, match="entries without data"):
        hemobench.compare(entries=["bleed"])
    with pytest.raises(hemobench.HemobenchError, match="unknown suite 'quik'"):
        hemobench.compare("quik")


def test_types_and_homes_name_the_same() -> None:
    tree = ast.parse((ROOT / "hemobench" / "__init__.py").read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    named = {alias.name: node.module for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    named.pop("Signature")
    assert set(named) == set(PUBLIC)
    for name, home in hemobench._HOMES.items():
        assert named[name] == home
