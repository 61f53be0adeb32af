"""`bfpo-bench leaderboard add` and `merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
    from bfpo_bench.leaderboard.merge import Conflict, Merged


def add(
    runs: list[Path] = typer.Argument(
        ..., metavar="RUN ...", help="Folders of runs, or of many.", autocompletion=complete.runs
    ),
    file: Path | None = typer.Option(
        None,
        "--leaderboard",
        metavar="FILE.csv",
        help="The CSV.",
        show_default="leaderboards/SUITE.csv",
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Add the rows of finished runs, each in place of the row of the same model, suite and
    comparability key, if there is one."""
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.leaderboard.add import add_runs
    from bfpo_bench.scoring.finished import find_runs

    added = add_runs(find_runs(runs), file)
    if json_:
        _print_json([a.dump() for a in added])
        return
    console = Terminal()
    for one in added:
        done = "replaced in" if one.replaced else "added to"
        partial = ", partial" if one.partial else ""
        console.print(
            f"{one.model} ({one.suite}{partial}, key {one.key}): {done} {one.leaderboard}",
            highlight=False,
            soft_wrap=True,
        )


def merge(
    files: list[Path] = typer.Argument(..., metavar="FILE.csv ...", help="Leaderboards to merge."),
    output: Path = typer.Option(..., metavar="FILE.csv", help="Where to; may be one of them."),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Make one leaderboard of several: of rows of the same model, suite and comparability key the one
    that was scored last stays, and where the numbers differ, that is listed."""
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.leaderboard.merge import merge_files

    merged = merge_files(files, output)
    if json_:
        _print_json(_dump(merged))
        return
    console = Terminal()
    for line in (*map(_told, merged.conflicts), *_summary(merged, output)):
        console.print(line, highlight=False, soft_wrap=True)


def _summary(merged: Merged, output: Path) -> list[str]:
    again = f", {merged.same} of them twice with the same numbers" if merged.same else ""
    lines = [f"partial row left out, for there is a full one: {model}" for model in merged.outdone]
    conflicts = len(merged.conflicts)
    differing = f", {conflicts} with other numbers" if conflicts else ""
    return [*lines, f"{output}: {len(merged.table)} rows of {merged.read}{again}{differing}"]


def _told(found: Conflict) -> str:
    partial = ", partial" if found.partial else ""
    values = " and ".join("none" if v is None else f"{v:.2f}" for v in (found.value, found.other))
    return (
        f"conflict: {found.model} ({found.suite}{partial}, key {found.key}): kept the row of "
        f"{found.kept} over that of {found.dropped}, for {found.reason}; {found.columns} columns "
        f"differ, most {found.column}: {values}"
    )


def _dump(merged: Merged) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "rows": len(merged.table),
        "read": merged.read,
        "same": merged.same,
        "partial_left_out": list(merged.outdone),
        "conflicts": [asdict(c) for c in merged.conflicts],
    }


def _print_json(found: object) -> None:
    import json

    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
