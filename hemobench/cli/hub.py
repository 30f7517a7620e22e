"""`hemobench hub`: checkpoints to and from the Hugging Face Hub, their cards, the page of all, and leaderboards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hemobench.io.atomic import replacing

app = typer.Typer(help="Share checkpoints and leaderboards through the Hugging Face Hub.", add_completion=False)


@app.command("push")
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A checkpoint's folder.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="Made where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="For nobody else; a public one is refused then.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to; made where there is none.")] = None,
) -> None:
    """Verify a checkpoint and put it on the Hub in one commit, with the results that its page shows.

    Refuses cards that do not say their intended use, metrics without intervals, and files that could run code.
    """
    from hemobench.hub.transfer import push as push_checkpoint

    done = push_checkpoint(folder, repository, private=private, revision=revision)
    typer.echo(f"pushed to {done.repository}, commit {done.commit}")
    typer.echo(done.url)


@app.command("pull")
def pull(
    repository: Annotated[str, typer.Argument(metavar="USER/NAME[@REVISION]", help="Branch, tag or commit.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; default: ./NAME")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only from the client's cache.")] = False,
) -> None:
    """Fetch a checkpoint into a folder, verified; it appears whole or not at all."""
    from hemobench.hub.transfer import pull as pull_checkpoint

    name, _, revision = repository.partition("@")
    folder = pull_checkpoint(name, revision=revision or None, output=output, local_files_only=offline)
    typer.echo(f"checkpoint in {folder}")


@app.command("push-board")
def push_board(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `compare --entry` wrote.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="A data set; made where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="For nobody else; a public one is refused then.")] = False,
    names_are_public: Annotated[
        bool, typer.Option("--names-are-public", help="Of data named by your files: no name says who a patient is.")
    ] = False,
) -> None:
    """Share a leaderboard: its scores, its report and what others need to rank their entries beside it.

    A board that is there already only grows: make the new one by `compare --entry board:USER/NAME --entry MINE`.
    """
    from hemobench.hub.board import push_board as push

    done = push(folder, repository, private=private, names_are_public=names_are_public)
    typer.echo(f"pushed to {done.repository}, commit {done.commit}")
    typer.echo(done.url)


@app.command("card")
def card(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A checkpoint's folder.")]) -> None:
    """Make the metadata on top of a card anew from the checkpoint's metrics; its text stays, and is vouched for."""
    from hemobench.hub.transfer import refresh_card

    typer.echo(f"card of {refresh_card(folder).config.name} is up to date")


@app.command("zoo")
def zoo(
    checkpoints: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds checkpoints' folders.")],
    output: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("docs/model-zoo.md"),
) -> None:
    """Write the page that says which checkpoints there are, how good they are, and what to use when."""
    from hemobench.hub.zoo import zoo_page

    text = zoo_page(checkpoints)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {output}")
