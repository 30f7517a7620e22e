"""`hemobench predict`: scans in, a folder each with report.json, mask.nii.gz and overview.png, and a summary.csv."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

import hemobench
from hemobench.cli.masks import of_data_set
from hemobench.cli.options import Checkpoints, EngineName, Mirrored
from hemobench.cli.prediction_folder import DONE, FAILED, REFUSED, SUMMARY, Outcome, PredictionFolder, claim_of
from hemobench.cli.run import EXIT_USER_ERROR
from hemobench.cli.scans import folder_names, list_scans
from hemobench.errors import UserError, unknown_name
from hemobench.inference.report import StudyReport, Ventricles
from hemobench.inference.study_sentence import verdict_of
from hemobench.progress import ConsoleReporter

if TYPE_CHECKING:
    from hemobench.inference.checkpoint import Checkpoint

EXIT_DEFECT = 1

app = typer.Typer(help="Analyse head scans.", add_completion=False)


@dataclass(frozen=True)
class Options:
    """How every scan of a command is analysed."""

    checkpoints: Mapping[str, Checkpoint]
    engine: str
    flip_tta: bool
    series: str | None
    modality: str | None
    dicom_seg: bool

    def settings(self) -> dict[str, Any]:
        """What an answer depends on beside the scan."""
        return {
            "checkpoints": {role: one.sha256 for role, one in self.checkpoints.items()},
            "engine": self.engine,
            "tta": self.flip_tta,
            "series": self.series,
            "modality": self.modality,
            "dicom_seg": self.dicom_seg,
            "version": hemobench.__version__,
        }


@app.command()
def predict(
    scans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SCAN...", help="DICOM folder or zip, NIfTI, PNG, JPEG, npz, or a folder of such."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; gets one folder a scan and summary.csv.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME:PATH", help="Cases of a data set instead of scans: ct-ich:DIR ...")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(hidden=True)] = None,  # until 0.2: `hemobench sheet`
    masks: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Masks, probabilities of all of them.")] = None,
    cases: Annotated[int, typer.Option(min=1, max=60, hidden=True)] = 12,
    strangers: Annotated[
        bool, typer.Option("--strangers", help="With --data: only people whom none of the networks knows.")
    ] = False,
    checkpoint: Checkpoints = None,
    engine: EngineName = "auto",
    dicom_seg: Annotated[bool, typer.Option("--dicom-seg", help="Write mask.dcm for DICOM series too.")] = False,
    tta: Mirrored = False,
    series: Annotated[
        str | None, typer.Option(help="DICOM series to read: its number or UID. Default: the head scan.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(metavar="CT|MR|grey", help="What the scans are, for files that do not say so.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Analyse scans once more that are finished.")] = False,
) -> None:
    """Analyse head scans: is there a haemorrhage, which types, where, how many millilitres. Research use only.

    With --data and --masks: all cases of a data set answered in a folder that `evaluate` and `compare` read as
    predictions:FOLDER. Scans that an earlier run finished with the same models and options are not analysed again. A
    scan that cannot be read does not stop the others; it is named at the end, and the exit code is 2.
    """
    # Here, not above: --help should not pay for loading torch.
    from hemobench.inference.engine import KINDS
    from hemobench.inference.intake import MODALITIES
    from hemobench.inference.shipped import checkpoints_by_role

    if engine not in KINDS:
        raise unknown_name("engine", engine, KINDS)
    if modality is not None and modality not in MODALITIES:
        raise unknown_name("modality", modality, MODALITIES)
    asked = {
        "SCAN": scans,
        "--output": output,
        "--series": series,
        "--modality": modality,
        "--dicom-seg": dicom_seg,
        "--again": again,
    }
    if data is not None or sheet is not None or masks is not None:
        named = [name for name, value in asked.items() if value]
        of_data_set(
            data,
            sheet,
            masks,
            named,
            lambda: checkpoints_by_role(checkpoint or None),
            cases=cases,
            engine=engine,
            flip_tta=tta,
            strangers=strangers,
        )
        return
    if strangers:
        raise UserError("--strangers without --data; expected a data set; add --data NAME:PATH --masks FOLDER")
    if not scans:
        raise UserError("no SCAN given; expected one or more, or --data NAME:PATH with --masks FOLDER; add it")
    if output is None:
        raise UserError("no --output given; expected a folder for the answers; add --output FOLDER")
    folder = PredictionFolder(output)
    options = Options(checkpoints_by_role(checkpoint or None), engine, tta, series, modality, dicom_seg)
    listing = list_scans(scans, output)
    with Reporter(len(listing.scans), listing.left_out) as reporter:
        outcomes = _predict_all(listing.scans, folder, options, reporter, again=again)
    _conclude(outcomes, output)


_Own = TypeVar("_Own", bound="Reporter")


class Reporter(ConsoleReporter):
    """Says of each scan what became of it."""

    def __init__(self, total: int, left_out: int, console: Console | None = None) -> None:
        super().__init__(console)
        self._scans, self._left_out, self._finished = total, left_out, 0
        self._said: set[str] = set()

    def __enter__(self: _Own) -> _Own:
        super().__enter__()
        self.expect("scans", self._scans)
        if self._left_out:
            self.line(f"left out as no scans: {self._left_out} {'entry' if self._left_out == 1 else 'entries'}")
        return self

    def conclude(self, outcome: Outcome) -> None:
        """Say what became of a scan."""
        self._finished += 1
        self.finish(f"{self._finished}/{self._scans} {outcome.scan}: {described(outcome)}")
        doubt = doubtful(outcome)
        if doubt:
            self.line(f"  warning: {doubt}")
        for remark in outcome.remarks:
            if remark not in self._said:  # once is enough for a ward of pictures
                self.line(f"  {remark}")
            self._said.add(remark)


def _predict_all(
    scans: Sequence[Path], folder: PredictionFolder, options: Options, reporter: Reporter, *, again: bool
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    try:
        for scan, name in zip(scans, folder_names(scans), strict=True):
            reporter.begin(scan.name[:40])
            outcome = _predict_one(scan, name, folder, options, again=again)
            outcomes.append(outcome)
            # A mistyped path alone should not leave a folder behind.
            if len(scans) > 1 or outcome.status == DONE:
                folder.write_summary(outcomes)
            reporter.conclude(outcome)
    except KeyboardInterrupt:
        typer.echo("the same command goes on where it stopped", err=True)
        raise
    return outcomes


def _predict_one(scan: Path, name: str, folder: PredictionFolder, options: Options, *, again: bool) -> Outcome:
    """Analyse a scan and write its answer. What is wrong with the scan is its outcome, not an error."""
    try:
        claim = claim_of(scan, options.settings())
        finished = None if again else folder.finished(claim)
        if finished is not None:
            return Outcome(scan, DONE, folder=finished[0], report=finished[1], reused=True)
        report = _analyse(scan, options)
    except UserError as error:
        return Outcome(scan, REFUSED, _one_line(error))
    except OSError as error:
        return Outcome(scan, REFUSED, f"{error.filename or scan} cannot be read ({error.strerror or error})")
    except MemoryError:
        return Outcome(scan, REFUSED, f"{scan} needs more memory than there is; crop or resample it")
    except Exception as error:
        return _defect(scan, error)
    try:
        written, remarks = folder.write(claim, name, report, dicom_seg=options.dicom_seg)
    except (UserError, OSError):
        raise  # a full disk ends the command instead of refusing scan after scan
    except Exception as error:
        return _defect(scan, error)
    return Outcome(scan, DONE, folder=written, report=report, remarks=tuple(remarks))


def _defect(scan: Path, error: Exception) -> Outcome:
    """Of ours, in one scan: shown in full, but the others are still wanted."""
    traceback.print_exception(error)
    return Outcome(scan, FAILED, f"a defect of hemobench: {type(error).__name__}: {_one_line(error)[:200]}")


def _analyse(scan: Path, options: Options) -> StudyReport:
    from hemobench.inference.study import analyse

    return analyse(
        scan,
        list(options.checkpoints.values()),
        engine=options.engine,
        flip_tta=options.flip_tta,
        series=options.series,
        modality=options.modality,
    )


def described(outcome: Outcome) -> str:
    """One line on an outcome."""
    report = outcome.report
    if report is None:
        return f"{outcome.status}: {outcome.reason_alone}"
    chance = report.study.probabilities.get("any")
    said = verdict_of(report).sentence
    said += "" if chance is None or report.source.unlike else f" ({chance:.2f})"
    if report.ventricles is not None and report.looked_for_blood:
        said = ", ".join([said, *_ventricle_words(report.ventricles)])
    when = "finished before" if outcome.reused else f"{report.timing_s.get('total', 0.0):.1f} s"
    return f"{said}; {when}, in {outcome.folder}"


def _ventricle_words(found: Ventricles) -> list[str]:
    from hemobench.inference.ventricle_measures import readings

    words = []
    for row in readings(found, "{:.1f}".format):
        name = {"volume": "ventricles"}.get(row.name, row.name)
        words.append(f"{name} {row.value}" + (f" ({row.remark})" if row.remark else ""))
    return words


def doubtful(outcome: Outcome) -> str:
    """The gravest line on what makes an answer doubtful, "" where nothing does."""
    if outcome.report is None or not outcome.report.source.doubts:
        return ""
    more = outcome.report.source.doubts - 1
    return outcome.report.source.warnings[0] + (f"; and {more} more in report.json" if more else "")


def _conclude(outcomes: Sequence[Outcome], output: Path) -> None:
    """Say how it went, name what was refused, and leave with the exit code for it."""
    refused = [one for one in outcomes if one.status != DONE]
    failed = [one for one in refused if one.status == FAILED]
    if len(outcomes) == 1 and refused and not failed:
        raise UserError(refused[0].reason)
    done = [one for one in outcomes if one.status == DONE]
    before = sum(one.reused for one in done)
    counted = f"{len(done)} of {len(outcomes)} scans" if len(outcomes) > 1 else "1 scan"
    typer.echo(f"{counted} analysed" + (f", {before} of them before" if before else "") + f"; {output / SUMMARY}")
    if refused:
        typer.echo(f"hemobench: {len(refused)} of {len(outcomes)} scans gave no answer:", err=True)
        for one in refused:
            typer.echo(f"  {one.scan}: {one.reason_alone}", err=True)
        raise typer.Exit(EXIT_DEFECT if failed else EXIT_USER_ERROR)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
