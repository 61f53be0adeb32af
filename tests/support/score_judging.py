"""Score judges on models made on the spot, planned and run as the judge stage does."""

from __future__ import annotations

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.scores import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.judging import JudgeOptions, plan_judge


def work_of(asked: str) -> Work:
    return plan_judge(asked, JudgeOptions(engine="transformers")).work({})


def judged(work: Work, *items: Item) -> list[Finding]:
    """In the order asked."""
    found = dict(findings(work, items, {}, lambda _: None))
    assert sorted(found) == list(range(len(items)))
    return [found[i] for i in range(len(items))]
