"""What an engine has given, counted: every request once; and what a respond stage has done, from what is
stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.suite.documents import LoadedTask

T = TypeVar("T")


def each_once(results: Iterable[tuple[int, T]], total: int) -> Iterator[tuple[int, T]]:
    """The results of requests 0 to `total` - 1 as they come.

    Raises RuntimeError for an engine that gives one twice, or not all of them: a run with a hole in it
    would pass for a whole one.
    """
    seen = bytearray(total)
    for position, result in results:
        if seen[position]:
            raise RuntimeError(f"the engine answered request {position} of {total} twice")
        seen[position] = 1
        yield position, result
    if lacking := total - sum(seen):
        raise RuntimeError(f"the engine gave no result for {lacking} of {total} requests")


def counted(
    run: RunFolder, loaded: Sequence[LoadedTask], resumed: Counter[str]
) -> dict[str, dict[str, int]]:
    """Task -> what it has of each kind: see `RespondResult`. `resumed`: how much was there before."""
    counts: dict[str, Counter[str]] = {
        t.spec.name: Counter(documents=len(t.doc_ids)) for t in loaded
    }
    for name, count in counts.items():
        count["done_before"] = resumed[name]
    for likelihood in run.likelihoods():
        if likelihood.task in counts:
            counts[likelihood.task].update(requests=1, prompts_cut=int(likelihood.cut > 0))
    for response in run.responses():
        if response.task in counts:
            counts[response.task].update(
                requests=1,
                prompts_cut=int(response.prompt_cut > 0),
                answers_capped=int(response.capped),
                answers_empty=int(not response.response.strip() and response.error is None),
                failed=int(response.error is not None),
                faults=int(response.fault),
                response_tokens=response.response_tokens or 0,
                tokens_untold=int(response.response_tokens is None),
            )
    return {name: dict(count) for name, count in counts.items()}
