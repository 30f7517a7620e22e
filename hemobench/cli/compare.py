"""`hemobench compare`: train a suite's models, or take what exists, rank it, write the leaderboard and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hemobench.cli.existing import Asked, beside, names_board_file, rank_existing, refuse_existing
from hemobench.cli.shown_command import told
from hemobench.errors import unknown_name

ENGINES = ("local", "ray")
DEFAULT = "quick"

Existing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]WHERE",
        help="What exists: a checkpoint's FOLDER or user/name, or predictions:FOLDER "
        "of another tool; repeat it. With a SUITE it stands beside what is trained, on each board that it can "
        "serve; without one it is ranked on --data.",
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        metavar="count|empty",
        help="Of what exists: cases that predictions lack are left out for all entries "
        "and named, or count as if nothing was found.",
    ),
]
AllowSeen = Annotated[bool, typer.Option("--allow-seen", help="Of what exists: with people that it knows, marked.")]
LeaveOutSeen = Annotated[bool, typer.Option("--leave-out-seen", help="Of what exists: without them, for all.")]

app = typer.Typer(help="Train a suite of models, take what exists, or both, and rank it.", add_completion=False)


@app.command()
def compare(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="A shipped suite's name or a YAML file.")] = DEFAULT,
    show: Annotated[bool, typer.Option("--list", help="List the shipped suites and leave.")] = False,
    data: Annotated[
        str | None, typer.Option(metavar="NAME[:PATH]", help="Rank on this data set instead of the suite's own.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of each entry; default: the suite's.")] = None,
    folds: Annotated[
        int | None, typer.Option(help="Test every patient: 2 or more networks for each entry and seed, one a fold.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:PATH]", help="Score the trained networks on this data set too; repeatable."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs that train at once; default: as many as cores or GPUs allow.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of each run. Results depend on it in the last digits, on --jobs never.")
    ] = 1,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="local|ray",
            help="local: processes of this machine; ray: a Ray cluster. Without a suite: auto, openvino or torch.",
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Example pictures in the report; leave them out of pages about patients to pass on.")
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; default ./hemobench-results/SUITE[-DATA]; used again."),
    ] = None,
    entry: Existing = None,
    missing: Missing = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
) -> None:
    """Train every entry of a suite with every seed and rank them, beside each --entry that exists; with --entry and
    without a suite, rank what exists on --data.

    Prints the boards and writes leaderboard.csv, .json, .md and .tex, report.html, runs/ and entries/. Interrupted, the
    same command goes on where it stopped.
    """
    board = names_board_file(suite)
    asked = Asked(tuple(entry or ()), missing, allow_seen, leave_out_seen)
    if board or (entry and not _was_given(context, "suite")):
        trained = {
            "--list": show,
            "--seeds": seeds,
            "--folds": folds,
            "--test": test,
            "--jobs": jobs,
            "--threads": threads != 1,
        }
        rank_existing(suite if board else None, asked, data, output, engine, pictures, trained)
        return
    engine = engine or ENGINES[0]
    _check_engine(engine)
    if show:
        refuse_existing(asked)
        _list_suites()
        return
    numbers = {"--seeds": seeds, "--folds": folds}
    _train_and_rank(suite, data, numbers, test or (), asked, (engine, jobs, threads), pictures, output)


def _was_given(context: typer.Context, parameter: str) -> bool:
    """Whether a parameter stood on the command line, not only its default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _train_and_rank(
    suite: str,
    data: str | None,
    numbers: Mapping[str, int | None],
    test: Sequence[str],
    asked: Asked,
    work: tuple[str, int | None, int],
    pictures: bool,
    output: Path | None,
) -> None:
    """Train a suite and rank it. numbers: of --seeds and --folds; asked: what exists; work: engine, jobs and threads of
    each."""
    # Here, not above: --help and the errors above should not pay for loading torch.
    from hemobench.compare.costs import StageClock

    clock = StageClock()
    with clock.stage("start"):
        from hemobench.compare.runner import Workforce, slug, with_data
        from hemobench.compare.session import compare_suite
        from hemobench.compare.suite_files import load_suite

        chosen, skipped = with_data(load_suite(suite), data)
        guests = beside(chosen, asked)
    seeds, folds = numbers["--seeds"], numbers["--folds"]
    if seeds is not None:
        chosen = chosen.with_seeds(seeds)
    if folds is not None:
        chosen = chosen.with_folds(folds)
    if output is None:
        ending = "" if data is None else f"-{slug(data.partition(':')[0])}"
        output = Path("hemobench-results") / f"{slug(chosen.name)}{ending}"
    command = _command(suite, data, numbers, test, asked, work[2])
    command += "" if pictures else " --no-pictures"
    compare_suite(
        chosen,
        output,
        workforce=Workforce(*work),
        skipped=skipped,
        tests=test,
        guests=guests,
        pictures=pictures,
        command=command,
        clock=clock,
    )


def _check_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if engine == "ray":
        from hemobench.compare.ray_engine import import_ray

        import_ray()


def _command(
    suite: str, data: str | None, numbers: Mapping[str, int | None], tests: Sequence[str], asked: Asked, threads: int
) -> str:
    """What gives the same boards again; where they are written and how many train at once is the reader's choice."""
    words = ["python", "-m", "hemobench.compare", suite]
    words += [] if data is None else ["--data", data]
    words += [word for name, value in numbers.items() if value is not None for word in (name, str(value))]
    words += [word for test in tests for word in ("--test", test)]
    words += asked.words()
    words += [] if threads == 1 else ["--threads", str(threads)]
    return told(words)


def _list_suites() -> None:
    """A line for each shipped suite with the runs that it trains, then its boards."""
    from hemobench.compare.suite_files import load_suite, shipped_suites

    for name in shipped_suites():
        suite = load_suite(name, build=False)
        typer.echo(f"{name}: {suite.title} ({suite.runs} runs)")
        for board in suite.boards:
            entries = ", ".join(entry.name for entry in board.entries)
            repeats = f"seeds {len(suite.seeds)}" + (f", folds {board.folds}" if board.folds > 1 else "")
            typer.echo(f"  {board.task} on {board.dataset}, by {board.rank_by}, {repeats}: {entries}")
