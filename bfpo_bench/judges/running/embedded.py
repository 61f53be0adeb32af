"""Judges without a model to fetch: a function of the answer, called for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Report


def findings(
    work: Work, items: Sequence[Item], description: dict[str, Any], report: Report
) -> Iterator[tuple[int, Finding]]:
    """(position, finding) of every item, in order."""
    find = work.judge.finder()
    for position, item in enumerate(items):
        yield position, find(item)
