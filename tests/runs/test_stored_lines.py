"""Stored lines in order, by where they lie: nothing of them is changed, lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards import append, likelihoods, response, verdict

from bfpo_bench.errors import UserError
from bfpo_bench.runs.lines import (
    LikelihoodLine,
    Lines,
    ResponseLine,
    VerdictLine,
    equal,
    joined,
    read_lines,
)

TASKS = {"talk": 0, "chat": 1}


def answers(path: Path) -> Lines:
    return read_lines(path, ResponseLine, TASKS)


@given(
    ids=st.sets(st.tuples(st.sampled_from(["talk", "chat"]), st.integers(0, 10**9)), max_size=20),
    files=st.integers(1, 4),
    data=st.data(),
)
def test_files_in_any_order_become_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory,
    ids: set[tuple[str, int]],
    files: int,
    data: st.DataObject,
) -> None:
    """However the lines were dealt out and mixed: by task, and then by document."""
    folder = tmp_path_factory.mktemp("lines")
    places = {"talk": 0, "chat": 1}
    ordered = sorted(ids, key=lambda one: (places[one[0]], one[1]))
    append(folder / "whole", [response(i, f"ü{i}\n", task) for task, i in ordered])
    mixed = data.draw(st.permutations(ordered))
    for number in range(files):
        append(folder / str(number), [response(i, f"ü{i}\n", t) for t, i in mixed[number::files]])
    found = joined([answers(folder / str(n)).once(last=False) for n in range(files)])
    assert b"".join(found) == (folder / "whole").read_bytes()
    assert equal(found, answers(folder / "whole"))


def test_of_lines_with_one_key_the_first_or_the_last(tmp_path: Path) -> None:
    file = tmp_path / "responses.jsonl"
    append(file, [response(1, "one"), response(0), response(1, "two")])
    first, last = answers(file).once(last=False), answers(file).once(last=True)
    assert [b'"one"' in line for line in first] == [False, True]
    assert [b'"two"' in line for line in last] == [False, True]


def test_verdicts_count_for_the_text_that_they_are_on(tmp_path: Path) -> None:
    """Document 0 was answered anew, 7 is not there; on document 1 the last word counts."""
    now, other, gone = [response(0, "now"), response(1)], response(0, "before"), response(7)
    append(tmp_path / "responses", now)
    said = [verdict(other), verdict(now[1], "compliance"), verdict(gone), verdict(now[1])]
    append(tmp_path / "verdicts", said)
    mine = answers(tmp_path / "responses")
    found = read_lines(tmp_path / "verdicts", VerdictLine, TASKS).matching(mine)
    assert [b'"label":"refusal"' in line for line in found] == [True]
    assert found.documents().tolist() == [1]


def test_lines_of_one_task(tmp_path: Path) -> None:
    file = tmp_path / "choices"
    append(file, [one for i in (4, 2) for one in likelihoods(i, "chat")])
    found = read_lines(file, LikelihoodLine, TASKS).once(last=True)
    assert len(found.task(0)) == 0
    assert found.task(1).documents().tolist() == [2, 4]
    assert len(found.task(1)) == 4


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    found = answers(tmp_path / "nothing")
    assert list(joined([found, found]).once(last=True)) == []
    assert list(found.matching(found)) == []


def test_other_lines_of_the_same_keys_are_not_equal(tmp_path: Path) -> None:
    append(tmp_path / "a", [response(0, "yes")])
    append(tmp_path / "b", [response(0, "noo")])
    append(tmp_path / "c", [response(0, "yes"), response(1)])
    one = answers(tmp_path / "a")
    assert equal(one, one)
    assert not equal(one, answers(tmp_path / "b"))
    assert not equal(one, answers(tmp_path / "c"))


@pytest.mark.parametrize("name", ["\x1b[31mred", "other", ""])
def test_a_line_of_a_task_that_the_run_does_not_have(tmp_path: Path, name: str) -> None:
    append(tmp_path / "a", [response(0, task=name)])
    with pytest.raises(UserError, match="is no task of its run") as error:
        answers(tmp_path / "a")
    assert "\x1b" not in str(error.value)


def test_a_document_that_no_number_holds(tmp_path: Path) -> None:
    append(tmp_path / "a", [response(1 << 60)])
    with pytest.raises(UserError, match="a, line 1 does not hold what it should"):
        answers(tmp_path / "a")


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    append(tmp_path / "a", [response(0), response(1)])
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[:-20])
    assert answers(tmp_path / "a").documents().tolist() == [0]
