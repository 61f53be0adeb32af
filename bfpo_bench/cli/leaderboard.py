"""`bfpo-bench leaderboard`: the rows that runs have left."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli import leaderboard_change, leaderboard_plot
from bfpo_bench.cli.leaderboard_file import File, read

app = typer.Typer(help="Show the leaderboard, add to it, or write it out.", no_args_is_help=True)


@app.command()
def show(
    file: File = None, json_: bool = typer.Option(False, "--json", help="Print JSON.")
) -> None:
    """Print the leaderboard: one table for each set of comparable rows, ranked within it.

    Rank is by the mean of helpfulness and harmlessness. Rows whose comparability keys differ, and
    partial and full rows, are never ranked together.
    """
    path, table = read(file)
    if json_:
        from bfpo_bench.leaderboard.export import to_json

        typer.echo(to_json(table), nl=False)
        return
    from bfpo_bench.cli.render import leaderboard_tables
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.leaderboard.keys import read_keys

    console = Terminal()
    for part in leaderboard_tables(table, read_keys(path)):
        console.print(part)


app.command()(leaderboard_change.add)
app.command()(leaderboard_change.merge)


@app.command()
def export(
    file: File = None,
    format_: str = typer.Option("csv", "--format", metavar="csv|markdown|html|latex|json|parquet"),
    output: Path | None = typer.Option(
        None, metavar="FILE", help="Write here instead of printing; parquet needs it."
    ),
) -> None:
    """Write the leaderboard as CSV, Markdown, HTML, LaTeX, JSON or Parquet."""
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.export import FORMATS, TELLING
    from bfpo_bench.leaderboard.keys import read_keys
    from bfpo_bench.nearest import nearest
    from bfpo_bench.runs.jsonl import write_atomically

    if format_ not in FORMATS:
        raise UserError(
            f"There is no format {format_!r}{nearest(format_, FORMATS)}: --format takes {', '.join(FORMATS)}."
        )
    if format_ == "parquet" and output is None:
        raise UserError("Parquet is no text for a terminal: give --output FILE.")
    path, table = read(file)
    told = {"keys": read_keys(path)} if format_ in TELLING else {}
    text = FORMATS[format_](table, **told)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}): give another FILE."
        ) from error


app.command()(leaderboard_plot.plot)
