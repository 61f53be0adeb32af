"""The leaderboard as LaTeX."""

from __future__ import annotations

import re

from boards import board, board_row
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.leaderboard.latex import escaped, to_latex

NONE = float("nan")
_COMMANDS = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl)\{\}"


def test_a_table_a_block_the_best_first_with_intervals_as_ranges() -> None:
    """a: helpfulness 70, so 68 to 72; b is partial and has a table of its own."""
    text = to_latex(board(board_row("c"), board_row("a", 70), board_row("b", partial=True)))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    rows = [line for line in text.splitlines() if re.match(r"\d+ & ", line)]
    assert [row.split(" & ")[:3] for row in rows] == [
        ["1", "a", "70.0"],
        ["2", "c", "50.0"],
        ["1", "b", "50.0"],
    ]
    assert r"& \scriptsize 68.0--72.0 &" in text
    assert "partial rows, comparability key k." in text


def test_every_line_has_as_many_cells_as_the_table_has_columns() -> None:
    unscored = {f"harmlessness{end}": NONE for end in ("", "_ci_low", "_ci_high")}
    text = to_latex(board(board_row("a&b\\"), board_row("c", **unscored)))
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 2 + 2 * 2
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {8}
    assert "{rlrrrrrrr}" in text


def test_what_is_not_scored_is_a_dash_and_named() -> None:
    unscored = {f"harmlessness{end}": NONE for end in ("", "_ci_low", "_ci_high")}
    text = to_latex(board(board_row("c", missing="bfpo_x bfpo_y", **unscored)))
    assert "-- & c & 50.0 & -- &" in text
    assert r"left out of the means: bfpo\_x, bfpo\_y." in text


def test_texts_are_printed_as_they_are() -> None:
    assert escaped('a_b{50%} \\input #1 $x$ ~^ <&> |"') == (
        r"a\_b\{50\%\} \textbackslash{}input \#1 \$x\$ \textasciitilde{}\textasciicircum{} "
        r"\textless{}\&\textgreater{} \textbar{}\textquotedbl{}"
    )


def test_signs_that_would_become_one_are_kept_apart() -> None:
    assert escaped("a--b ``c''") == "a-{}-b `{}`c'{}'"


@given(st.text() | st.text("\\{}$&#%_~^<>|\"-`'\n"))
def test_no_text_is_a_command_and_braces_balance(text: str) -> None:
    """What is left once our own commands are taken away has no special character that is not quoted."""
    told = escaped(text)
    assert "\n" not in told
    rest = re.sub(r"\\[{}$&#%_]", "", re.sub(_COMMANDS, "", told)).replace("{}", "")
    assert not set(rest) & set("\\{}$&#%_~^")
