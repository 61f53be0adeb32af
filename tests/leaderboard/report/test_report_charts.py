"""Charts of the page: in both themes, with words beside them, and none where nothing can be drawn."""

from __future__ import annotations

import json

from measured import block, measured

from bfpo_bench.leaderboard.report.charts import run_view, standing
from bfpo_bench.names import NULL_ENGINE

SIXTY = (60.0, 50.0, 70.0)


def test_the_plane_is_there_in_both_themes_and_widths_and_in_words() -> None:
    found = standing(block(measured("a", SIXTY, (80, 70, 90)))).plane
    assert found is not None
    assert found.summary.endswith("a: 60.0 [50.0, 70.0], 80.0 [70.0, 90.0]")
    looks = [found.light, found.dark, found.narrow["light"], found.narrow["dark"]]
    assert len({json.dumps(look, allow_nan=False) for look in looks}) == 4


def test_a_block_without_both_scores_has_no_plane_and_names_who_lacks_one() -> None:
    found = standing(block(measured("a", SIXTY, None)))
    assert (found.plane, found.cells, found.undrawn) == (None, None, ["a"])


def test_a_run_without_scored_tasks_has_no_charts() -> None:
    run = measured("a", SIXTY, SIXTY)
    view = run_view(1, run, block(run).rows[0], [])
    assert (view.tasks, view.outcomes) == (None, None)


def test_the_null_engine_alone_has_no_plane() -> None:
    found = standing(block(measured(f"n{NULL_ENGINE}", SIXTY, SIXTY)))
    assert (found.plane, list(found.undrawn)) == (None, [])
