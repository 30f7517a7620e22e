"""Boards to the Hub: a data set repository with a leaderboard, its report and what others need to add their entries."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hemobench.boards.record import ANSWERS, MEASURED_BY, RECORD, Record, Row, contents_of, read_record
from hemobench.errors import UserError
from hemobench.hub.trained_board import LEADERBOARD, REPORT, shows_pictures, trained_record
from hemobench.hub.transfer import PICKLES, Pushed
from hemobench.inference.hub_copy import hub_endpoint, hub_errors, is_repository

TABLES, CARD = "leaderboard.md", "README.md"
TAGS = ("hemobench", "leaderboard", "medical-imaging", "intracranial-hemorrhage")
_MEASURED = "Measured "  # how a board's lines on who measured what begin
_SHORT = 12
_WITH_PICTURES = (
    "the board's report shows slices of patients; expected a board without pictures to pass on; run the same `compare` "
    "again with --no-pictures, which keeps all answers"
)


def push_board(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    names_are_public: bool = False,
    token: str | None = None,
) -> Pushed:
    """Put the board in a folder on the Hub as the data set repository `user/name`, in one commit.

    Entries that nobody has claimed yet are marked as measured by the user who pushes. A board that is there already may
    grow and is never replaced: it has to be of the same data, and its rows, but the pusher's own, must be in the new
    one as they are. names_are_public: of data that is any folder of files, that no file's name says who a patient is.

    Raises: UserError for a folder that holds no board or one that was changed, for reports with pictures of patients,
    for case names that nobody has vouched for, for a board that would lose others' rows, and where the Hub refuses.
    """
    if not is_repository(repository):
        raise UserError(f"repository '{repository}'; expected user/name; correct it")
    directory = Path(folder).expanduser()
    grows = (directory / RECORD).is_file()
    record = read_record(directory) if grows else trained_record(directory)
    _check_shareable(record, names_are_public)
    answers = contents_of(record) if grows else {}
    leaderboard, report, tables = (_read(directory / name, record) for name in (LEADERBOARD, REPORT, TABLES))
    if not record.phantom and shows_pictures(report):
        raise UserError(_WITH_PICTURES)
    try:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub_endpoint(), token=token)
        who = str(api.whoami()["name"])
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        info = api.dataset_info(repository)
        if private and not info.private:
            raise ValueError("the repository is public already and --private was asked for; make it private or rename")
        there = [one.rfilename for one in info.siblings or ()]
        if RECORD in there and not grows:
            raise UserError(
                f"{repository} holds a board that others add to, and {directory} has no {RECORD}; expected "
                "what `compare --entry` wrote; push to another repository"
            )
        if RECORD in there:
            _check_grows(read_record(_fetched(api, repository, RECORD, str(info.sha)).parent), record, who)
        elif LEADERBOARD in there:
            _check_own(_fetched(api, repository, LEADERBOARD, str(info.sha)), repository, who)
        claimed = _claimed(record, who)
        named = _named(leaderboard, claimed)
        written = {LEADERBOARD: _sha256(named), REPORT: _sha256(report)}
        claimed = dataclasses.replace(claimed, files=written)
        contents = {
            **answers,
            **({RECORD: _text(claimed.to_mapping())} if grows else {}),
            REPORT: report,
            LEADERBOARD: named,
            CARD: _card(claimed, tables.decode("utf-8", "replace"), repository if grows else "").encode(),
        }
        return _commit(api, repository, contents, there, str(info.sha), len(record.rows))
    except hub_errors() as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the board in {directory} was not pushed to {repository} ({type(error).__name__}: {reason}); "
            "expected a Hub that takes it; log in by `hf auth login`, check name and network, and push "
            "again"
        ) from error


def _check_shareable(record: Record, names_are_public: bool) -> None:
    if record.pictures:
        raise UserError(_WITH_PICTURES)
    if record.own_names and not names_are_public:
        raise UserError(
            f"leaderboard and report of '{record.data}' name cases, or answers that fit none, as your "
            "files are named; expected that no name says who a patient is; look, and add "
            "--names-are-public"
        )


def _check_grows(before: Record, now: Record, who: str) -> None:
    """Raise UserError where a push would lose or change what others measured."""
    if (before.fingerprint, before.cases) != (now.fingerprint, now.cases):
        raise UserError(
            f"the repository's board is of {before.cases} cases of '{before.data}' (fingerprint "
            f"{before.fingerprint[:_SHORT]}), this one of {now.cases} of '{now.data}' "
            f"({now.fingerprint[:_SHORT]}); expected the same data; push to another repository"
        )
    rows = {row.name: row for row in now.rows}
    known = {row.name for row in before.rows}
    forged = [row for row in now.rows if row.name not in known and row.measured_by not in ("", who)]
    if forged:
        raise UserError(
            f"'{forged[0].name}' is said to be measured by {forged[0].measured_by}, and the repository's "
            f"board does not have it; expected new rows to be {who}'s own; run `compare` again with "
            "--entry board:USER/NAME, or push to a repository of your own"
        )
    for row in before.rows:
        mine = rows.get(row.name)
        if row.measured_by == who and (mine is None or not mine.measured_by or mine == row):
            continue  # whoever measured a row may measure it again, or take it back
        if mine != row:
            raise UserError(
                f"the repository's board has '{row.name}', measured by {row.measured_by}, and this one "
                f"{'lacks it' if mine is None else 'has another'}; expected it as it is; run `compare` "
                "again with --entry board:USER/NAME"
            )


def _check_own(leaderboard: Path, repository: str, who: str) -> None:
    """Raise UserError where a push would replace a leaderboard with rows that others measured."""
    boards = json.loads(leaderboard.read_bytes())["boards"]
    people = {entry["config"].get(MEASURED_BY) for board in boards for entry in board["entries"] if entry["rank"]}
    others = sorted(map(str, people - {who}))
    if others:
        raise UserError(
            f"{repository} holds a leaderboard that {', '.join(others)} measured; expected a repository of "
            "your own; push to another"
        )


def _fetched(api: Any, repository: str, name: str, commit: str) -> Path:
    return Path(api.hf_hub_download(repository, name, repo_type="dataset", revision=commit))


def _claimed(record: Record, who: str) -> Record:
    return dataclasses.replace(
        record, rows=tuple(row if row.measured_by else dataclasses.replace(row, measured_by=who) for row in record.rows)
    )


def _named(leaderboard: bytes, record: Record) -> bytes:
    """leaderboard.json in which each row that was measured says by whom."""
    people = {row.name: row.measured_by for row in record.rows}
    content = json.loads(leaderboard)
    for board in content["boards"]:
        for entry in board["entries"]:
            if entry["name"] in people:
                entry["config"] = {**entry.get("config", {}), MEASURED_BY: people[entry["name"]]}
        others = [line for line in board["cautions"] if not line.startswith(_MEASURED)]
        board["cautions"] = [*_people_lines(record), *others]
    return _text(content)


def _people_lines(record: Record) -> list[str]:
    people = dict.fromkeys(row.measured_by for row in record.rows)
    return [
        f"Measured by {who}: {', '.join(row.name for row in record.rows if row.measured_by == who)}." for who in people
    ]


def _card(record: Record, tables: str, repository: str) -> str:
    """The repository's page: what the board is of, who measured what, the tables, and, of one that grows in
    `repository`, how to add to it."""
    title, *below = tables.splitlines()
    title = title.lstrip("# ")
    below = [line for line in below if not line.startswith(f"- {_MEASURED}")]
    front = {"tags": [*TAGS, *(["phantom"] if record.phantom else [])], "pretty_name": title}
    kind = "generated phantoms, no patients: not a clinical score" if record.phantom else "real patients"
    rows = [
        f"| {_cell(row.name)} | {_cell(row.measured_by)} | {_told(row, 'kind')} "
        f"| `{_told(row, 'sha256')[:_SHORT]}` | `{row.sha256[:_SHORT]}` |"
        for row in record.rows
    ]
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
            f"# {title}",
            "",
            f"A leaderboard of hemobench: {record.cases} cases of {record.data}, {kind}. Every entry of a board "
            "answered for the same cases, and entries are compared patient by patient. Research use only, never a "
            "diagnosis. Scores are as honest as those who measured them.",
            "",
            f"Fingerprint of the data: `{record.fingerprint}`. The data itself, its labels and its pictures are "
            "not here.",
            "",
            "## Who measured what",
            "",
            "| entry | measured by | kind | weights or files | answers |",
            "|:---|:---|:---|:---|:---|",
            *rows,
            *below,
            "",
            *(_to_add(record.data, repository) if repository else ()),
        ]
    )


def _to_add(data: str, repository: str) -> tuple[str, ...]:
    return (
        "## To add an entry",
        "",
        "Whoever has the same data runs, without any network or mask of the entries above:",
        "",
        "```sh",
        f"python -m hemobench.compare --entry board:{repository} --entry MINE --data {data}:FOLDER --no-pictures "
        "--output board",
        f"python -m hemobench.hub push-board board {repository}",
        "```",
        "",
    )


def _told(row: Row, name: str) -> str:
    return _cell(str(row.told.get(name) or ""))


def _cell(text: str) -> str:
    """Text that Markdown takes as it is, in a table."""
    return re.sub(r"([|*_`\[\]!()])", r"\\\1", " ".join(text.split())).replace("<", "&lt;")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _commit(
    api: Any, repository: str, contents: Mapping[str, bytes], there: list[str], parent: str, rows: int
) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    dangerous = [name for name in there if name.endswith(PICKLES)]
    if dangerous:
        raise ValueError(f"the repository holds {dangerous[0]}, which can run code; delete it there, or push elsewhere")
    operations: list[Any] = [CommitOperationAdd(path, content) for path, content in contents.items()]
    operations += [
        CommitOperationDelete(name) for name in there if name.startswith(f"{ANSWERS}/") and name not in contents
    ]
    # Refused by the Hub where somebody else has pushed since the rows were compared.
    done = api.create_commit(
        repository, operations, commit_message=f"board of {rows} entries", repo_type="dataset", parent_commit=parent
    )
    return Pushed(repository, str(done.oid), str(done.commit_url))


def _read(path: Path, record: Record) -> bytes:
    """A file of the folder, which is what the record vouches for where it does. Raises UserError."""
    try:
        content = path.read_bytes()
        if record.files and record.files.get(path.name) != _sha256(content):
            raise UserError(
                f"{path} is not what {RECORD} says; expected it as `compare` wrote it; run `compare` "
                "again, which keeps all answers"
            )
        return content
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); expected what `compare --entry` wrote; run it again"
        ) from error


def _text(content: Any) -> bytes:
    return f"{json.dumps(content, indent=1)}\n".encode()
