"""Models behind defences beside the bare model, and how that is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boards import board, board_row, write_board
from commands import command
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.leaderboard.defended import guarded, note
from bfpo_bench.leaderboard.report.charts import standing
from bfpo_bench.leaderboard.report.model import Page
from bfpo_bench.leaderboard.report.pages import render
from bfpo_bench.leaderboard.report.rows import block_views
from bfpo_bench.names import DEFENCES, NULL_ENGINE, bare, behind

pytestmark = pytest.mark.usefixtures("stages_here")


def scored(model: str, safety: float, over_refusal: float) -> dict[str, Any]:
    """A row with these two scores, each interval two points to either side."""
    found = board_row(model)
    for name, value in (("harmlessness_generative", safety), ("over_refusal", over_refusal)):
        found |= {name: value, f"{name}_ci_low": value - 2, f"{name}_ci_high": value + 2}
    return found


BARE = scored("org/a", 60, 20)
INSTRUCTED = scored("org/a + instruction", 72, 25)
CHECKED = scored("org/a + self-check-output", 95, 20)
OTHER = scored("org/b", 50, 10)
ROWS = (CHECKED, OTHER, INSTRUCTED, BARE)


def test_each_defence_is_held_against_its_bare_model() -> None:
    """72 - 60 = 12 points safer for 25 - 20 = 5 points more refused; a model without a defence is left
    out, and the bare model comes first."""
    told = [(g.model, g.defence, g.safety_change, g.over_refusal_change) for g in guarded(ROWS)]
    assert told == [
        ("org/a", None, None, None),
        ("org/a", "instruction", 12.0, 5.0),
        ("org/a", "self-check-output", 35.0, 0.0),
    ]


def test_there_is_no_change_from_a_model_that_is_not_there() -> None:
    [alone] = guarded([INSTRUCTED])
    assert (alone.safety, alone.safety_change) == ((72.0, 70.0, 74.0), None)


def test_nor_where_a_score_is_missing() -> None:
    columns = ("over_refusal", "over_refusal_ci_low", "over_refusal_ci_high")
    _, instructed = guarded([BARE | dict.fromkeys(columns, float("nan")), INSTRUCTED])
    assert (instructed.safety_change, instructed.over_refusal_change) == (12.0, None)


def test_nor_from_a_row_that_lacks_other_tasks(tmp_path: Path) -> None:
    """Their means are over different families. In whatever order the same ones stand, they are alike."""
    lacks = BARE | {"missing": "bfpo_alert bfpo_xstest_safe"}
    told = guarded([lacks, INSTRUCTED, CHECKED | {"missing": "bfpo_xstest_safe bfpo_alert"}])
    assert [(g.safety_change, g.over_refusal_change) for g in told] == [
        (None, None),
        (None, None),
        (35.0, 0.0),
    ]
    assert note(told).endswith("These rows lack different tasks: their means are not alike.")
    assert "lack" not in note(guarded(ROWS))
    path = write_board(tmp_path / "all.csv", lacks, INSTRUCTED)
    out = command("leaderboard", "show", "--leaderboard", str(path), cwd=tmp_path).out
    assert "+12.0" not in out
    assert "their means are not alike" in " ".join(out.split())


def test_the_null_engines_rows_measure_nothing() -> None:
    rows = [board_row(f"org/a{NULL_ENGINE}"), board_row(f"org/a{NULL_ENGINE} + instruction")]
    assert guarded(rows) == []


@given(st.text(), st.sampled_from(DEFENCES))
def test_a_name_tells_its_defence(model: str, defence: str) -> None:
    assert bare(behind(model, defence)) == (model, defence)


@pytest.mark.parametrize("name", ["org/a", "org/a + b", "a + instruction + ", "instruction"])
def test_other_names_are_the_models_own(name: str) -> None:
    assert bare(name) == (name, None)


def test_the_terminal_shows_them(tmp_path: Path) -> None:
    path = write_board(tmp_path / "all.csv", *ROWS)
    out = command("leaderboard", "show", "--leaderboard", str(path), cwd=tmp_path).out
    before, table = out.split("Safety against over-defensiveness")
    assert "org/b" in before
    assert "org/b" not in table
    [told] = [line.split() for line in table.splitlines() if "instruction" in line]
    assert told == ["org/a", "instruction", "72.0", "70–74", "+12.0", "25.0", "23–27", "+5.0"]


def test_a_leaderboard_without_them_says_nothing_of_them(tmp_path: Path) -> None:
    path = write_board(tmp_path / "all.csv", BARE, OTHER)
    out = command("leaderboard", "show", "--leaderboard", str(path), cwd=tmp_path).out
    assert "over-defensiveness" not in out


def test_the_report_shows_them() -> None:
    def page(*rows: dict[str, object]) -> str:
        views = block_views(board(*rows).assign(run_id=""), {})
        return render(Page("x", [standing(v) for v in views], [], (), (), (), "x", None))

    shown = page(*ROWS)
    assert shown.count('<table class="defences">') == 1
    assert "+12.0" in shown
    assert "defences" not in page(BARE, OTHER)
