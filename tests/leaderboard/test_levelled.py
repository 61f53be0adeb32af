"""Models asked for levels: the cells of the grid, the curve that is drawn of them, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boards import board, board_row, data, write_board
from commands import command

from bfpo_bench.leaderboard.charts.grid import drawn_cells, grid
from bfpo_bench.leaderboard.levelled import level_cells, note
from bfpo_bench.leaderboard.report.charts import standing
from bfpo_bench.leaderboard.report.model import Page
from bfpo_bench.leaderboard.report.pages import render
from bfpo_bench.leaderboard.report.rows import block_views
from bfpo_bench.levels import Levels
from bfpo_bench.names import NULL_ENGINE


def scored(model: str, helpful: float, harmless: float) -> dict[str, Any]:
    """A row with these two scores of generated answers, each interval two points to either side."""
    found = board_row(model)
    scores = (("helpfulness_generative", helpful), ("harmlessness_generative", harmless))
    for name, value in scores:
        found |= {name: value, f"{name}_ci_low": value - 2, f"{name}_ci_high": value + 2}
    return found


LEAST = scored("org/a + levels 0,0", 30, 40)
SAFE = scored("org/a + levels 0,1", 28, 80)
HELPFUL = scored("org/a + levels 1,0", 70, 35)
MOST = scored("org/a + levels 1,1", 60, 75)
BARE, OTHER = scored("org/a", 50, 60), scored("org/b + levels 1,1", 55, 65)
NULL = scored(f"org/a{NULL_ENGINE} + levels 1,1", 10, 10)
ROWS = (MOST, BARE, NULL, OTHER, SAFE, LEAST, HELPFUL)


def test_a_models_cells_stand_together_from_the_least() -> None:
    """The bare model is none, and the null engine's row measures nothing."""
    told = [(c.model, str(c.levels), c.helpful, c.harmless) for c in level_cells(ROWS)]
    assert told == [
        ("org/a", "0,0", (30, 28, 32), (40, 38, 42)),
        ("org/a", "0,1", (28, 26, 30), (80, 78, 82)),
        ("org/a", "1,0", (70, 68, 72), (35, 33, 37)),
        ("org/a", "1,1", (60, 58, 62), (75, 73, 77)),
        ("org/b", "1,1", (55, 53, 57), (65, 63, 67)),
    ]


def test_ten_is_above_nine() -> None:
    rows = [scored(f"a + levels {n},0", 50, 50) for n in (10, 9, 2)]
    assert [cell.levels.helpfulness for cell in level_cells(rows)] == [2, 9, 10]


def test_the_curves_data_are_the_rows_scores() -> None:
    """Each layer has a point for each pair of levels; a model with one of them has no curve."""
    cells = drawn_cells(level_cells(ROWS))
    assert {cell.model for cell in cells} == {"org/a"}
    spec = grid(cells)
    points = {
        (d["model"], d["safety"], d["x"], d["x_low"], d["x_high"], d["y"], d["y_low"], d["y_high"])
        for d in data(spec)
    }
    assert points == {
        ("org/a + levels 0,0", 0, 30, 28, 32, 40, 38, 42),
        ("org/a + levels 0,1", 1, 28, 26, 30, 80, 78, 82),
        ("org/a + levels 1,0", 0, 70, 68, 72, 35, 33, 37),
        ("org/a + levels 1,1", 1, 60, 58, 62, 75, 73, 77),
    }


def test_points_of_one_safety_are_joined_by_helpfulness() -> None:
    [panel] = grid(drawn_cells(level_cells(ROWS)))["concat"]
    [line] = [layer for layer in panel["layer"] if layer["mark"]["type"] == "line"]
    assert line["encoding"]["color"]["field"] == "safety"
    assert line["encoding"]["order"]["field"] == "helpfulness"
    assert (line["encoding"]["x"]["field"], line["encoding"]["y"]["field"]) == ("x", "y")
    domain = line["encoding"]["x"]["scale"]["domain"]
    # From 26 and to 82, to whole tens
    assert domain == line["encoding"]["y"]["scale"]["domain"] == [20, 90]


def test_a_score_that_is_missing_has_no_point() -> None:
    columns = [f"harmlessness_generative{end}" for end in ("", "_ci_low", "_ci_high")]
    rows = [LEAST, SAFE, HELPFUL | dict.fromkeys(columns, float("nan"))]
    cells = level_cells(rows)
    assert cells[2].harmless is None
    assert [c.levels for c in drawn_cells(cells)] == [Levels(0, 0), Levels(0, 1)]


def test_rows_that_lack_different_tasks_are_not_joined() -> None:
    """The means of org/a are over different families; those of org/b over the same ones."""
    lacking = {"missing": "bfpo_alert"}
    other = [OTHER | lacking, scored("org/b + levels 0,1", 40, 80) | lacking]
    cells = level_cells([LEAST, SAFE, HELPFUL | lacking, *other])
    marks = [
        [layer["mark"]["type"] for layer in panel["layer"]]
        for panel in grid(drawn_cells(cells))["concat"]
    ]
    assert ["line" in mine for mine in marks] == [False, True]
    assert all(mine.count("point") == 1 for mine in marks)
    assert note(cells).endswith("These rows lack different tasks: their means are not alike.")
    assert "lack" not in note(level_cells(ROWS))


def page(*rows: dict[str, Any]) -> str:
    views = block_views(board(*rows).assign(run_id=""), {})
    return render(Page("x", [standing(v) for v in views], [], (), (), (), "x", None))


def test_the_report_shows_the_curve_and_its_numbers() -> None:
    shown = page(*ROWS)
    assert shown.count('<table class="levels">') == 1
    assert 'data-chart="levels-block-1"' in shown
    assert '"levels-block-1":{"light":{' in shown
    assert "org/a at 1,1: 60.0, 75.0" in shown


def test_one_pair_of_levels_makes_a_table_and_no_curve() -> None:
    shown = page(OTHER, BARE)
    assert shown.count('<table class="levels">') == 1
    assert "levels-block-1" not in shown


def test_a_page_without_levels_says_nothing_of_them() -> None:
    assert "levels" not in page(BARE)


def test_the_terminal_shows_them(tmp_path: Path) -> None:
    path = write_board(tmp_path / "all.csv", *ROWS)
    out = command("leaderboard", "show", "--leaderboard", str(path), cwd=tmp_path).out
    table = out.split("Levels of helpfulness and safety")[1]
    told = [line.split() for line in table.splitlines() if line.strip().startswith("org/")]
    assert told[2] == ["org/a", "1", "0", "70.0", "68–72", "35.0", "33–37"]
    assert len(told) == 5
