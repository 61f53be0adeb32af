"""SIGKILL at chosen moments of a run, and the same command again: nothing is lost, doubled or asked again.

`python -m benchmarks.torture kills` does it a hundred times, at random.
"""

from __future__ import annotations

from pathlib import Path

from faults import rate
from judge_server import JudgeServer

from benchmarks.torture.kills import torture, undisturbed
from benchmarks.torture.session import Moment
from benchmarks.torture.workload import build

RESPONSES = 300
MOMENTS = (
    Moment("respond", "torn", 40, "tree"),  # of 90 choices
    Moment("respond", "answer", 200, "self"),
    Moment("respond", "fsync", 2, "main"),
    Moment("judge rating@served", "remembered", 7, "main"),
    Moment("judge harm", "torn", 50, "tree"),
    Moment("judge refusal", "line", 100, "self"),
    Moment("main", "draft", 1, "self", "scores.json"),
    Moment("main", "draft", 1, "self", "torture.csv"),
)


def test_a_run_that_was_killed_eight_times_is_as_if_nobody_had_touched_it(tmp_path: Path) -> None:
    """In the middle of a line, between an answer and its line, between write and rename, between the
    cache of verdicts and the run: of the command, the stage, or all at once."""
    workload, moments = build(tmp_path / "made", RESPONSES), iter(MOMENTS)
    with JudgeServer(rate) as server:
        command = workload.command(judge_url=server.url)
        reference = undisturbed(workload, tmp_path / "undisturbed", command)
        assert len(reference.whole.lines) == 300 + 90 + 30 + 135 + 270
        found = torture(
            workload,
            reference,
            tmp_path / "killed",
            command,
            kills=len(MOMENTS),
            choose=lambda now: next(moments),
        )
    assert found.faults() == []
    assert (found.kills, found.runs, found.missed) == (len(MOMENTS), 1, 0)
    assert found.drafts_left == []
