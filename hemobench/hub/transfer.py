"""Checkpoints to and from the Hub: verified before and after, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemobench.errors import UserError
from hemobench.hub.metadata import EVAL_RESULTS, check_shareable, eval_result_files, with_front_matter
from hemobench.inference.checkpoint import (
    ATTACHED,
    CARD,
    CONFIG,
    FETCHED,
    MANIFEST,
    METRICS,
    PEOPLE,
    WEIGHTS,
    Checkpoint,
    move_in_place,
    open_checkpoint,
    read_manifest,
    weights_of,
)
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.hub_copy import hub_copy, hub_endpoint, hub_errors, is_repository
from hemobench.inference.manifest_check import as_written, is_pointer, is_vouched, refuse_pointer, restated
from hemobench.inference.timm_layout import without_timm_keys
from hemobench.io.atomic import replacing
from hemobench.io.json_files import read_json, write_json

# What a checkpoint's folder may hold: text, pictures of its card, and weights that cannot run code.
ENDINGS = (".safetensors", ".json", ".md", ".png", ".jpg", ".csv")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".onnx", ".msgpack")
ATTRIBUTES = ".gitattributes"
# What git and the Hub's client put beside a checkpoint that they fetched; it is not sent.
_OF_THE_CLONE = (".git", ATTRIBUTES, ".gitignore", ".cache", EVAL_RESULTS)
# The first line of a repository's .gitattributes: later ones, those of large files, add to it.
_AS_IT_IS = "* -text\n"


@dataclass(frozen=True)
class Pushed:
    """The commit on the Hub that holds a checkpoint, and its page."""

    repository: str
    commit: str
    url: str


def push(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Put a checkpoint's folder on the Hub as `user/name`, in one commit: all of it appears, or nothing.

    The folder is verified against its manifest first; `.eval_results` are made of its metrics. private: for a new
    repository; one that is public already is refused then. revision: a branch, made where there is none.

    Raises: UserError for a folder that is not whole or holds what is no part of it, for cards without intended use and
    metrics without intervals, and where the Hub refuses or cannot be reached.
    """
    if not is_repository(repository):
        raise UserError(f"repository '{repository}'; expected user/name; correct it")
    directory = Path(folder).expanduser()
    if not directory.is_dir():
        raise UserError(f"no checkpoint folder {directory}; expected one on this machine; check the path")
    checkpoint = open_checkpoint(directory)
    files = verified_files(directory, edited=False)
    texts = eval_result_files(checkpoint.config, checkpoint.metrics, repository)
    if CARD not in files:
        raise UserError(f"{directory} has no {CARD} that its manifest names; expected a card; export it again")
    check_shareable(files[CARD].decode("utf-8"), checkpoint.config, checkpoint.metrics)
    contents = files | {path: text.encode() for path, text in texts.items()}
    try:
        return _commit(repository, contents, checkpoint, private=private, revision=revision, token=token)
    except hub_errors() as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"checkpoint {checkpoint.name} was not pushed to {repository} ({type(error).__name__}: "
            f"{reason}); expected a Hub that takes it; log in by `hf auth login`, check name and network, "
            "and push again"
        ) from error


def pull(
    repository: str, *, revision: str | None = None, output: str | Path | None = None, local_files_only: bool = False
) -> Path:
    """Fetch a checkpoint `user/name` into a folder (default: ./name), verified; returns the folder.

    Files come through the client's cache, so a second pull needs no network. The folder appears by a rename when all is
    there and right. Raises: UserError where it cannot be fetched, is not whole, or `output` holds something else.
    """
    if not is_repository(repository):
        raise UserError(f"repository '{repository}'; expected user/name or user/name@revision; correct it")
    directory = Path(output).expanduser() if output is not None else Path(repository.partition("/")[2])
    check_replaceable(directory)
    copy, _ = hub_copy(repository, revision, FETCHED, local_files_only=local_files_only)
    if not (copy / MANIFEST).is_file():
        raise UserError(f"repository {repository} has no {MANIFEST}; expected a checkpoint's; check name and revision")
    open_checkpoint(copy)
    publish(verified_files(copy, strangers=True), directory)
    return directory


def refresh_card(folder: str | Path) -> Checkpoint:
    """Make the front matter of a checkpoint's card of its config and metrics again; the text below it stays.

    Text that was edited by hand since counts as meant, and the manifest vouches for it from here on. Raises: UserError
    where the rest of the folder is not whole.
    """
    directory = Path(folder).expanduser()
    manifest = read_manifest(directory)
    files = verified_files(directory)
    if CARD not in files:
        raise UserError(
            f"{directory} has no {CARD}, or its manifest says nothing about it; expected a card; export it again"
        )
    config = CheckpointConfig.from_mapping(without_timm_keys(read_json(directory / CONFIG)))
    text = with_front_matter(files[CARD].decode("utf-8"), config, read_json(directory / METRICS)).encode()
    # In place, for the folder may be a clone with git's own in it; between the two writes it opens as well.
    with replacing(directory / CARD) as path:
        path.write_bytes(text)
    write_json(directory / MANIFEST, restated(manifest, {**files, CARD: text}))
    return open_checkpoint(directory)


def check_replaceable(directory: Path) -> None:
    """Raise UserError where a folder may not be replaced: it holds something, and no checkpoint."""
    if not directory.exists() or (directory / MANIFEST).is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise UserError(
            f"{directory} exists and is no checkpoint; expected a new folder or a checkpoint's; name another"
        )


