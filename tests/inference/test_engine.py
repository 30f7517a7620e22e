from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit
from small_checkpoints import FAMILIES, head_batch, small_checkpoint, small_config

from hemobench.errors import UserError
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.engine import Engine, load_engine, shared_engine

LIBRARIES = ("openvino", "torch")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Checkpoint]]:
    folder, threads = tmp_path_factory.mktemp("engines"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOBENCH_HOME", str(folder / "home"))
        yield {role: small_checkpoint(folder / role, role) for role in FAMILIES}
    torch.set_num_threads(threads)


def in_torch(checkpoint: Checkpoint, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The reference: the network itself, eager, fp32."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = checkpoint.build_model()(torch.from_numpy(batch)).numpy()
    return logits


def batch_for(checkpoint: Checkpoint, batch: int = 2) -> NDArray[np.float32]:
    return head_batch(checkpoint.config.in_channels, *checkpoint.config.view.image_size, batch=batch)


@pytest.mark.parametrize("role", FAMILIES)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("precision", "largest", "mean"),
    [("fp32", 3e-4, 3e-4), ("bf16", 0.04, 0.004)],
)
def test_probabilities_are_those_of_torch_in_fp32(
    checkpoints: dict[str, Checkpoint], role: str, library: str, precision: str, largest: float, mean: float
) -> None:
    checkpoint = checkpoints[role]
    batch = batch_for(checkpoint)
    expected = in_torch(checkpoint, batch)
    logits = load_engine(checkpoint, library, 1, precision).run(batch)
    assert logits.dtype == np.float32
    assert logits.shape == expected.shape
    assert np.ptp(expected) > 0.4  # tolerances mean nothing for a network that always says the same
    error = np.abs(expit(logits) - expit(expected))
    assert error.max() < largest
    assert error.mean() < mean


@pytest.mark.parametrize("library", LIBRARIES)
def test_any_number_of_slices_and_any_plane_gives_torchs_answer(
    checkpoints: dict[str, Checkpoint], library: str
) -> None:
    checkpoint = checkpoints["haemorrhage"]
    engine = load_engine(checkpoint, library, 1, "fp32")
    for sizes in ((1, 44, 48), (2, 44, 48), (13, 44, 48), (3, 30, 26), (8, 44, 48)):
        batch = head_batch(1, *sizes, batch=1)
        np.testing.assert_allclose(engine.run(batch), in_torch(checkpoint, batch), atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_batches_of_any_size_and_layout(checkpoints: dict[str, Checkpoint], library: str) -> None:
    checkpoint = checkpoints["slice-classifier"]
    engine = load_engine(checkpoint, library, 1, "fp32")
    images = batch_for(checkpoint, 7)
    whole = engine.run(images)
    np.testing.assert_allclose(engine.run(images[2:3]), whole[2:3], atol=1e-4)
    np.testing.assert_allclose(engine.run(images[::-2]), whole[::-2], atol=1e-4)
    np.testing.assert_allclose(engine.run(images.astype(np.float64)), whole, atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_threads_do_not_mix_up_their_answers(checkpoints: dict[str, Checkpoint], library: str) -> None:
    checkpoint = checkpoints["haemorrhage"]
    engine = load_engine(checkpoint, library, 1, "fp32")
    batches = [head_batch(1, depth, 44, 48, batch=1) * np.float32(1 - depth / 20) for depth in range(1, 9)]
    expected = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, want in zip(pool.map(engine.run, batches), expected, strict=True):
                np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_engine_keeps_neither_its_input_nor_its_output(checkpoints: dict[str, Checkpoint], library: str) -> None:
    checkpoint = checkpoints["ventricles"]
    engine = load_engine(checkpoint, library, 1, "fp32")
    batch = batch_for(checkpoint, 1)
    reference, before = weakref.ref(batch), batch.copy()
    first = engine.run(batch)
    copied = first.copy()
    np.testing.assert_array_equal(batch, before)
    del batch
    gc.collect()
    assert reference() is None
    engine.run(1 - before)
    np.testing.assert_array_equal(first, copied)


def test_the_graph_is_kept_and_belongs_to_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    cache = tmp_path / "home" / "cache"
    checkpoint = small_checkpoint(tmp_path / "one", "haemorrhage")
    batch = batch_for(checkpoint)
    expected = load_engine(checkpoint, "openvino", 1, "fp32").run(batch)
    (kept,) = cache.iterdir()
    (checkpoint.directory / "model.safetensors").unlink()  # so that nothing can be traced again
    np.testing.assert_array_equal(load_engine(checkpoint, "openvino", 1, "fp32").run(batch), expected)

    other = small_checkpoint(tmp_path / "two", "haemorrhage", model_options={"base": 4, "depth": 1, "norm": "batch"})
    load_engine(other, "openvino", 1, "fp32")
    assert len(list(cache.iterdir())) == 2
    (kept / "model.xml").write_text("<net", encoding="utf-8")
    again = small_checkpoint(tmp_path / "one", "haemorrhage")
    np.testing.assert_allclose(load_engine(again, "openvino", 1, "fp32").run(batch), expected, atol=1e-6)
    assert (kept / "model.xml").stat().st_size > 1000


def test_graphs_are_made_by_a_process_of_their_own_and_torch_stays_out_of_this_one(tmp_path: Path) -> None:
    folders = [small_checkpoint(tmp_path / role, role).directory for role in ("haemorrhage", "slice-classifier")]
    code = """
import sys
from pathlib import Path
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.engine import load_engine, prepare_engines
from hemobench.inference.openvino_engine import has_graph, keep_torch_out
import numpy as np
opened = [open_checkpoint(Path(folder)) for folder in sys.argv[1:]]
print([has_graph(one) for one in opened], prepare_engines(opened), [has_graph(one) for one in opened])
for one in opened:
    load_engine(one, "openvino", 1, "fp32")
print("torch" in sys.modules, prepare_engines(opened))
keep_torch_out()
print(load_engine(opened[0], "openvino", 1, "fp32").run(np.zeros((1, 1, 3, 30, 26), np.float32)).shape[2:])
print("torch" in sys.modules)
"""
    home = {**os.environ, "HEMOBENCH_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, folders)], env=home, capture_output=True, encoding="utf-8", check=True
    )
    assert result.stdout.splitlines() == ["[False, False] True [True, True]", "False True", "(3, 30, 26)", "False"]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    checkpoint = checkpoints["haemorrhage"]
    batch = batch_for(checkpoint)
    found = load_engine(checkpoint, "openvino", 1, "fp32").run(batch)
    np.testing.assert_allclose(found, in_torch(checkpoint, batch), atol=1e-4)


def test_openvino_sends_prints_and_writes_nothing(tmp_path: Path, checkpoints: dict[str, Checkpoint]) -> None:
    folder = checkpoints["haemorrhage"].directory
    code = (
        "import sys, numpy; from hemobench.inference.checkpoint import open_checkpoint\n"
        "from hemobench.inference.engine import load_engine\n"
        f"engine = load_engine(open_checkpoint({str(folder)!r}), 'openvino', 1)\n"
        "engine.run(numpy.zeros((1, 1, 8, 44, 48), numpy.float32))\n"
        "assert 'openvino' in sys.modules\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "HEMOBENCH_HOME": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    assert (run.stdout, run.stderr) == ("", "")
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto is torch where there is a GPU")
def test_auto_takes_openvino_and_torch_where_it_is_missing(
    checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoints["ventricles"]
    assert load_engine(checkpoint, threads=1).description.startswith("openvino 20")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert load_engine(checkpoint, threads=1, precision="fp32").description == (
        f"torch {torch.__version__.partition('+')[0]} fp32, 1 threads"
    )
    with pytest.raises(UserError, match="engine 'openvino' without OpenVINO"):
        load_engine(checkpoint, "openvino")


def test_unknown_engines_and_precisions_are_named(checkpoints: dict[str, Checkpoint]) -> None:
    with pytest.raises(UserError, match="did you mean 'openvino'"):
        load_engine(checkpoints["ventricles"], "openvno")
    with pytest.raises(UserError, match="did you mean 'bf16'"):
        load_engine(checkpoints["ventricles"], precision="f16")


def test_threads_that_ask_together_share_one_engine(checkpoints: dict[str, Checkpoint]) -> None:
    def ask(_: int) -> Engine:
        return shared_engine(checkpoints["ventricles"], "torch")

    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(ask, range(8)))
    assert len({id(engine) for engine in engines}) == 1
    assert shared_engine(checkpoints["haemorrhage"], "torch") is not engines[0]
    assert shared_engine(checkpoints["ventricles"], "openvino") is not engines[0]
    assert engines[0].context is None
    assert shared_engine(checkpoints["haemorrhage"], "torch").context == small_config("haemorrhage").context == 1
