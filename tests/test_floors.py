"""Data flows one way: a module imports only from its own floor or those above it, and never in a circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "hemobench"
# Top to bottom; names are those directly under the package. Same line, same floor.
FLOORS = (
    ("errors", "machine", "progress"),
    ("labels",),
    ("volume", "components"),
    ("case",),
    ("views",),
    ("io",),
    ("datasets",),
    ("augment", "picture_artefacts", "transplants"),
    ("models",),
    ("losses", "weighting"),
    ("metrics",),
    ("training",),
    ("inference",),
    ("stats",),
    ("evaluation", "predictions"),
    ("compare",),
    ("boards", "release", "hub"),
    ("api",),
    ("cli",),
    ("data", "train", "recipe", "evaluate", "predict", "sheet", "demo", "__main__"),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS, start=1) for name in names}
SHIMS = len(FLOORS)
# What the package's own `__getattr__` loads when it is first asked for, and nothing else may.
ON_FIRST_USE = {
    "hemobench.api",
    "hemobench.case",
    "hemobench.datasets.opening",
    "hemobench.datasets.torch_dataset",
    "hemobench.errors",
    "hemobench.inference.checkpoint",
    "hemobench.inference.report",
    "hemobench.inference.study",
    "hemobench.io.reading",
    "hemobench.volume",
}


def modules_in(root: Path) -> dict[str, Path]:
    """Dotted names of all modules of the package in `root`, packages by their own name."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(
    name: str, path: Path, known: dict[str, Path], *, inside_functions: bool = True
) -> tuple[set[str], set[str]]:
    """Modules of the package that this one imports, anywhere in its code, and those it names in a string."""
    root = name.split(".")[0]
    imported, named = set(), set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not inside_functions:
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef) and not _for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {nearest(alias.name, known) for alias in node.names if alias.name.split(".")[0] == root}
        elif isinstance(node, ast.ImportFrom):
            source = absolute(name, path, node)
            if source.split(".")[0] == root:
                imported |= {nearest(f"{source}.{alias.name}", known) for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # "package.module" or "package.module:function", the way registries name what they load later.
            target = node.value.partition(":")[0]
            if re.fullmatch(rf"{root}(\.\w+)+", target) and target in known:
                named.add(target)
    return imported - {name, root}, named - {name, root}


def _for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def absolute(name: str, path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def nearest(name: str, known: dict[str, Path]) -> str:
    """The module that a dotted name stands in: `from p.module import function` is an import of p.module."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def floor(name: str) -> int | None:
    parts = name.split(".")
    return SHIMS if parts[-1] == "__main__" else FLOOR_OF.get(parts[1])


def wrong_arrows(root: Path) -> list[str]:
    """One line for each import that runs against the floors, each module without a floor and each circle."""
    known = modules_in(root)
    wrong, graph = [], {}
    for name, path in known.items():
        if name == root.name:
            inside, lazy = imports_of(name, path, known)
            at_once = imports_of(name, path, known, inside_functions=False)[0]
            early = at_once | ((inside | lazy) - ON_FIRST_USE)
            wrong += [f"{name} imports {target}; importing the package must import nothing" for target in early]
            continue
        imported, named = imports_of(name, path, known)
        graph[name] = imported
        own = floor(name)
        if own is None:
            wrong.append(f"{name} has no floor")
            continue
        for target in imported | named:
            other = floor(target)
            if other is not None and (other > own or (other == own == SHIMS)):
                wrong.append(f"{name} (floor {own}) imports {target} (floor {other})")
    return sorted(wrong) + circles(graph)


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Each circle of imports that a depth-first walk closes, as one line."""
    done: set[str] = set()
    found = []

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append("circle: " + " -> ".join([*trail[trail.index(name) :], name]))
            return
        if name in done:
            return
        for target in sorted(graph.get(name, ())):
            visit(target, [*trail, name])
        done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_every_arrow_of_the_package_runs_down() -> None:
    assert wrong_arrows(PACKAGE) == []


PLANTED = {
    "import at the top": ("volume.py", "import hemobench.metrics.segmentation\n", "metrics.segmentation"),
    "import from": ("io/nifti.py", "from hemobench.datasets.case import Case\n", "datasets.case"),
    "import of a submodule by its package": ("io/nifti.py", "from hemobench.datasets import case\n", "datasets.case"),
    "import inside a function": ("labels.py", "def f():\n    from hemobench import volume\n", "volume"),
    "relative import": ("datasets/case.py", "from ..metrics import segmentation\n", "metrics.segmentation"),
    "relative import in a package's own file": ("io/__init__.py", "from ..datasets import case\n", "datasets.case"),
    "import for types only": (
        "volume.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hemobench.datasets.case import Case\n",
        "datasets.case",
    ),
    "module named in a string": ("io/nifti.py", "NAME = 'hemobench.datasets.case:open_it'\n", "datasets.case"),
}


def make_package(folder: Path, changes: dict[str, str]) -> Path:
    root = folder / "hemobench"
    right = {
        "__init__.py": "__version__ = '1'\n",
        "errors.py": "class UserError(Exception): pass\n",
        "labels.py": "from hemobench.errors import UserError\n",
        "volume.py": "from hemobench import errors\nimport numpy\n",
        "io/__init__.py": "",
        "io/nifti.py": "from ..volume import Volume\nfrom . import atomic\n",
        "io/atomic.py": "",
        "datasets/__init__.py": "",
        "datasets/case.py": "import hemobench.volume\n",
        "metrics/__init__.py": "",
        "metrics/segmentation.py": "from hemobench.datasets.case import Case\n",
        "compare/__main__.py": "from hemobench.cli.run import run_app\n",
        "cli/run.py": "from hemobench.metrics import segmentation\n",
    }
    for name, text in {**right, **changes}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_checker_passes_right_arrows(tmp_path: Path) -> None:
    assert wrong_arrows(make_package(tmp_path, {})) == []


@pytest.mark.parametrize("plant", PLANTED)
def test_checker_finds_a_planted_wrong_arrow(tmp_path: Path, plant: str) -> None:
    path, text, target = PLANTED[plant]
    importer = "hemobench." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    lines = wrong_arrows(make_package(tmp_path, {path: text}))
    # Some of these close a circle as well, which is another line.
    (arrow,) = [line for line in lines if not line.startswith("circle")]
    assert arrow.startswith(f"{importer} (floor ")
    assert f"imports hemobench.{target} (floor " in arrow


def test_checker_finds_a_circle_inside_a_package(tmp_path: Path) -> None:
    changes = {"io/atomic.py": "def f():\n    from hemobench.io.nifti import g\n    return g\n"}
    (line,) = wrong_arrows(make_package(tmp_path, changes))
    assert line == "circle: hemobench.io.atomic -> hemobench.io.nifti -> hemobench.io.atomic"


def test_checker_finds_a_module_without_a_floor(tmp_path: Path) -> None:
    assert wrong_arrows(make_package(tmp_path, {"helpers.py": ""})) == ["hemobench.helpers has no floor"]


def test_checker_finds_an_import_in_the_package_itself(tmp_path: Path) -> None:
    (line,) = wrong_arrows(make_package(tmp_path, {"__init__.py": "from hemobench.volume import Volume\n"}))
    assert line.startswith("hemobench imports hemobench.volume")


def test_checker_passes_an_import_on_first_use_and_no_other(tmp_path: Path) -> None:
    inside = "def __getattr__(name):\n    from hemobench.{} import analyse\n    return analyse\n"
    study = {"inference/__init__.py": "", "inference/study.py": "def analyse(): pass\n"}
    assert wrong_arrows(make_package(tmp_path / "a", {**study, "__init__.py": inside.format("inference.study")})) == []
    (line,) = wrong_arrows(make_package(tmp_path / "b", {**study, "__init__.py": inside.format("labels")}))
    assert line.startswith("hemobench imports hemobench.labels")
    early = "from hemobench.inference.study import analyse\n"
    (line,) = wrong_arrows(make_package(tmp_path / "c", {**study, "__init__.py": early}))
    assert line.startswith("hemobench imports hemobench.inference.study")
