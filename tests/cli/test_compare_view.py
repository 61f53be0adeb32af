"""What `compare` prints: in 80 columns and in 120, of any text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from finished_runs import ERRANDS, FACTS, MANNERS, MISCHIEF, finished
from hostile import CORPUS, raw_controls
from rich.cells import cell_len

from bfpo_bench.cli.compare_view import print_comparison
from bfpo_bench.cli.ui import Terminal
from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.flips import side_by_side
from bfpo_bench.leaderboard.compare.words import RULE_WORDS
from bfpo_bench.scoring.finished import FinishedRun


def printed(a: FinishedRun, b: FinishedRun, width: int) -> str:
    """With every flip."""
    found = compare_runs(a, b)
    out = io.StringIO()
    terminal = Terminal(file=out, width=width)
    print_comparison(terminal, found, side_by_side(a, b, found.flips), None)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_hostile_texts_stay_texts_and_lines_fit(tmp_path: Path, width: int) -> None:
    texts = {(MISCHIEF, i): text for i, text in enumerate(CORPUS)}
    a = finished(
        tmp_path / "a", {MISCHIEF: ["complied"] * len(texts)}, texts=texts, model="[red]a\x1b[2J"
    )
    told = printed(a, finished(tmp_path / "b", {MISCHIEF: ["safe"] * len(texts)}), width)
    assert "A: [red]a[2J (run a, mine@1)" in told
    assert raw_controls(told) == []
    assert max(cell_len(line) for line in told.split("\n")) <= width


def test_nothing_is_cut_in_80_columns(tmp_path: Path) -> None:
    """The widest numbers that there are, in all tables."""
    a = finished(
        tmp_path / "a",
        {MISCHIEF: ["complied"], ERRANDS: ["answered"], MANNERS: [0], FACTS: [1]},
    )
    b = finished(
        tmp_path / "b", {MISCHIEF: ["safe"], ERRANDS: ["answered"], MANNERS: [1], FACTS: [1]}
    )
    told = printed(a, b, 80)
    assert "…" not in told
    assert "-100.0 to +100.0" in told
    assert told.count("not clear") == 7


def test_what_differs_besides_the_model_comes_first(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {FACTS: [1, 0]})
    told = printed(a, finished(tmp_path / "b", {FACTS: [1, 1]}, temperature=0.7), 80)
    lines = told.splitlines()
    assert lines[2] == (
        "The comparability keys differ (there: A, here: B): temperature: 0.0 there, 0.7 "
    )
    assert told.index("No difference is the models' alone") < told.index("facts")


def test_what_is_not_compared_is_said_with_its_reason(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {FACTS: [1, 0], MANNERS: "its data could not be had"})
    b = finished(tmp_path / "b", {FACTS: [1, 0], MANNERS: [1], MISCHIEF: ["safe"]})
    told = " ".join(printed(a, b, 80).split())
    assert "Not compared: mischief (asked in B and not in A)." in told
    assert "Not compared: manners (not scored in A: its data could not be had)." in told
    means = "helpfulness, harmlessness, over-refusal, 2 cells, 2 families"
    assert f"Not compared: {means} (for want of a task or a part)." in told
    assert told.count("Not compared") == 3


def test_means_have_p_values_and_the_tables_say_what_shows_a_difference(tmp_path: Path) -> None:
    """5 lost of 40: an interval that excludes 0, but p = 2 / 32."""
    a = finished(tmp_path / "a", {FACTS: [1] * 40})
    b = finished(tmp_path / "b", {FACTS: [0] * 5 + [1] * 35})
    told = " ".join(printed(a, b, 80).split())
    assert "100.0 87.5 -12.5 -22.5 to -2.5 0.061 not clear" in told
    assert told.count(RULE_WORDS) == 2


def test_intervals_without_width_are_said_to_say_little(tmp_path: Path) -> None:
    a, b = (finished(tmp_path / name, {FACTS: [1] * 30}) for name in "ab")
    told = " ".join(printed(a, b, 80).split())
    assert "+0.0 to +0.0°" in told
    assert "not excluded: helpfulness/discriminative 10.0, facts 10.0." in told


def test_runs_with_nothing_to_compare_say_so(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {FACTS: "no data"})
    b = finished(tmp_path / "b", {FACTS: [1]})
    assert "No task could be compared." in printed(a, b, 80)
