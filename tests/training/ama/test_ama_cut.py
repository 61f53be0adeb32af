"""Where a response is cut into segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.training.ama.cut import cut

CASES: dict[str, list[str]] = {
    "sentences": ["Mix the flour. ", "Knead it well! ", "Is it soft? ", "Bake."],
    "quotes and brackets": ['He said "Stop." ', "(It was late.) ", "Then he left."],
    "no end": ["This goes on"],
    "white space": ["  First.  \n", "Second."],
    "abbreviations": ["Use e.g. Rye flour, Dr. Oetker says. ", "J. Baker agrees."],
    "numbers": ["It takes 3.5 hours. ", "Add 2. ", "Stir."],
    "small letters follow": ["Wait... and then go. ", "Done."],
    "a list": ["You need:\n", "- flour. ", "Also rye\n", "- salt\n\n", "1. Mix.\n", "2. Bake.\n"],
    "bullets of several sentences": ["* Mix it. ", "Then wait.\n", "* Bake it."],
    "headings": ["# Bread\n", "Mix it. ", "Bake it."],
    "a wrapped line": ["Mix flour\nand water. ", "Bake\nit."],
    "paragraphs": ["One thing\n\n", "Another thing\n\n\n", "A third"],
    "code": ["Do this:\n", "```python\nprint('A. B.')\n\n# C. D.\n```\n", "Then run it."],
    "a fence within a longer one": ["~~~~\n~~~\nA. B.\n~~~~\n", "End."],
    "code without an end": ["So:\n", "```\nA. B.\nC"],
    "code within a line": ["```ab``` is code. ", "Then go."],
    "rules and stars": ["One.\n", "---\nTwo. ", "***Three.*** ", "Four."],
    "Chinese": ["先揉面。", "再发酵！", "好了吗？"],
    "an ellipsis at the end": ["Well. ", "Who knows. ..."],
    "nothing to say": ["...!?"],
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_cut_there(name: str) -> None:
    assert cut("".join(CASES[name])) == CASES[name]


pieces = st.sampled_from(
    [
        "A",
        "b",
        " ",
        "\n",
        "\n\n",
        ". ",
        "! ",
        "```",
        "```\n",
        "~~~",
        "- ",
        "1. ",
        "# ",
        "。",
        "…",
        '"',
    ]
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join)))
def test_no_character_is_lost_and_no_segment_is_empty(text: str) -> None:
    found = cut(text)
    assert "".join(found) == text
    assert all(found)
    if len(found) > 1:
        assert all(any(map(str.isalnum, segment)) for segment in found)


def test_a_hostile_row_of_marks_is_read_once() -> None:
    """Quadratic, a hundred thousand of them would take minutes."""
    for mark in (".", "。", "`", "- ", ".\n", '."'):
        text = mark * 100_000 + "x"
        assert "".join(cut(text)) == text
