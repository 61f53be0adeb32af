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

RESPONSES = 100
MOMENTS = (
    Moment("respond", "torn", 12, "tree"),  # of 30 choices
    Moment("respond", "answer", 60, "self"),
    Moment("judge rating@served", "remembered", 7, "main"),
    Moment("judge refusal", "line", 50, "self"),
    Moment("main", "draft", 1, "self", "scores.json"),
)


def test_a_run_that_was_killed_five_times_is_as_if_nobody_had_touched_it(tmp_path: Path) -> None:
    """In the middle of a line, between an answer and its line, between write and rename, between the
    cache of verdicts and the run: of the command, the stage, or all at once."""
    workload, moments = build(tmp_path / "made", RESPONSES), iter(MOMENTS)
    with JudgeServer(rate) as server:
        command = workload.command(judge_url=server.url)
        reference = undisturbed(workload, tmp_path / "undisturbed", command)
        assert len(reference.whole.lines) == 100 + 30 + 10 + 45 + 90
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
