"""The answers that judges of preferences compare with: another run's, or those of the data."""

from __future__ import annotations

from collections.abc import Mapping

from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Response


def baseline_answers(run: RunFolder) -> dict[tuple[str, int], str]:
    """(task, document) -> the first answer of another model's run, without its reasoning trace."""
    return {
        (r.task, r.doc_id): strip_reasoning(r.response, opened=r.reasoning_open).text
        for r in run.responses()
        if r.sample == 0
    }


def baseline_of(
    response: Response,
    answers: Mapping[tuple[str, int], str] | None,
    references: Mapping[str, str],
) -> str | None:
    """What the response is compared with; None where there is nothing.

    `answers` are another run's; without them `references` maps a task to the field of its documents
    that holds the answer.
    """
    if answers is not None:
        return answers.get((response.task, response.doc_id))
    if response.document is None or response.task not in references:
        return None
    found = response.document.get(references[response.task])
    return None if found is None else str(found)
