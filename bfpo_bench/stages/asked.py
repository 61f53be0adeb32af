"""Generative requests: from a task's documents to token ids or messages, and what is kept of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.base import GenerationRequest
from bfpo_bench.engines.tokens import Prompt, fit, render, request_seed
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.suite.documents import LoadedTask
from bfpo_bench.suite.suites import Suite


@dataclass(frozen=True)
class Asked:
    """A generative request with all that its stored response will say."""

    task: str
    doc_id: int
    messages: list[dict[str, str]]
    request: GenerationRequest
    cut: int
    capped: bool
    reasoning_open: bool
    until: tuple[str, ...] = ()
    document: dict[str, Any] | None = None


@dataclass(frozen=True)
class Asking:
    """How prompts become requests: `context` in tokens, `seed` the run's."""

    suite: Suite
    seed: int
    chat_template: bool
    context: int


def generative_requests(how: Asking, tokenizer: Any, tasks: Sequence[LoadedTask]) -> list[Asked]:
    """One request for each chosen document of the tasks, in order.

    Without a `tokenizer`, which is a hosted model's case, its messages go out as they are: how long
    they are is not known here, so nothing is cut or capped.
    """
    asked = []
    system = how.suite.system_prompt
    for loaded in tasks:
        spec = loaded.spec
        name, decoding = spec.name, how.suite.decoding_of(spec.name)
        chosen = zip(loaded.doc_ids, loaded.documents(), loaded.prompts, strict=True)
        for doc_id, document, text in chosen:
            messages = [{"role": "user", "content": text}]
            if system is not None:
                messages.insert(0, {"role": "system", "content": system})
            prompt, opened = Prompt((), decoding.max_new_tokens, 0, False), False
            if tokenizer is not None:
                rendered = render(tokenizer, messages, how.chat_template)
                prompt = fit(rendered.tokens, decoding.max_new_tokens, how.context)
                opened = rendered.reasoning_open
            request = GenerationRequest(
                prompt.tokens,
                prompt.max_new_tokens,
                decoding.temperature,
                decoding.top_p,
                request_seed(how.seed, name, doc_id, 0),
                messages=tuple(messages) if tokenizer is None else (),
            )
            asked.append(
                Asked(
                    name,
                    doc_id,
                    messages,
                    request,
                    prompt.cut,
                    prompt.capped,
                    opened,
                    spec.until,
                    {field: document[field] for field in spec.keep} if spec.keep else None,
                )
            )
    return asked


def ended(response: str, until: Sequence[str], opened: bool) -> str:
    """The response up to the first of the stop strings, as lm-eval cuts it.

    Only the answer is cut: a reasoning trace may hold the string and goes on, and one that reached no
    answer stays whole. `opened`: the prompt itself had opened the trace.
    """
    if not until:
        return response
    answer = strip_reasoning(response, opened=opened)
    if not answer.complete:
        return response
    start = response.rfind(answer.text) if answer.trace else 0
    ends = [at for stop in until if (at := response.find(stop, max(start, 0))) >= 0]
    return response[: min(ends)] if ends else response
