"""Comparisons as Markdown, also of texts that would rather be something else."""

from __future__ import annotations

import re
from pathlib import Path

from finished_runs import ERRANDS, FACTS, MISCHIEF, Found, finished
from hostile import CORPUS
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.flips import side_by_side
from bfpo_bench.leaderboard.compare.gate import Rule, Rules, check_gate
from bfpo_bench.leaderboard.compare.markdown import to_markdown
from bfpo_bench.leaderboard.compare.words import RULE_WORDS, chosen_flips, cut, signed

A: Found = {MISCHIEF: ["complied"] * 8 + ["safe"], FACTS: [1, 0, 1], ERRANDS: "no judge"}
B: Found = {MISCHIEF: ["safe"] * 8 + ["complied"], FACTS: [1, 1, 1], ERRANDS: "no judge"}


def markdown(folder: Path, texts: dict[tuple[str, int], str], flips: int = 2) -> str:
    a = finished(folder / "a", A, texts=texts)
    b = finished(folder / "b", B, texts={(MISCHIEF, 0): "I would rather not."})
    found = compare_runs(a, b)
    gate = check_gate(Rules(rules=(Rule(score=f"task:{MISCHIEF}", at_least=0),)), found)
    return to_markdown(found, side_by_side(a, b, chosen_flips(found, flips)), gate)


def test_it_has_all_that_the_terminal_shows(tmp_path: Path) -> None:
    told = markdown(tmp_path, {(MISCHIEF, 0): "Sure, here it is."})
    assert "- A: `model`, run `a`, suite `mine@1`" in told
    assert "## Gate: passed" in told
    assert "| `mischief` | 11.1 | 88.9 | +77.8 |" in told
    assert "- `errands`: `not scored in A and B: no judge`" in told
    assert "- helpfulness, harmlessness, over-refusal (for want of a task or a part)" in told
    assert "## Changed for the worse (1 of 1)" in told
    assert "## Changed for the better (2 of 9)" in told
    row = (
        "| `mischief 0` | `mischief 0?` | `complied`: `Sure, here it is.` "
        "| `safe`: `I would rather not.` |"
    )
    assert row in told


def test_intervals_without_width_are_marked_and_explained(tmp_path: Path) -> None:
    """20 pairs, none of which changed: 3/20 of 100 points. One of four that changed has no mark."""
    a = finished(tmp_path / "a", {MISCHIEF: ["safe"] * 20, FACTS: [1] * 4})
    b = finished(tmp_path / "b", {MISCHIEF: ["safe"] * 20, FACTS: [1] * 3 + [0]})
    told = to_markdown(compare_runs(a, b), [], None)
    assert "| `mischief` | 100.0 | 100.0 | +0.0 | +0.0 to +0.0° |" in told
    assert "| `facts` | 100.0 | 75.0 | -25.0 | -75.0 to +0.0 |" in told
    assert "(rule of three), so that changes of up to about so many points" in told
    assert told.count("rule of three") == 1
    assert ": `harmlessness/generative` 15.0, `mischief` 15.0.\n" in told.partition("## Tasks")[2]


def test_every_score_has_its_p_value_and_both_tables_their_rule(tmp_path: Path) -> None:
    """20 gained of 20: p = 2 / 2 ** 20, and the interval is no wider than 3 / 20 of 200 points."""
    a = finished(tmp_path / "a", {MISCHIEF: ["complied"] * 20})
    told = to_markdown(
        compare_runs(a, finished(tmp_path / "b", {MISCHIEF: ["safe"] * 20})), [], None
    )
    numbers = "| 0.0 | 100.0 | +100.0 | +100.0 to +100.0° | <0.001 |"
    assert f"| `harmlessness/generative` {numbers} better |" in told
    assert f"| `mischief` {numbers} 20 | 20 | 0 | better |" in told
    assert told.count(RULE_WORDS) == 2


def test_what_is_nothing_but_for_rounding_has_no_minus() -> None:
    assert [signed(points) for points in (-1e-15, -0.04, -0.06, 2)] == [
        "+0.0",
        "+0.0",
        "-0.1",
        "+2.0",
    ]


def test_flips_come_from_each_task_in_turn(tmp_path: Path) -> None:
    a, b = finished(tmp_path / "a", A), finished(tmp_path / "b", B)
    chosen = chosen_flips(compare_runs(a, b), 3)
    assert [(f.direction, f.task, f.doc_id) for f in chosen] == [
        ("worse", MISCHIEF, 8),
        ("better", MISCHIEF, 0),
        ("better", FACTS, 1),
        ("better", MISCHIEF, 1),
    ]


def test_choices_are_shown_by_what_is_most_likely(tmp_path: Path) -> None:
    a, b = finished(tmp_path / "a", A), finished(tmp_path / "b", B)
    found = compare_runs(a, b)
    [one] = side_by_side(a, b, [f for f in found.flips if f.task == FACTS])
    assert (one.prompt, one.a, one.b) == ("facts 1?", " wrong", " right")


def test_hostile_answers_stay_in_their_cells(tmp_path: Path) -> None:
    texts = {(MISCHIEF, i): text for i, text in enumerate(CORPUS)}
    a = finished(tmp_path / "a", {MISCHIEF: ["complied"] * len(texts)}, texts=texts)
    b = finished(tmp_path / "b", {MISCHIEF: ["safe"] * len(texts)})
    found = compare_runs(a, b)
    told = to_markdown(found, side_by_side(a, b, found.flips), None)
    rows = [line for line in told.split("\n") if line.startswith("| `mischief ")]
    assert len(rows) == len(texts)
    for row in rows:
        # What is left of a row without its code spans is its bars and our own words
        assert re.fullmatch(r"\| X \| X \| X: X? \| X: X \|", re.sub("`[^`]+`", "X", row)), row
        assert row.isprintable()


@settings(max_examples=50)
@given(st.text(max_size=80), st.integers(2, 30))
def test_a_cut_text_is_short_and_on_one_line(text: str, longest: int) -> None:
    told = cut(text, longest)
    assert len(told) <= longest
    assert len(told.splitlines()) <= 1
