"""The answers that judges of preferences compare with: another run's, or those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Response

CUT_OFF = Finding("unjudged", error="the baseline's reasoning trace was cut off before an answer")


@dataclass(frozen=True)
class Reference:
    """Another run's answer: the prompt that it answers, and its text without the reasoning trace; None
    where that was cut off."""

    prompt: str
    answer: str | None


def baseline_answers(run: RunFolder) -> dict[tuple[str, int], Reference]:
    """(task, document) -> the first answer of another model's run."""
    return {
        (r.task, r.doc_id): Reference(
            r.messages[-1]["content"], finished(r.response, r.reasoning_open)
        )
        for r in run.responses()
        if r.sample == 0 and r.error is None
    }


def finished(response: str, reasoning_open: bool = False) -> str | None:
    """A response without its reasoning trace; None where that was cut off before an answer."""
    answer = strip_reasoning(response, opened=reasoning_open)
    return answer.text if answer.complete else None


def baseline_of(
    response: Response,
    answers: Mapping[tuple[str, int], Reference] | None,
    references: Mapping[str, str],
) -> str | Finding:
    """What the response is compared with; a finding that says why where there is nothing.

    `answers` are another run's; without them `references` maps a task to the field of its documents
    that holds the answer. An empty answer is compared as it is.
    """
    if answers is not None:
        other = answers.get((response.task, response.doc_id))
        if other is None:
            return Finding("unjudged", error="the baseline has no answer to this document")
        if other.prompt != response.messages[-1]["content"]:
            return Finding("unjudged", error="the baseline was asked something else")
        return CUT_OFF if other.answer is None else other.answer
    field = references.get(response.task)
    found = (response.document or {}).get(field) if field is not None else None
    if found is None:
        return Finding("unjudged", error="there is no answer to compare with")
    return str(found)
