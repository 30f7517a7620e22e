"""Named endpoints, which are MCP tools as well: analyse a scan, list the checkpoints, get the leaderboard.

Docstrings and type hints are what clients and language models see; Gradio reads the hints at run time, so this module
keeps them as they are and does not postpone them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn, TypedDict

import gradio as gr

from demo.analysis import write_files
from demo.memory import give_back
from demo.privacy import log_defect, new_folder
from demo.scan_tab import QUEUE
from demo.status import DEFECT
from demo.weights import described
from demo.workshop import Workshop
from hemobench.errors import UserError
from hemobench.inference.outputs import SEGMENTATION


class Network(TypedDict):
    """One network of a choice: what it is for, its name, the Hub's commit (None for a folder), its weights' hash."""

    role: str
    name: str
    revision: str | None
    sha256: str


class Choice(TypedDict):
    """Networks that work together. `id` is what `analyse` takes as `checkpoint`."""

    id: str
    title: str
    default: bool
    networks: list[Network]


Modality = Literal["auto", "CT", "MR", "grey"]


class Endpoints:
    """The endpoints of one app. They share its queue with the page, so that nobody is served before their turn."""

    def __init__(self, workshop: Workshop, leaderboard: Callable[[], dict[str, Any]]) -> None:
        self._workshop = workshop
        self._leaderboard = leaderboard

    def analyse(
        self,
        scan: gr.FileData,
        checkpoint: str = "",
        modality: Modality = "auto",
        series: str = "",
        dicom_seg: bool = False,
    ) -> tuple[dict[str, Any], gr.FileData | None, gr.FileData, gr.FileData | None]:
        """
        Analyse one head scan: is there a haemorrhage, which types, where, how many millilitres (in MR: the ventricles).
        Research use only, never a diagnosis. The scan is deleted from the server after a while and is not learned from.

        Args:
            scan: one file: a zip of a DICOM series, a DICOM file, NIfTI, MGZ, PNG, JPEG, npz or npy.
            checkpoint: id of the networks to use, from list_checkpoints; empty for the default.
            modality: what the scan is, where its file does not say so; auto to look.
            series: number or UID of the DICOM series to read, where there are several; empty for the head scan.
            dicom_seg: whether to make a DICOM SEG too, which carries the ids of patient and study; DICOM only.

        Returns:
            report: probabilities of the study and each slice, calls, lesions with volumes, models used, warnings.
            mask: NIfTI in the scan's own space, labels 1 to 5 as in the report; null where nothing can be outlined.
            overview: PNG, one page to look at.
            segmentation: DICOM SEG, where it was asked for; else null.
        """
        try:
            path = _uploaded(scan, self._workshop.folder)
            opened = self._workshop.shelf.open(checkpoint or None)
            of_kind = None if modality == "auto" else modality
            segmentation = new_folder(self._workshop.folder) / SEGMENTATION if dicom_seg else None
            report = self._workshop.analyst.answer(
                [path], opened, series=series or None, modality=of_kind, for_viewer=False, segmentation=segmentation
            ).report
            files = write_files(report, new_folder(self._workshop.folder))
            return report.to_mapping(), _file(files.mask), _file(files.overview), _file(segmentation)
        except UserError as error:
            _refuse(str(error))
        except Exception as error:
            log_defect(error)
            _refuse(DEFECT)
        finally:
            give_back()

    def list_checkpoints(self) -> list[Choice]:
        """
        The networks that analyse can use: choices, each of one network a role (slices, haemorrhage, ventricles).

        Returns:
            choices: id and title of each choice, whether it is the default, and what its networks are.
        """
        try:
            return [self._choice(one.identity, one.title) for one in self._workshop.shelf.sets]
        except UserError as error:
            _refuse(str(error))

    def leaderboard(self) -> dict[str, Any]:
        """
        The leaderboard that this page shows: boards, each with ranked entries, metrics with 95% intervals and ties.

        Returns:
            leaderboard: the content of leaderboard.json, as hemobench.compare writes it.
        """
        try:
            return self._leaderboard()
        except UserError as error:
            _refuse(str(error))

    def _choice(self, identity: str, title: str) -> Choice:
        shelf = self._workshop.shelf
        networks = [Network(**one) for one in described(shelf.open(identity).checkpoints)]  # type: ignore[typeddict-item]
        return Choice(id=identity, title=title, default=identity == shelf.default, networks=networks)


def add_endpoints(endpoints: Endpoints, concurrency: int) -> None:
    """Register the endpoints inside the current `gr.Blocks`."""
    gr.api(endpoints.analyse, api_name="analyse", concurrency_id=QUEUE, concurrency_limit=concurrency)
    gr.api(endpoints.list_checkpoints, api_name="list_checkpoints")
    gr.api(endpoints.leaderboard, api_name="leaderboard")


def _uploaded(scan: Any, folder: Path) -> Path:
    """The upload's path. Gradio checks that it lies among the uploads only where the client marks it as a file."""
    given = scan.get("path") if isinstance(scan, dict) else None
    if isinstance(given, str) and given and "\0" not in given:
        path = Path(given).resolve()
        if path.is_relative_to(folder.resolve()) and path.parent != folder.resolve():
            return path
    raise UserError("no uploaded file came as scan; expected one; use gradio_client.handle_file(PATH)")


def _file(path: Path | None) -> Any:
    """In the form that Gradio serves and clients fetch."""
    return None if path is None else {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _refuse(line: str) -> NoReturn:
    # Not printed: a line about a file of a visitor has no place in a log.
    raise gr.Error(line, print_exception=False)
