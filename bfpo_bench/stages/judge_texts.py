"""The judge stage for texts that belong to no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.run import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Report


@dataclass(frozen=True)
class TextsJob:
    """`memory` is the hash of all that the judge's findings depend on, or None."""

    work: Work
    items: tuple[Item, ...]
    memory: str | None = None


@dataclass(frozen=True)
class TextsResult:
    """`findings` in the order of the items; `engine` describes what served the judge."""

    findings: list[Finding]
    engine: dict[str, Any]


def judge_items(job: TextsJob, report: Report) -> TextsResult:
    """A finding for every item."""
    description: dict[str, Any] = {}
    found = dict(findings(job.work, job.items, job.memory, description, report))
    return TextsResult([found[i] for i in range(len(job.items))], description)
