"""`bfpo-bench leaderboard`: the rows that runs have left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Show the leaderboard, or write it out.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option(
        "--leaderboard", metavar="FILE.csv", help="The CSV.", show_default="leaderboards/bfpo.csv"
    ),
]


def _read(file: Path | None) -> tuple[Path, object]:
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.rows import read_leaderboard

    path = file or Path("leaderboards") / "bfpo.csv"
    if not path.exists():
        others = sorted(str(p) for p in path.parent.glob("*.csv"))
        have = f" (there is {', '.join(others)})" if others else ""
        raise UserError(
            f"There is no leaderboard {path}{have}: run a model first or give --leaderboard FILE."
        )
    return path, read_leaderboard(path)


@app.command()
def show(
    file: File = None, json_: bool = typer.Option(False, "--json", help="Print JSON.")
) -> None:
    """Print the leaderboard: one table for each set of comparable rows, ranked within it.

    Rank is by the mean of helpfulness and harmlessness. Rows whose comparability keys differ, and
    partial and full rows, are never ranked together.
    """
    path, table = _read(file)
    if json_:
        from bfpo_bench.leaderboard.export import to_json

        typer.echo(to_json(table), nl=False)  # type: ignore[arg-type]
        return
    from bfpo_bench.cli.render import leaderboard_tables
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.leaderboard.keys import read_keys

    console = Terminal()
    for part in leaderboard_tables(table, read_keys(path)):  # type: ignore[arg-type]
        console.print(part)


@app.command()
def export(
    file: File = None,
    format_: str = typer.Option("csv", "--format", metavar="csv|markdown|json"),
    output: Path | None = typer.Option(
        None, metavar="FILE", help="Write here instead of printing."
    ),
) -> None:
    """Write the leaderboard as CSV, Markdown or JSON."""
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.export import FORMATS
    from bfpo_bench.nearest import nearest
    from bfpo_bench.runs.jsonl import write_atomically

    if format_ not in FORMATS:
        raise UserError(
            f"There is no format {format_!r}{nearest(format_, FORMATS)}: --format takes {', '.join(FORMATS)}."
        )
    text = FORMATS[format_](_read(file)[1])  # type: ignore[arg-type]
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}): give another FILE."
        ) from error
