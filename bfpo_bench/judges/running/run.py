"""Run one judge over items, whichever engine it needs, and judge nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from bfpo_bench.cache import default_cache
from bfpo_bench.judges.cache import open_cache
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.work import Work
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.progress import Progress, Report

Runner = Callable[[Work, Sequence[Item], dict[str, Any], Report], Iterator[tuple[int, Finding]]]


def findings(
    work: Work,
    items: Sequence[Item],
    memory: str | None,
    description: dict[str, Any],
    report: Report,
) -> Iterator[tuple[int, Finding]]:
    """(position in `items`, finding) as they are made; equal items are judged once.

    `memory` is the hash of all that the judge's findings depend on: what is remembered under it is
    not asked again; None remembers nothing. `description` is filled with what served the judge
    (device, versions, tokens, cost) and with how many findings were `remembered`.
    """
    items = [shown(work.judge.spec, item) for item in items]
    places: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        places.setdefault(item.sha256, []).append(position)
    cache = open_cache(default_cache() / "verdicts.sqlite", memory) if memory else nullcontext()
    done = 0
    with cache as remembered:
        known = remembered.known(places) if remembered else {}
        description["remembered"] = sum(len(places[sha]) for sha in known)
        for sha, finding in known.items():
            yield from ((position, finding) for position in places[sha])
        lacking = [sha for sha in places if sha not in known]
        if not lacking:
            return
        asked = [items[places[sha][0]] for sha in lacking]
        for number, finding in _runner(work)(work, asked, description, report):
            sha = lacking[number]
            if remembered:
                remembered.add(sha, finding)
            yield from ((position, finding) for position in places[sha])
            done += 1
            report(Progress("verdicts", done, len(asked)))


def shown(spec: JudgeSpec, item: Item) -> Item:
    """The item with nothing in it that this judge does not read: texts that are the same to it are
    judged once."""
    document = item.document
    if document is not None and not spec.document:
        document = {k: document[k] for k in sorted(spec.document_fields) if k in document} or None
    baseline = item.baseline if spec.kind == "preference" else None
    return replace(item, document=document, baseline=baseline)


def _runner(work: Work) -> Runner:
    """The findings of that engine's judges; only the module of that engine is imported."""
    engine = work.judge.spec.engine
    if engine == "generate":
        from bfpo_bench.judges.running.generative import findings as generated

        return generated
    if engine == "choice":
        from bfpo_bench.judges.running.choices import findings as chosen

        return chosen
    if engine == "score":
        from bfpo_bench.judges.running.scores import findings as scored

        return scored
    if engine == "api":
        from bfpo_bench.judges.running.api import findings as asked

        return asked
    from bfpo_bench.judges.running.embedded import findings as embedded

    return embedded
