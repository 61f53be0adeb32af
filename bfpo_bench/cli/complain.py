"""A line on stderr, in a colour where the user's terminal is to have colours."""

from __future__ import annotations

import os

import typer


def complain(text: str, colour: str) -> None:
    """As rich does for what it prints, NO_COLOR (https://no-color.org) and TERM=dumb are heeded."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    typer.secho(text, fg=None if plain else colour, err=True)
