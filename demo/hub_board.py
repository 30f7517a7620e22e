"""A leaderboard that somebody shared on the Hub, opened by its id. Without Gradio."""

from __future__ import annotations

from pathlib import Path

from demo.leaderboard_file import MOST_BYTES, read_leaderboard
from hemobench.compare.leaderboard import Leaderboard
from hemobench.errors import UserError
from hemobench.inference.hub_copy import hub_endpoint, hub_errors, is_repository

_FILE = "leaderboard.json"
_COMMIT_DIGITS = 40
_REMEDY = "check the id, or drop the file itself"


def open_board(identifier: str) -> tuple[Leaderboard, str]:
    """The leaderboard in a public data set repository `user/name[@revision]`, and its id at the commit that it stands
    for, by which it is found again without asking the Hub. Raises: UserError."""
    name, _, revision = identifier.strip().partition("@")
    if not is_repository(name):
        raise UserError(f"'{identifier.strip()[:80]}'; expected user/name of a board on the Hub; {_REMEDY}")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        if len(revision) < _COMMIT_DIGITS:
            # Nobody's token: whoever opens the page sees what is public, not what its owner may see.
            url = hf_hub_url(name, _FILE, repo_type="dataset", revision=revision or None, endpoint=hub_endpoint())
            found = get_hf_file_metadata(url, token=False, endpoint=hub_endpoint())
            if found.size is None or found.size > MOST_BYTES:
                raise UserError(
                    f"a leaderboard of {found.size or 'unknown'} bytes; expected at most {MOST_BYTES}; {_REMEDY}"
                )
            revision = str(found.commit_hash)
        path = hf_hub_download(
            name, _FILE, repo_type="dataset", revision=revision, token=False, endpoint=hub_endpoint()
        )
    except hub_errors() as error:
        raise UserError(
            f"no public board {name} could be fetched from the Hub ({type(error).__name__}); expected one "
            f"that `hub push-board` shared; {_REMEDY}"
        ) from error
    return read_leaderboard(Path(path)), f"{name}@{revision}"
