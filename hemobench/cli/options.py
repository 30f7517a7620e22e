"""Options that several commands share, as types of their parameters."""

from __future__ import annotations

from typing import Annotated

import typer

Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint", metavar="FOLDER|USER/NAME", help="One a role, by repeating it. Default: the shipped ones."
    ),
]
EngineName = Annotated[str, typer.Option("--engine", metavar="auto|openvino|torch", help="What computes the networks.")]
Mirrored = Annotated[bool, typer.Option("--tta", help="Average with the mirrored scan: twice the time.")]
