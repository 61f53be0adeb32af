"""Completions as they go over the wire: the body of a request, and its reply read strictly.

Written after vLLM 0.32 (`entrypoints/openai/completion/protocol.py`), SGLang
(`srt/entrypoints/openai/protocol.py`), llama.cpp's `tools/server` and OpenAI's reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from bfpo_bench.api.adapting import LIMIT, NEWER_LIMIT, not_taken
from bfpo_bench.api.faults import Failure, Transient, Unanswered
from bfpo_bench.api.key import Key
from bfpo_bench.engines.base import FinishReason, Generation, GenerationRequest, Told
from bfpo_bench.engines.server.capabilities import Capabilities

T = TypeVar("T")
Body = dict[str, Any]

OPTIONAL = (
    *("top_p", "seed", "top_k", "min_p", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty", "repeat_penalty", "temperature"),
)
"""Parameters that a request can do without, though another answer may come of it."""
_SWITCHED_OFF = {
    **{"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    **{"presence_penalty": 0.0, "frequency_penalty": 0.0},
}
"""What a model's generation_config.json, or the server itself, may have other defaults of: llama.cpp's
are a top_k of 40 and a min_p of 0.05, and it takes -1 for no limit, as vLLM does."""
_LLAMA_CPP = "llamacpp"
_ITS_OWN = {"repeat_penalty": 1.0}
"""llama.cpp's name for the repetition penalty."""


