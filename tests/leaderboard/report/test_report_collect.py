"""What is read of a run: each response once, the last word of each judge, and nothing of other texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.made_runs import answer, write_run
from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.report.collect import TaskRows, collect
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, Verdict
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.said import ABSENT, LABELS, code_of

HARMFUL, BENIGN = "bfpo_advbench", "bfpo_xstest_safe"
REFUSED: Mapping[str, Any] = {"label": "refusal"}
ANSWERED: Mapping[str, Any] = {"label": "compliance"}


def run_of(folder: Path, *answers: tuple[Response, Mapping[str, Mapping[str, Any]]]) -> FinishedRun:
    return write_run(folder, "org/model", [HARMFUL, BENIGN], answers)


def outcomes(rows: TaskRows) -> list[str]:
    return [OUTCOMES[code] if code != ABSENT else "" for code in rows.outcomes]


def text(rows: TaskRows, place: int) -> bytes:
    """The line that the place is about."""
    start, length = rows.lines.offsets[place], rows.lines.lengths[place]
    return rows.lines.path.read_bytes()[start : start + length]


def test_rows_lie_by_document_and_sample_whatever_the_order_of_the_answers(tmp_path: Path) -> None:
    """Answers finish in any order; documents.parquet tells what became of each."""
    run = run_of(
        tmp_path,
        (answer(HARMFUL, 7, "?", "seven", sample=1), {"harm": {"label": "harmful"}}),
        (answer(BENIGN, 2, "?", "two"), {"refusal": REFUSED}),
        (answer(HARMFUL, 3, "?", "three"), {"harm": {"label": "harmless"}, "refusal": REFUSED}),
        (answer(HARMFUL, 7, "?", "seven", sample=0), {"harm": {"label": "unjudged"}}),
    )
    found = collect(run)
    assert list(found) == [HARMFUL, BENIGN]
    rows = found[HARMFUL]
    assert list(zip(rows.doc_ids.tolist(), rows.samples.tolist(), strict=True)) == [
        (3, 0),
        (7, 0),
        (7, 1),
    ]
    assert outcomes(rows) == ["safe", "unjudged", "complied"]
    assert rows.refused.tolist() == [1, ABSENT, ABSENT]
    assert rows.values[[0, 2]].tolist() == [100.0, 0.0]
    assert b'"three"' in text(rows, 0)
    assert b'"sample":1' in text(rows, 2)
    assert outcomes(found[BENIGN]) == ["over_refused"]


def test_the_last_verdict_on_the_text_that_is_stored(tmp_path: Path) -> None:
    told = answer(BENIGN, 0, "?", "Gladly.")
    run = run_of(tmp_path, (told, {"refusal": REFUSED}), (answer(BENIGN, 1, "?", "No."), {}))
    with Appender(run.folder.verdicts_file("refusal")) as file:
        file.append(Verdict(*told.key, told.text_hash, "compliance").dump())
        file.append(Verdict(*told.key, "0" * 16, "unjudged").dump())
        file.append(Verdict(BENIGN, 99, 0, "0" * 16, "unjudged").dump())
    said = collect(run)[BENIGN].said["refusal"]
    assert said.codes.tolist() == [code_of("compliance"), ABSENT]
    assert said.lines.lengths[1] == 0


def test_a_judge_without_a_verdict_on_a_task_has_no_say_there(tmp_path: Path) -> None:
    run = run_of(tmp_path, (answer(BENIGN, 0, "?", "Gladly."), {"refusal": ANSWERED}))
    rows = collect(run)[BENIGN]
    assert list(rows.said) == ["refusal"]
    assert [LABELS[code] for code in rows.said["refusal"].codes] == ["compliance"]


def test_a_response_stored_twice_counts_as_it_came_first(tmp_path: Path) -> None:
    first, again = answer(BENIGN, 0, "?", "first"), answer(BENIGN, 0, "?", "again")
    run = run_of(tmp_path, (first, {"refusal": ANSWERED}))
    with Appender(run.folder.responses_file) as file:
        file.append(again.dump())
    rows = collect(run)[BENIGN]
    assert len(rows) == 1
    assert b'"first"' in text(rows, 0)


def test_failures_of_the_engine_and_splits_of_judges(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        (answer(BENIGN, 0, "?", "", error="out of memory"), {}),
        (answer(BENIGN, 1, "?", "Well."), {"refusal": ANSWERED}),
    )
    run.folder.splits_file.write_text(
        f'{{"kind":"refusal","task":"{BENIGN}","doc_id":1,"sample":0,"labels":{{}}}}\n'
    )
    rows = collect(run)[BENIGN]
    assert rows.failed.tolist() == [True, False]
    assert rows.split.tolist() == [False, True]


def test_lines_without_a_hash_are_read_as_well(tmp_path: Path) -> None:
    """An earlier version stored responses without one; the verdict's is of the same text."""
    told = answer(BENIGN, 0, "?", "Gladly.")
    run = run_of(tmp_path, (told, {"refusal": ANSWERED}))
    run.folder.responses_file.unlink()
    with Appender(run.folder.responses_file) as file:
        file.append(dict(vars(answer(BENIGN, 0, "?", "Gladly."))))
    assert collect(run)[BENIGN].said["refusal"].codes.tolist() == [code_of("compliance")]


def test_responses_that_nobody_has_scored_since(tmp_path: Path) -> None:
    """A run that went on after its scores: what is new has no outcome."""
    run = run_of(tmp_path, (answer(BENIGN, 5, "?", "Gladly."), {"refusal": ANSWERED}))
    with Appender(run.folder.responses_file) as file:
        file.append(answer(BENIGN, 1, "?", "Later.").dump())
    assert outcomes(collect(run)[BENIGN]) == ["", "answered"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run = run_of(tmp_path, (answer(BENIGN, 0, "?", "Gladly."), {"refusal": ANSWERED}))
    lines = run.folder.responses_file.read_bytes().replace(b"Gladly", b"Sadly!")
    run.folder.responses_file.write_bytes(lines)
    with pytest.raises(UserError, match="line 1 has been changed"):
        collect(run)


def test_a_run_of_an_earlier_version_has_no_documents(tmp_path: Path) -> None:
    run = run_of(tmp_path, (answer(BENIGN, 0, "?", "Gladly."), {"refusal": ANSWERED}))
    run.folder.documents_file.unlink()
    with pytest.raises(UserError, match="give the run's command again"):
        collect(run)
