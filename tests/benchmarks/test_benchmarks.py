"""Every benchmark runs to its end on tiny inputs, and what one run measured becomes one table."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = [
    name
    for name in (path.relative_to(FOLDER).with_suffix("").as_posix() for path in sorted(FOLDER.rglob("*.py")))
    if name not in ("run", "ratios", "other_things")
]
# Tools that write what other commands measure.
WITHOUT_RATIOS = {"peers/blast_ct", "peers/out_of_fold"}
Load = Callable[[str], ModuleType]


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_runs_on_tiny_inputs(load: Load, name: str) -> None:
    # Each in a process of its own, as anybody runs it: what one leaves behind (a loop of events, servers, pools of
    # threads) brought down the process of those after it.
    ended = load("run").run_script(name, FOLDER / f"{name}.py", smoke=True)
    if ended.skipped:
        pytest.skip(ended.skipped)  # a copy without its history has no earlier phantoms to compare with
    assert not ended.failed
    found = ended.ratios
    assert bool(found) == (name not in WITHOUT_RATIOS)
    for one in found:
        assert one.what
        assert all(math.isfinite(value) and value > 0 for value in (one.ours, one.theirs, one.value)), one


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_ends_with_its_ratios_told(name: str) -> None:
    last = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")).body[-1]
    assert ast.unparse(last) == "if __name__ == '__main__':\n    tell(run())"


def test_ratio_is_the_median_of_the_turns_own_ratios(load: Load) -> None:
    ratios = load("ratios")
    # By turns 4, 2 and 1: the median is 2, where the ratio of the medians would be 40 / 10 = 4.
    found = ratios.ratio("a", "b", [10.0, 20.0, 10.0], [40.0, 40.0, 10.0], goal=3)
    assert (found.ours, found.theirs, found.value, found.turns) == (10.0, 40.0, 2.0, 3)
    assert found.reached is False
    assert ratios.ratio("a", "b", 2, 3).reached is None
    assert ratios.within("a", 2.0, 3.0).value == 1.5
    with pytest.raises(ValueError, match="2 measurements of ours and 1 of b"):
        ratios.ratio("a", "b", [1, 2], [1])


def test_what_is_told_is_read_again(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    ratios = load("ratios")
    given = ratios.ratio('a "quoted" name', "peer", [1.0, 3.0], [2.0, 9.0], unit="ms", goal=2)

    def some_then_no_more() -> Iterator[Any]:
        yield given
        raise ratios.SkippedError("no chromium")

    ratios.tell(some_then_no_more())
    lines = capsys.readouterr().out.splitlines()
    assert [ratios.told(line) for line in lines] == [given, "no chromium"]


def test_page_shows_every_ratio_and_every_reason(load: Load) -> None:
    ratios, run = load("ratios"), load("run")
    results = [
        run.Result(
            "study",
            [
                ratios.ratio("file to report", "MONAI's way", 0.5, 4.0, goal=8),
                ratios.ratio("a | b", "its limit", 3.0, 2.0, unit="GB", goal=1),
            ],
        ),
        run.Result("viewer", skipped="no chromium"),
        run.Result("engines", failed="ended with 1 after: nothing"),
    ]
    lines = run.page(results, ["a machine", "a day"], smoke=False).splitlines()
    assert "| study | file to report | MONAI's way | 0.5 s | 4.00 s | 8.00 | 8 |" in lines
    assert "| study | a \\| b | its limit | 3.00 GB | 2.00 GB | **0.667** | 1 |" in lines
    assert lines[-2:] == ["- viewer: no chromium", "- engines: failed, ended with 1 after: nothing"]
    assert "- a machine" in lines
    assert "--smoke" not in "".join(lines)


def test_run_writes_the_page_and_goes_on_after_a_failure(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, page = load("run"), tmp_path / "page.md"
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("from ratios import ratio, tell\nprint('prose')\ntell([ratio('x', 'y', 1, 2)])\n")
    bad.write_text("print('so far')\nraise SystemExit(3)\n")
    monkeypatch.setattr(run, "scripts", lambda: {"bad": bad, "good": good})
    monkeypatch.setenv("PYTHONPATH", f"{FOLDER.parent}:{FOLDER}")
    assert run.main(["--output", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert "| good | x | y | 1.00 s | 2.00 s | 2.00 |  |" in text
    assert "- bad: failed, ended with 3 after: so far" in text
    assert "commit " in text


def test_run_knows_every_script(load: Load) -> None:
    assert sorted(load("run").scripts()) == sorted(NAMES)


def test_run_refuses_an_unknown_script(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load("run").main(["--only", "nothing"])
    assert ended.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