@dataclass(frozen=True)
class Got(Generic[T]):
    """What a reply says, and how many tokens it took to compute, for measuring throughput."""

    value: T
    tokens: int


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class _Message(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None


class Reply(msgspec.Struct, Generic[T]):
    """A body with choices of type T. `error` stands in their place where there is one."""

    choices: list[T] = []
    usage: _Usage | None = None
    error: Any = None

    def prompt_tokens(self) -> int | None:
        return self.usage.prompt_tokens if self.usage else None

    def new_tokens(self, text: str) -> int | None:
        """None where it is not told: of a text that is there, 0 is no count."""
        told = self.usage.completion_tokens if self.usage else None
        return None if text and not told else told

    def computed(self, text: str) -> int | None:
        """The same with hidden reasoning, which some hosted models count in the total alone."""
        new, usage = self.new_tokens(text), self.usage
        if new is None or usage is None or not usage.total_tokens or not usage.prompt_tokens:
            return new
        return max(new, usage.total_tokens - usage.prompt_tokens)


_GENERATED = msgspec.json.Decoder(Reply[_Choice])


def greedy(capabilities: Capabilities, prompt: Sequence[int], max_tokens: int) -> Body:
    """Continue `prompt` as the weights alone would have it."""
    return {
        "model": capabilities.name,
        "prompt": list(prompt),
        LIMIT: max_tokens,
        "temperature": 0.0,
        **(_switched_off(capabilities) if capabilities.sampling_switches else {}),
    }


def _switched_off(capabilities: Capabilities) -> Body:
    is_llama_cpp = (capabilities.software or "").startswith(_LLAMA_CPP)
    return {**_SWITCHED_OFF, **(_ITS_OWN if is_llama_cpp else {})}


def generation_body(
    capabilities: Capabilities, request: GenerationRequest, stop: Sequence[int]
) -> Body:
    """For /chat/completions where the request has messages, else for /completions."""
    body = greedy(capabilities, request.prompt, request.max_new_tokens)
    body["temperature"] = request.temperature
    if request.temperature or capabilities.sampling_switches:
        # Also where it is 1: llama.cpp's own default is 0.95
        body["top_p"] = request.top_p if request.temperature else 1.0
    if request.temperature:
        body["seed"] = request.seed
    if request.messages:
        del body["prompt"]
        return body | {"messages": [dict(message) for message in request.messages]}
    if capabilities.token_ids:
        body["return_token_ids"] = True
    if capabilities.stop_token_ids:
        body["stop_token_ids"] = list(stop)
    return body


def decoded(content: bytes, decoder: msgspec.json.Decoder[Reply[T]], key: Key) -> Reply[T]:
    """Raises Transient for a body that is no completion: empty, cut, an error, without a choice."""
    try:
        reply = decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Transient("its reply is no completion") from None
    if not reply.choices:
        if reply.error is not None:
            raise Transient(f"it replied with an error: {key.redact(str(reply.error))[:300]}")
        raise Transient("it replied with no choice")
    return reply


def check_fed(reply: Reply[Any], fed: int) -> None:
    """Raises Unanswered where another number of tokens went into the model than it was given."""
    told = reply.prompt_tokens()
    if told is not None and told != fed:
        raise Unanswered(
            f"the server fed {told} tokens where it was given {fed}: take one that feeds token ids as "
            "they are",
            fault=True,
        )


def read_generation(
    content: bytes, request: GenerationRequest, stop: Sequence[int], key: Key
) -> Got[Generation]:
    """Raises Transient where asking again may help, Unanswered where the server withholds an answer."""
    reply = decoded(content, _GENERATED, key)
    choice = reply.choices[0]
    finish = _finish(choice.finish_reason)
    if request.messages and choice.message is not None:
        text = _said(choice.message, finish)
    elif choice.text is not None and not request.messages:
        check_fed(reply, len(request.prompt))
        text = choice.text
    else:
        raise Transient("its reply is no completion")
    if finish == "length":
        _check_whole(reply.computed(text), choice, request.max_new_tokens)
    if choice.token_ids is not None and not request.messages:
        given = _ended(choice.token_ids, stop, finish)
        return Got(given, len(choice.token_ids) + 1)
    prompt, new = reply.prompt_tokens() or len(request.prompt) or None, reply.new_tokens(text)
    return Got(Generation((), finish, Told(key.redact(text), prompt, new)), (new or 0) + 1)


def _finish(reason: str | None) -> FinishReason:
    if reason == "stop":
        return "stop"
    if reason == "length":
        return "length"
    if reason == "content_filter":
        raise Unanswered("the server withheld the answer (content_filter)", fault=False)
    raise Transient(f"it ended the answer with {reason!r:.40}")


def _check_whole(counted: int | None, choice: _Choice, most: int) -> None:
    """Raises Unanswered for an answer that a limit of the server's own has cut before the request's.
    `counted`: its tokens, as the server has them."""
    told = counted if choice.token_ids is None else len(choice.token_ids)
    if told is not None and told < most:
        raise Unanswered(
            f"the server cut the answer after {told} of {most} tokens: give it a longer context, or "
            "lift its limit on new tokens",
            fault=True,
        )


def _ended(tokens: Sequence[int], stop: Sequence[int], finish: FinishReason) -> Generation:
    end = next((i for i, token in enumerate(tokens) if token in stop), None)
    return (
        Generation(tuple(tokens), finish)
        if end is None
        else Generation(tuple(tokens[:end]), "stop")
    )


def _said(message: _Message, finish: FinishReason) -> str:
    """Reasoning, which some servers take out of the answer, stands before it again, in tags.

    Without an answer after it a trace that was cut off stays open.
    """
    content = message.content or ""
    if not isinstance(content, str):
        content = "".join(str(p.get("text", "")) for p in content if p.get("type") == "text")
    answer = content or message.refusal or ""
    trace = message.reasoning_content or message.reasoning
    if not trace:
        return answer
    if not answer and finish == "length":
        return f"<think>\n{trace}"
    return f"<think>\n{trace}\n</think>\n\n{answer}"


@dataclass(frozen=True)
class Form:
    """How a server wants requests: what its limit on new tokens is called, and what it does not take."""

    limit: str = LIMIT
    left_out: tuple[str, ...] = ()

    def of(self, body: Body) -> Body:
        shaped = {k: v for k, v in body.items() if k not in self.left_out}
        if self.limit != LIMIT:
            shaped[self.limit] = shaped.pop(LIMIT)
        return shaped

    def after(self, failure: Failure, sent: Body) -> Form:
        """The form that the server would take, from what it says; the same where that is no help."""
        name = not_taken(failure, [n for n in (LIMIT, *OPTIONAL) if n in sent])
        if name is None:
            return self
        if name == LIMIT:
            return Form(NEWER_LIMIT, self.left_out)
        return Form(self.limit, (*self.left_out, name))
