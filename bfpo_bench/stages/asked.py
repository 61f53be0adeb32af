"""Generative requests: from a task's documents to token ids or messages, and what is kept of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.defences.defence import Defence, Messages
from bfpo_bench.engines.base import GenerationRequest
from bfpo_bench.engines.tokens import Prompt, fit, render, request_seed, takes_system
from bfpo_bench.errors import UserError
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.levels import Levels, with_levels
from bfpo_bench.suite.documents import LoadedTask
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class Asked:
    """A generative request with all that its stored response will say. `started` is the text that the
    prompt's last tokens put into the model's mouth."""

    task: str
    doc_id: int
    messages: list[dict[str, str]]
    request: GenerationRequest
    cut: int
    capped: bool
    reasoning_open: bool
    until: tuple[str, ...] = ()
    document: dict[str, Any] | None = None
    started: str | None = None


@dataclass(frozen=True)
class Asking:
    """How prompts become requests: `context` in tokens, `seed` the run's, `defence` what is put around
    them, `levels` those that are asked for. Of the two there is one at most."""

    suite: Suite
    seed: int
    chat_template: bool
    context: int
    defence: Defence | None = None
    levels: Levels | None = None

    def conversation(self, tokenizer: Any) -> Callable[[Messages], Messages]:
        """From the user's messages to those that the subject is asked."""
        if self.levels is not None:
            levels = self.levels
            return lambda messages: with_levels(messages, levels)
        if self.defence is None:
            return lambda messages: messages
        defence, system = self.defence, takes_system(tokenizer, self.chat_template)
        return lambda messages: defence.conversation(messages, system)


def generative_requests(how: Asking, tokenizer: Any, tasks: Sequence[LoadedTask]) -> list[Asked]:
    """One request for each chosen document of the tasks, in order.

    Without a `tokenizer`, which is a hosted model's case, its messages go out as they are: how long
    they are is not known here, so nothing is cut or capped.
    """
    asked = []
    system, sent = how.suite.system_prompt, how.conversation(tokenizer)
    for loaded in tasks:
        spec = loaded.spec
        name, decoding = spec.name, how.suite.decoding_of(spec.name)
        chosen = zip(loaded.doc_ids, loaded.documents(), loaded.prompts, strict=True)
        for doc_id, document, text in chosen:
            messages = [{"role": "user", "content": text}]
            if system is not None:
                messages.insert(0, {"role": "system", "content": system})
            prompt, opened = Prompt((), decoding.max_new_tokens, 0, False), False
            started: list[int] = []
            if tokenizer is not None:
                rendered = render(tokenizer, sent(messages), how.chat_template)
                opened = rendered.reasoning_open
                started = start_of_answer(spec, document, tokenizer, opened)
                prompt = fit([*rendered.tokens, *started], decoding.max_new_tokens, how.context)
                if started and len(prompt.tokens) <= len(started):
                    raise UserError(
                        f"A context of {how.context} tokens has no room for a prompt beside the "
                        f"{len(started)} that its answer is started with: leave the task out with "
                        "--tasks, or take a suite with more context."
                    )
            request = GenerationRequest(
                prompt.tokens,
                prompt.max_new_tokens,
                decoding.temperature,
                decoding.top_p,
                request_seed(how.seed, name, doc_id, 0),
                messages=tuple(sent(messages)) if tokenizer is None else (),
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
                    tokenizer.decode(started, skip_special_tokens=True) if started else None,
                )
            )
    return asked


def start_of_answer(
    spec: TaskSpec, document: Mapping[str, Any], tokenizer: Any, opened: bool
) -> list[int]:
    """The tokens that the answer begins with before the model has said anything; [] for most tasks.

    They are the first ones of the text's own, and follow the prompt's last token. Raises UserError
    for a text that is none, and where the prompt itself has `opened` a reasoning trace: what follows
    there is no answer.
    """
    if spec.started_with is None or not spec.started_with.tokens:
        return []
    field, count = spec.started_with.field, spec.started_with.tokens
    text = document[field]
    if not isinstance(text, str) or not text.strip():
        raise UserError(
            f"The field {field} of a document, which its answer is started with, is no text or an "
            "empty one: mend the data or the metadata key `started_with`."
        )
    if opened:
        raise UserError(
            "The model's chat template opens a reasoning trace, inside of which no answer can be "
            "started: leave the task out with --tasks."
        )
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids[:count]


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
