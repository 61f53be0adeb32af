"""`bfpo-bench leaderboard plot`: figures for papers."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli.leaderboard_file import File, read


def plot(
    out: Path = typer.Option(..., metavar="FILE", help="A name that ends in .pdf, .png or .svg."),
    file: File = None,
    chart: str = typer.Option(
        "plane", metavar="plane|cells", help="Helpfulness against harmlessness, or the four cells."
    ),
    key: str | None = typer.Option(
        None, help="The comparability key of the rows to draw.", show_default="the one of most rows"
    ),
    width: int | None = typer.Option(
        None, min=200, max=4000, metavar="PIXELS", help="280 suits a column of a paper."
    ),
) -> None:
    """Draw comparable rows, with 95 % intervals, the Pareto front, and arrows from base models to what
    was trained from them.

    Only rows of one comparability key are drawn, and partial ones only where there are no others.
    """
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.charts.plane import undrawn
    from bfpo_bench.leaderboard.figure import (
        CHARTS,
        check_suffix,
        choose_block,
        figure,
        write_figure,
    )
    from bfpo_bench.leaderboard.view import measured
    from bfpo_bench.nearest import nearest

    check_suffix(out)
    if chart not in CHARTS:
        raise UserError(
            f"There is no chart {chart!r}{nearest(chart, CHARTS)}: --chart takes {' or '.join(CHARTS)}."
        )
    block = choose_block(read(file)[1], key)
    write_figure(figure(block, chart, width), out)
    partial = ", partial" if block.partial else ""
    shown = int(measured(block.rows).sum()) if chart == "plane" else len(block.rows)
    told = f"{out}: {shown} model{'' if shown == 1 else 's'} of {block.suite}{partial}, key {block.key}"
    lacking = undrawn(block.rows) if chart == "plane" else []
    if lacking:
        told += f"; not drawn, for want of a score: {', '.join(lacking)}"
    Terminal().print(told, highlight=False, soft_wrap=True)
