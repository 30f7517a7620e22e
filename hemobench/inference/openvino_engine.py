"""OpenVINO on the CPU: the torch network traced once, kept as a graph in the cache, compiled for each plane size."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from functools import cached_property, lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hemobench
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.config import CheckpointConfig
from hemobench.machine import cache_home, usable_cores
from hemobench.models.names import FAMILY

PRECISIONS = {"bf16": "bf16", "fp32": "f32"}
_TRACED = (3, 96, 128)  # what is traced where a size stays free: more would only take longer
_COMPILED = "compiled"  # beneath a graph's folder
_MOST_GRAPHS = 4  # a checkpoint's view has one plane size; callers of their own may have some
_log = logging.getLogger(__name__)
_beside = threading.Event()  # set: tracing is left to other processes
_LEAVE_GRAPH = """
import json, sys
from pathlib import Path
from hemobench.inference.checkpoint import open_checkpoint
from hemobench.inference.openvino_engine import leave_graph
leave_graph(open_checkpoint(Path(sys.argv[1])), tuple(json.loads(sys.argv[2])))
"""


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return util.find_spec("openvino") is not None


def keep_torch_out() -> None:
    """From now on this process leaves tracing to processes of its own making, where it has not loaded torch already:
    a server would keep torch's memory for good, for one picture of a size that is new."""
    _beside.set()


def run_beside(code: str, *arguments: str) -> bool:
    """Run Python code in another process that finds the same packages; whether it came to its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0


def leave_graph(checkpoint: Checkpoint, sizes: tuple[int, ...]) -> None:
    """Trace a network for images of these sizes, and leave the graph in the cache."""
    _keep(_traced(checkpoint, sizes), _folder(checkpoint, sizes, _version()))


def has_graph(checkpoint: Checkpoint) -> bool:
    """Whether the cache holds the graph of a checkpoint's own view, so that its engine is made without torch."""
    return _folder(checkpoint, _kept_sizes(checkpoint, checkpoint.config.view.image_size), _version()).is_dir()


class OpenVinoEngine:
    """A checkpoint's network in OpenVINO. Batch size is free, and so is the number of slices of a slice-wise network;
    each other size is compiled when it first comes, the view's when the engine is made.

    `run` may be called from several threads; one batch computes at a time, on all of `threads`.
    """

    def __init__(self, checkpoint: Checkpoint, precision: str, threads: int | None = None) -> None:
        self.context = checkpoint.config.context
        self._checkpoint, self._precision = checkpoint, precision
        self._threads = threads or usable_cores()
        self._lock = threading.Lock()
        self._graphs: dict[tuple[int, ...], Any] = {}
        self._graph(_free_sizes(self.context, checkpoint.config.view.image_size))
        self.description = f"openvino {_version()} {precision}, {self._threads} threads"

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (B, K) or (B, K, *spatial) of a batch (B, C, *spatial); neither is kept."""
        images = np.ascontiguousarray(batch, dtype=np.float32)
        with self._lock:
            graph = self._graph(_free_sizes(self.context, images.shape[2:]))
            request = graph.create_infer_request()
            logits: NDArray[np.float32] = request.infer([images], share_inputs=True)[0]
            # Else the request's tensors and the graph's working memory hold the patient until the next one comes.
            del request
            graph.release_memory()
        return logits

    def _graph(self, sizes: tuple[int, ...]) -> Any:
        if sizes not in self._graphs:
            while len(self._graphs) >= _MOST_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            model, kept = self._model(sizes), self._folder(sizes)
            model.reshape([-1, self._checkpoint.config.in_channels, *sizes])
            self._graphs[sizes] = self._core.compile_model(
                model,
                "CPU",
                {
                    # Compiled once for this CPU, precision and number of threads; of another, OpenVINO makes its own.
                    **({"CACHE_DIR": str(kept / _COMPILED)} if kept.is_dir() else {}),
                    "INFERENCE_PRECISION_HINT": PRECISIONS[self._precision],
                    "INFERENCE_NUM_THREADS": self._threads,
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": 1,
                    "ENABLE_CPU_PINNING": False,  # another process may need the core more
                },
            )
        return self._graphs[sizes]

    def _model(self, sizes: tuple[int, ...]) -> Any:
        """The network as an OpenVINO model, from the cache or traced and left there."""
        sizes = _kept_sizes(self._checkpoint, sizes)
        folder = self._folder(sizes)
        if _beside.is_set() and "torch" not in sys.modules and not folder.is_dir():
            run_beside(_LEAVE_GRAPH, str(self._checkpoint.directory), json.dumps(sizes))
        if folder.is_dir():
            try:
                return self._core.read_model(folder / "model.xml")
            except RuntimeError as error:
                _log.warning("OpenVINO model in %s cannot be read and is made again: %s", folder, error)
                shutil.rmtree(folder, ignore_errors=True)
        model = _traced(self._checkpoint, sizes)
        try:
            _keep(model, folder)
        except OSError as error:
            # The cache saves seconds of the next start and nothing else.
            _log.debug("OpenVINO model not kept in %s: %s", folder, error)
        return model

    def _folder(self, sizes: tuple[int, ...]) -> Path:
        return _folder(self._checkpoint, _kept_sizes(self._checkpoint, sizes), _version())

    @cached_property
    def _core(self) -> Any:
        return _openvino().Core()


def _free_sizes(context: int | None, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of a batch's images with the number of slices left free, for a slice-wise network."""
    return sizes if context is None or len(sizes) < 3 else (-1, *sizes[1:])


