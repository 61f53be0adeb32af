"""Leaderboards of several machines made one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from boards import board, board_row, write_board
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.keys import add_key, keys_file, read_keys
from bfpo_bench.leaderboard.merge import merge_files, merge_tables
from bfpo_bench.leaderboard.rows import read_leaderboard

MORNING, NOON = "2030-01-02T08:00:00+00:00", "2030-01-02T12:00:00+00:00"


def test_rows_of_other_identities_stand_beside_each_other() -> None:
    others = [board_row("b"), board_row("a", suite="s@2"), board_row("a", comparability_key="j")]
    merged = merge_tables([("x", board(board_row("a"))), ("y", board(*others))])
    assert len(merged.table) == 4
    assert (merged.read, merged.same, merged.conflicts) == (4, 0, ())


@pytest.mark.parametrize("files", [("late", "early"), ("early", "late")])
def test_the_row_that_was_scored_last_wins_in_whatever_file(files: tuple[str, str]) -> None:
    """60.5 at noon, 58 in the morning: they differ by 2.5 in helpfulness and in nothing else."""
    rows = {
        "late": board_row("a", helpfulness=60.5, date=NOON),
        "early": board_row("a", helpfulness=58.0, date=MORNING),
    }
    merged = merge_tables([(f, board(rows[f])) for f in files])
    assert merged.table["helpfulness"].tolist() == [60.5]
    [found] = merged.conflicts
    assert (found.kept, found.dropped) == ("late", "early")
    assert (found.column, found.value, found.other, found.columns) == ("helpfulness", 60.5, 58, 1)
    assert found.reason == f"it is of {NOON}, the other of {MORNING}"


def test_of_one_date_the_later_file_wins_and_says_so() -> None:
    """Earlier versions wrote the day alone."""
    tables = [(f, board(board_row("a", x))) for f, x in (("one", 40), ("two", 60))]
    merged = merge_tables(tables)
    assert merged.table["helpfulness"].tolist() == [60]
    assert merged.conflicts[0].reason == "both are of 2030-01-02, and its file comes later"


def test_a_day_alone_is_its_beginning() -> None:
    tables = [("time", board(board_row("a", 40, date=MORNING))), ("day", board(board_row("a", 60)))]
    assert merge_tables(tables).table["helpfulness"].tolist() == [40]


def test_the_same_numbers_are_no_conflict() -> None:
    tables = [("x", board(board_row("a", date=MORNING))), ("y", board(board_row("a", date=NOON)))]
    merged = merge_tables(tables)
    assert (merged.same, merged.conflicts) == (1, ())
    assert merged.table["date"].tolist() == [NOON]


def test_a_score_that_one_row_lacks_is_a_conflict() -> None:
    """Three columns differ: the task's score and the two ends of its interval."""
    merged = merge_tables([("x", board(board_row("a"))), ("y", board(board_row("a", bfpo_b=3.0)))])
    [found] = merged.conflicts
    assert (found.value, found.other, found.columns) == (3, None, 3)


def test_rows_keep_the_order_in_which_they_first_appear() -> None:
    first = board(board_row("a"), board_row("b"))
    second = board(board_row("c"), board_row("a", 60, date=NOON))
    merged = merge_tables([("x", first), ("y", second)])
    assert merged.table["model"].tolist() == ["a", "b", "c"]
    assert merged.table["helpfulness"].tolist() == [60, 50, 50]


def test_columns_of_either_are_there() -> None:
    tables = [(m, board(board_row(m, **{f"bfpo_{m}": 1.0}))) for m in "ab"]
    table = merge_tables(tables).table
    assert table["bfpo_a"].notna().tolist() == [True, False]
    assert table["bfpo_b"].notna().tolist() == [False, True]


def test_a_full_row_puts_out_the_partial_one_of_its_key() -> None:
    partial = board(board_row("a", partial=True), board_row("b", partial=True))
    merged = merge_tables([("x", partial), ("y", board(board_row("a")))])
    assert merged.outdone == ("a",)
    kept = merged.table[["model", "partial"]].to_dict("records")
    assert kept == [{"model": "b", "partial": True}, {"model": "a", "partial": False}]


@given(st.permutations([0, 1, 2, 3]))
def test_the_files_order_matters_only_among_equal_dates(order: list[int]) -> None:
    """Four days: that of the last wins whatever the order."""
    tables = [(str(i), board(board_row("a", i, date=f"2030-01-0{i + 1}"))) for i in order]
    assert merge_tables(tables).table["helpfulness"].tolist() == [3]


def test_files_are_merged_with_what_their_keys_stand_for(tmp_path: Path) -> None:
    """Into one of them: it is read before it is replaced."""
    ours = write_board(tmp_path / "ours.csv", board_row("a"))
    theirs = write_board(tmp_path / "far" / "theirs.csv", board_row("b", comparability_key="j"))
    add_key(ours, "k", {"settings": {"limit": 1}})
    add_key(theirs, "j", {"settings": {"limit": 2}})
    merged = merge_files([ours, theirs], ours)
    assert len(merged.table) == 2
    assert read_leaderboard(ours)["model"].tolist() == ["a", "b"]
    assert {k: v["settings"]["limit"] for k, v in read_keys(ours).items()} == {"k": 1, "j": 2}
    assert read_leaderboard(theirs)["model"].tolist() == ["b"]
    assert not list(tmp_path.glob(".*.tmp"))


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    files = [
        write_board(tmp_path / "a.csv", board_row("a", 10), board_row("b", bfpo_x=9.0)),
        write_board(tmp_path / "b.csv", board_row("a", 20), board_row("c")),
    ]
    output = tmp_path / "out.csv"
    merge_files(files, output)
    before = output.read_bytes()
    assert merge_files([output, *files], output).conflicts
    assert output.read_bytes() == before
    assert json.loads(keys_file(output).read_text()) == {}


def test_what_is_there_already_is_not_lost(tmp_path: Path) -> None:
    output = write_board(tmp_path / "out.csv", board_row("precious"))
    other = write_board(tmp_path / "a.csv", board_row("a"))
    with pytest.raises(UserError, match=r"out.csv exists already and is none of the files"):
        merge_files([other], output)
    assert read_leaderboard(output)["model"].tolist() == ["precious"]


def test_a_file_that_is_missing_or_broken_changes_nothing(tmp_path: Path) -> None:
    good = write_board(tmp_path / "a.csv", board_row("a"))
    bad = write_board(tmp_path / "b.csv", board_row("b", 130))
    with pytest.raises(UserError, match="There is no leaderboard"):
        merge_files([good, tmp_path / "none.csv"], tmp_path / "out.csv")
    with pytest.raises(UserError, match=r"b.csv has a row that cannot be \(line 2"):
        merge_files([good, bad], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    good = write_board(tmp_path / "a.csv", board_row("a"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .* give another --output"):
        merge_files([good], tmp_path / "file" / "out.csv")
