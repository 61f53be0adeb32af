"""A run's answers, task by task, whatever the order in which its files hold them."""

from __future__ import annotations

import random
from pathlib import Path

from exchange_runs import BENIGN, HARMFUL, TASKS, finished_run
from generative_runs import response

from bfpo_bench.exchange.answers import Answers
from bfpo_bench.runs.jsonl import Appender


def test_each_task_has_its_own_though_lines_are_mixed_and_not_all_ascii(tmp_path: Path) -> None:
    """The lines of each file are shuffled, with an answer of three and four bytes a character among
    them: every answer and verdict is what the run's own readers give."""
    run = finished_run(tmp_path)
    with Appender(run.folder.responses_file) as file:
        file.append(response(BENIGN, 9, "谢谢 🙂 " * 50).dump())
    for path in (run.folder.responses_file, run.folder.verdicts_file("refusal")):
        lines = path.read_bytes().splitlines(keepends=True)
        random.Random(0).shuffle(lines)
        path.write_bytes(b"".join(lines))
    stored = Answers(run)
    found = [answer for task in TASKS for answer in stored.of(task)]
    told = {r.key: r for r in run.folder.responses()}
    assert {a.response.key: a.response for a in found} == told
    assert len(told) == len(found)
    refusals = {v.key: v.label for v in run.folder.verdicts("refusal")}
    assert {a.response.key: a.verdicts["refusal"].label for a in found if a.verdicts} == refusals
    assert [a.response.doc_id for a in stored.of(HARMFUL)] == [0, 1, 2, 3, 4]
    assert list(stored.of("a_task_that_was_not_asked")) == []
