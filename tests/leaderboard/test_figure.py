"""Figures for papers: which rows they show, and the files that come of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from boards import board, board_row

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.figure import check_suffix, choose_block, figure, write_figure

TABLE = board(
    board_row("a", 40, 60),
    board_row("b<b>&amp;", 60, 40, base="a"),
    board_row("c", comparability_key="other"),
    *(board_row(f"p{i}", partial=True, comparability_key="third") for i in range(4)),
)


def test_the_largest_full_block_is_drawn() -> None:
    """Four partial rows of one key are no match for two full ones of another."""
    block = choose_block(TABLE, None)
    assert (block.key, block.partial, len(block.rows)) == ("k", False, 2)


def test_a_key_chooses_another_and_partial_rows_are_drawn_where_there_are_no_others() -> None:
    assert list(choose_block(TABLE, "other").rows["model"]) == ["c"]
    assert choose_block(TABLE, "third").partial
    assert choose_block(TABLE[TABLE["partial"]], None).partial


def test_a_key_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        UserError, match=r"No row has the comparability key thurd \(did you mean third"
    ):
        choose_block(TABLE, "thurd")
    with pytest.raises(UserError, match="no rows to draw"):
        choose_block(TABLE.iloc[:0], None)


@pytest.mark.parametrize("name", ["figure", "figure.gif", "figure.pdf.zip"])
def test_a_name_that_says_no_format_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"\.pdf, \.png, \.svg"):
        check_suffix(Path(name))


@pytest.mark.parametrize("chart", ["plane", "cells"])
def test_the_figure_says_what_it_is_of(chart: str) -> None:
    title = figure(choose_block(TABLE, None), chart, None)["title"]
    assert title["subtitle"][0].startswith("s@1, key k; judges: harm, refusal")
    partial = figure(choose_block(TABLE, "third"), chart, 300)["title"]
    assert " ".join(partial["subtitle"]).startswith("s@1, partial, key third")


@pytest.mark.parametrize(
    ("name", "begins"), [("a.pdf", b"%PDF-"), ("a.PNG", b"\x89PNG\r\n"), ("a.svg", b"<svg ")]
)
def test_files_are_of_the_format_that_they_are_named_after(
    tmp_path: Path, name: str, begins: bytes
) -> None:
    write_figure(figure(choose_block(TABLE, None), "plane", 300), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_names_are_text_in_the_picture(tmp_path: Path) -> None:
    write_figure(figure(choose_block(TABLE, None), "plane", None), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "b&lt;b&gt;&amp;amp;" in text
    assert "<b>" not in text
    assert len(re.findall("<script|href=", text)) == 0


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spec = figure(choose_block(TABLE, None), "cells", 300)
    with pytest.raises(UserError, match=r"cannot be written .* give another --out"):
        write_figure(spec, tmp_path / "file" / "a.svg")
