"""Generative classifiers: a model that writes its verdict, greedily, on one of our engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.engines.base import Failure, GenerationRequest
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.local import failed, loaded, prepare, read
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Report


def findings(
    work: Work, items: Sequence[Item], description: dict[str, Any], report: Report
) -> Iterator[tuple[int, Finding]]:
    """(position, finding) of every item: first of those that the judge cannot be asked about, then
    as the model finishes. No model is loaded where there is nothing to ask.

    Raises UserError for a model that cannot serve, before anything is judged.
    """
    asked = prepare(work, items)
    parse = work.judge.parse()
    yield from asked.unjudged
    if not asked.prompts:
        return
    budget = work.judge.spec.max_new_tokens
    requests = [GenerationRequest(prompt, budget) for _, prompt in asked.prompts]
    with loaded(work, asked.files, description, report) as engine:
        for number, generation in engine.generate(requests):
            if isinstance(generation, Failure):
                yield asked.prompts[number][0], failed(generation)
                continue
            raw = asked.tokenizer.decode(generation.tokens, skip_special_tokens=True)
            yield asked.prompts[number][0], read(work.judge, parse(raw), raw)
