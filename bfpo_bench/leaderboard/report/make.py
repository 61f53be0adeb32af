"""From runs and a leaderboard to the page's data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bfpo_bench.leaderboard.report.charts import run_view, standing
from bfpo_bench.leaderboard.report.comparisons import comparison_views
from bfpo_bench.leaderboard.report.index import write_responses
from bfpo_bench.leaderboard.report.model import BlockView, Page, RunView
from bfpo_bench.leaderboard.report.provenance import provenance
from bfpo_bench.leaderboard.report.rows import as_leaderboard, block_views, run_ids, table
from bfpo_bench.leaderboard.report.sources import Sources
from bfpo_bench.leaderboard.report.tasks import by_cell
from bfpo_bench.leaderboard.rows import to_csv
from bfpo_bench.scoring.finished import FinishedRun


def make_page(sources: Sources, out: Path, report: Callable[[int, int], None]) -> Page:
    """The page on the sources' runs, and on the leaderboard's rows besides.

    The responses go into `out`/data; `report` is told how many of how many are written.
    """
    runs = sources.runs
    known = {r.scores.comparability_key: r.manifest.comparability for r in runs}
    found = table(runs, sources.table)
    blocks = block_views(found, {**sources.keys, **known})
    views = _run_views(runs, blocks)
    return Page(
        title=_title(blocks),
        standings=[standing(block, runs) for block in blocks],
        runs=views,
        cells=by_cell(views),
        comparisons=comparison_views(runs, views, sources.baseline),
        notes=sources.notes,
        csv=to_csv(as_leaderboard(found)),
        responses=write_responses(runs, out, report) if runs else None,
    )


def _run_views(runs: Sequence[FinishedRun], blocks: Sequence[BlockView]) -> list[RunView]:
    """The runs in the order of their rows, which the best begins."""
    by_id = dict(zip(run_ids(runs), runs, strict=True))
    found: list[RunView] = []
    for block in blocks:
        for row in block.rows:
            run = by_id.get(row.run_id or "")
            if run is not None:
                told = provenance(run)
                found.append(run_view(len(found) + 1, run, row, told))
    return found


def _title(blocks: Sequence[BlockView]) -> str:
    models = {row.model for block in blocks for row in block.rows}
    if not models:
        return "How helpful and how harmless models are"
    if len(models) == 1:
        return f"How helpful and how harmless {next(iter(models))} is"
    return f"How helpful and how harmless {len(models)} models are"