def verified_files(directory: Path, *, strangers: bool = False, edited: bool = True) -> dict[str, bytes]:
    """Every file that a folder's manifest names, and the manifest, by name; what it vouches for is what it says.

    Card, pictures and tables may be `edited` or missing; the manifest that comes is of what is there. Raises: UserError
    for another file that is missing or changed, for one of a kind that no checkpoint has, and, unless `strangers` are
    passed over, for one that the manifest does not name.
    """
    manifest = read_manifest(directory)
    listed: Any = manifest.get("files")
    if not isinstance(listed, dict):
        raise UserError(f"manifest of {directory} lists no files; expected a checkpoint's; export it again")
    for name in listed:
        if Path(name).name != name or name.startswith(".") or not name.endswith(ENDINGS):
            raise UserError(
                f"{directory} lists {name[:80]!r}; expected {', '.join(ENDINGS)} beside the manifest, and "
                "no file that can run code; take it out and export it again"
            )
    known = (*listed, MANIFEST, *_OF_THE_CLONE)
    unknown = sorted(path.name for path in directory.iterdir() if path.name not in known)
    if unknown and not strangers:
        what = "a pickle" if unknown[0].endswith(PICKLES) else "no part of the checkpoint"
        raise UserError(
            f"{directory} holds {unknown[0]}, which is {what}; expected what its manifest lists: "
            f"{', '.join(sorted(listed))}; take it out"
        )
    contents = {}
    for name, entry in listed.items():
        if name == WEIGHTS and not (directory / name).is_file() and "part_of" in entry:
            # Who gets the files has nothing to cut them from.
            contents[name] = weights_of(directory, str(entry.get("sha256")))
            entry.pop("part_of")
            continue
        content = _content_of(directory / name, str(entry.get("sha256")), edited and not is_vouched(name))
        if content is not None:
            contents[name] = content
    now = restated(manifest, contents)
    written = (directory / MANIFEST).read_bytes().replace(b"\r\n", b"\n")
    contents[MANIFEST] = written if now == json.loads(written) else f"{json.dumps(now, indent=1)}\n".encode()
    return contents


def _content_of(path: Path, sha256: str, edited: bool) -> bytes | None:
    """A listed file as the manifest has it; where it may be edited as it is, and None where it is not there.

    Raises: UserError for one that may not and is missing or another.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        if edited:
            return None
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); expected it beside {MANIFEST}; fetch the checkpoint again"
        ) from error
    written = as_written(path.name, content, sha256)
    if written is not None:
        return written
    if not edited:
        refuse_pointer(path, content, "file itself")
        remedy = "fetch or export the checkpoint again" if is_vouched(path.name) else "run `hemobench hub card FOLDER`"
        raise UserError(f"{path} is not what {MANIFEST} says; expected SHA-256 {sha256[:12]}...; {remedy}")
    if is_pointer(content):
        return None
    return content.replace(b"\r\n", b"\n") if path.name == CARD else content


def _commit(
    repository: str,
    contents: Mapping[str, bytes],
    checkpoint: Checkpoint,
    *,
    private: bool,
    revision: str | None,
    token: str | None,
) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(endpoint=hub_endpoint(), token=token)
    api.create_repo(repository, private=private, exist_ok=True)
    if private and not api.repo_info(repository).private:
        raise ValueError("the repository is public already and --private was asked for; make it private or rename")
    if revision is not None:
        api.create_branch(repository, branch=revision, exist_ok=True)
    there = api.list_repo_files(repository, revision=revision)
    dangerous = [name for name in there if name.endswith(PICKLES)]
    if dangerous:
        raise ValueError(f"the repository holds {dangerous[0]}, which can run code; delete it there, or push elsewhere")
    # What an earlier push left and this one has not, or the page would show scores of other weights.
    ours = [name for name in there if name.startswith(f"{EVAL_RESULTS}/hemobench-") or name in (PEOPLE, *ATTACHED)]
    operations: list[Any] = [CommitOperationAdd(path, content) for path, content in contents.items()]
    operations += [CommitOperationDelete(name) for name in ours if name not in contents]
    operations += [CommitOperationAdd(ATTRIBUTES, text) for text in _kept_by_git(api, repository, revision, there)]
    summary = f"{checkpoint.config.name}, weights {checkpoint.sha256[:12]}"
    done = api.create_commit(repository, operations, commit_message=summary, revision=revision)
    return Pushed(repository, str(done.oid), str(done.commit_url))


def _kept_by_git(api: Any, repository: str, revision: str | None, there: list[str]) -> Iterator[bytes]:
    """The repository's .gitattributes with a first line that keeps line ends, where it lacks that."""
    text = ""
    if ATTRIBUTES in there:
        text = Path(api.hf_hub_download(repository, ATTRIBUTES, revision=revision)).read_text(encoding="utf-8")
    if _AS_IT_IS not in text:
        yield f"{_AS_IT_IS}{text}".encode()


def publish(contents: Mapping[str, bytes], directory: Path) -> None:
    """Write files under a temporary name, then move the folder in place."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    part = directory.with_name(f".part-{uuid.uuid4().hex}")
    part.mkdir()
    try:
        for name, content in contents.items():
            with (part / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        move_in_place(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
