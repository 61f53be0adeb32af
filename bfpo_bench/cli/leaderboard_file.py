"""Which leaderboard a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = Path("leaderboards") / "bfpo.csv"

File = Annotated[
    Path | None,
    typer.Option(
        "--leaderboard",
        metavar="FILE.csv",
        help="The CSV.",
        show_default=DEFAULT.as_posix(),
        autocompletion=complete.leaderboards,
    ),
]


def read(file: Path | None) -> tuple[Path, pd.DataFrame]:
    """The path and its table; raises UserError where there is no such file."""
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.rows import read_leaderboard

    path = file or DEFAULT
    if not path.exists():
        others = sorted(str(p) for p in path.parent.glob("*.csv"))
        have = f" (there is {', '.join(others)})" if others else ""
        raise UserError(
            f"There is no leaderboard {path}{have}: run a model first or give --leaderboard FILE."
        )
    return path, read_leaderboard(path)
