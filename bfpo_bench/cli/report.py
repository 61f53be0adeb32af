"""`bfpo-bench report`: runs and a leaderboard as pages that open from disk."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli import complete


def report(
    runs: list[Path] | None = typer.Argument(
        None,
        metavar="[RUN ...]",
        help="Run folders, or folders of runs.",
        show_default="runs, with the rows of leaderboards/bfpo.csv",
        autocompletion=complete.runs,
    ),
    leaderboard: Path | None = typer.Option(
        None,
        metavar="FILE.csv",
        help="Rows of this leaderboard besides, or alone.",
        autocompletion=complete.leaderboards,
    ),
    baseline: Path | None = typer.Option(
        None,
        metavar="RUN",
        help="Compare every other run with this one.",
        show_default="of two runs the first; of trained models their base",
        autocompletion=complete.runs,
    ),
    out: Path = typer.Option(Path("report"), metavar="DIR", help="Where the report goes."),
) -> None:
    """Write a report: leaderboard, charts, comparisons and every response, as pages that open from disk.

    DIR/index.html needs no network and no server. An earlier report in DIR is replaced; a folder that
    holds other things is refused.

        bfpo-bench report runs/my-model-1a2b3c4d runs/baseline-5e6f7a8b --out report
    """
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.leaderboard.report.make import make_page
    from bfpo_bench.leaderboard.report.sources import read_sources
    from bfpo_bench.leaderboard.report.write import check_out, write_report
    from bfpo_bench.progress import Progress

    check_out(out)
    sources = read_sources(runs or [], leaderboard, baseline)
    ui = RichUi()
    with ui.stage("report") as tell:

        def told(done: int, total: int) -> None:
            tell(Progress("writing responses", done, total))

        write_report(out, lambda folder: make_page(sources, folder, told))
    ui.note(f"{out / 'index.html'} is the report: open it in a browser.")
