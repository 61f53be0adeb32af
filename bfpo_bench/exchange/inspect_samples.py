"""A run's answers and choices as samples of Inspect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bfpo_bench.exchange.answers import Answer, Answers
from bfpo_bench.exchange.private import without_places, without_places_in
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.records import Verdict
from bfpo_bench.scoring.finished import FinishedRun

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample
    from inspect_ai.scorer import Score

OUTCOME = "outcome"
"""The score of a generative sample that the task's own is the mean of; beside it one a judge."""


def answer_samples(stored: Answers, task: str) -> Iterator[EvalSample]:
    """One sample an answer, with its outcome and what each judge says of it as scores."""
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage

    for answer in stored.of(task):
        told = answer.response
        output = ModelOutput.from_content(
            stored.run.scores.model,
            told.response,
            "max_tokens" if told.finish_reason == "length" else "stop",
        )
        if told.prompt_tokens is not None and told.response_tokens is not None:
            output.usage = ModelUsage(
                input_tokens=told.prompt_tokens,
                output_tokens=told.response_tokens,
                total_tokens=told.prompt_tokens + told.response_tokens,
            )
        messages = [_message(m) for m in told.conversation]
        error = None
        if told.error is not None:
            error = EvalError(message=without_places(told.error), traceback="", traceback_ansi="")
        yield EvalSample(
            id=told.doc_id,
            epoch=told.sample + 1,
            input=messages,
            target="",
            messages=[*messages, output.message],
            output=output,
            scores=_scores(answer),
            metadata={
                "outcome": answer.outcome,
                "refused": answer.refused,
                "points": answer.points,
                "engine": told.engine,
                "seed": str(told.seed),
                "prompt_cut": told.prompt_cut,
                "capped": told.capped,
            },
            error=error,
        )


def _message(message: Mapping[str, str]) -> Any:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds: dict[str, Any] = {"system": ChatMessageSystem, "assistant": ChatMessageAssistant}
    return kinds.get(message["role"], ChatMessageUser)(content=message["content"])


def _scores(answer: Answer) -> dict[str, Score]:
    from inspect_ai.scorer import Score

    about = {"refused": answer.refused, "points": answer.points}
    if answer.points is None:
        outcome = Score.unscored(reason="unjudged", answer=answer.outcome, metadata=about)
    else:
        outcome = Score(value=answer.points / 100, answer=answer.outcome, metadata=about)
    return {OUTCOME: outcome} | {without_places(j): _said(v) for j, v in answer.verdicts.items()}


def _said(verdict: Verdict) -> Score:
    from inspect_ai.scorer import Score

    return Score(
        value=verdict.label,
        explanation=without_places(verdict.error) if verdict.error else verdict.raw,
        metadata={"score": verdict.score, "answers": verdict.answers},
    )


def choice_samples(run: FinishedRun, task: str) -> Iterator[EvalSample]:
    """One sample a document: its context, the continuations as choices, and of these the likeliest as
    the output. Where the contexts differ they stand in the choices, and the input is empty.

    The score is the task's metric for the document, 0 to 1; log-likelihoods in nats are in the
    metadata.
    """
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    metric = run.scores.tasks[task].raw_metric
    for line in jsonl.read(run.folder.samples_file(task)):
        pairs = [(str(a[0]), str(a[1])) for a in line["arguments"]]
        contexts = {context for context, _ in pairs}
        together = len(contexts) == 1
        choices = [
            continuation if together else context + continuation for context, continuation in pairs
        ]
        likelihoods = [float(_first(r)) for r in line["filtered_resps"]]
        best = max(range(len(choices)), key=likelihoods.__getitem__)
        yield EvalSample(
            id=line["doc_id"],
            epoch=1,
            input=contexts.pop() if together else "",
            choices=choices,
            target=_text(line["target"]),
            output=ModelOutput.from_content(run.scores.model, choices[best]),
            scores={metric: Score(value=float(line[metric]), answer=choices[best])},
            metadata=without_places_in(
                {"loglikelihoods": likelihoods, "doc_hash": line.get("doc_hash")}
            ),
        )


def _first(response: Any) -> Any:
    return response[0] if isinstance(response, list | tuple) else response


def _text(target: Any) -> str:
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)