def _kept_sizes(checkpoint: Checkpoint, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes for which a graph is traced and kept: of our segmenters on timm's backbones one for all planes, so that
    a head of another size needs no torch; of other networks, whose layers may depend on it, the image's own."""
    config = checkpoint.config
    if config.context is not None and len(sizes) == 3 and config.model.partition(":")[0] == FAMILY:
        return (-1, -1, -1)
    return _free_sizes(config.context, sizes)


def _folder(checkpoint: Checkpoint, sizes: tuple[int, ...], version: str) -> Path:
    return cache_home() / "cache" / f"engine-{_key(checkpoint, sizes, version)}"


def _version() -> str:
    return str(_openvino().__version__).partition("-")[0]


def _openvino() -> Any:
    """The package, without its telemetry: importing it would write an id to the home folder and send it off."""
    if "openvino" not in sys.modules:
        # None makes its import fail, for which OpenVINO has a stub that sends nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _traced(checkpoint: Checkpoint, sizes: tuple[int, ...]) -> Any:
    """Trace the network for images of these sizes, those below 0 free. Where a layer depends on a size, that is a
    constant of the trace."""
    import torch

    openvino = _openvino()
    config = checkpoint.config
    example = torch.zeros(
        1,
        config.in_channels,
        *(size if size > 0 else own for size, own in zip(sizes, _TRACED[-len(sizes) :], strict=True)),
    )
    with warnings.catch_warnings(), torch.no_grad():
        # That tracing is deprecated, and that sizes become constants, which is meant.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(checkpoint.build_model(), example, check_trace=False)
        return openvino.convert_model(traced, example_input=example, input=[-1, config.in_channels, *sizes])


def _keep(model: Any, folder: Path) -> None:
    """Put the graph in the cache, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        _openvino().save_model(model, building / "model.xml", compress_to_fp16=False)
        os.replace(building, folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _key(checkpoint: Checkpoint, sizes: tuple[int, ...], version: str) -> str:
    """Changes with the weights, with the network they go into, and with every library that writes the graph."""
    libraries = [version, *(metadata.version(name) for name in ("torch", "timm", "monai"))]
    text = json.dumps([checkpoint.sha256, network_of(checkpoint.config), sizes, libraries, _models_source()])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def network_of(config: CheckpointConfig) -> str:
    """The part of a config that decides what its weights compute."""
    parts = [config.model, dict(config.model_options), config.in_channels, config.outputs, config.view.image_size]
    return json.dumps(parts, sort_keys=True)


@lru_cache(maxsize=1)
def _models_source() -> str:
    folder = Path(hemobench.__file__).parent / "models"
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
