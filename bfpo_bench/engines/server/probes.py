"""Tiny requests that show what an endpoint can do, and what its replies prove. No network in here.

A parameter that a server does not know is often ignored without a word: an ability counts only where
the reply shows it. What replies look like was read in vLLM 0.32 (`entrypoints/openai/completion`),
SGLang (`srt/entrypoints/openai/serving_completions.py`), llama.cpp's `tools/server` (which refuses
`echo`) and OpenAI's reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IDS = (40, 60, 50, 70, 80, 45, 90)
"""Tokens that the smallest vocabularies have. Any other prompt has another number of tokens."""
TEXT = "The colours of the rainbow are"
MESSAGES = ({"role": "user", "content": "Say hello."},)
_SEED = 20
_SAMPLED = {"max_tokens": 16, "temperature": 1.5, "seed": _SEED}

Body = dict[str, Any]


@dataclass(frozen=True)
class Card:
    """A model as GET /models lists it: its context in tokens, and whose server says so."""

    context: int | None
    owner: str


def completion(model: str, ids: Sequence[int], **more: Any) -> Body:
    """One greedy token after `ids`."""
    greedy = {"max_tokens": 1, "temperature": 0}
    return {"model": model, "prompt": list(ids), **greedy, **more}


def text_completion(model: str) -> Body:
    return {"model": model, "prompt": TEXT, "max_tokens": 1, "temperature": 0}


def id_completion(model: str, ids: Sequence[int], **more: Any) -> Body:
    """The same with the new token's id in the reply; `more` may name tokens to stop at."""
    return completion(model, ids, return_token_ids=True, ignore_eos=True, **more)


def echo_completion(model: str, ids: Sequence[int]) -> Body:
    return completion(model, ids, echo=True, logprobs=1)


def prompt_logprobs_completion(model: str, ids: Sequence[int]) -> Body:
    return completion(model, ids, prompt_logprobs=1)


def named_logprobs_completion(model: str, ids: Sequence[int]) -> Body:
    """The log-probabilities of two tokens, by id, after the others."""
    named = {"logprob_token_ids": list(ids[:2]), "return_tokens_as_token_ids": True}
    return completion(model, ids, logprobs=1, **named)


SWITCHED_OFF = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""The sampling that servers have defaults of."""
NONSENSE = {"min_p": 7.0, "repeat_last_n": -2}
"""A probability that no server takes which reads it. llama.cpp takes any, but reads the other number
with it and refuses that."""


def sampled_completion(model: str) -> Body:
    return {"model": model, "prompt": TEXT, **_SAMPLED}


def chat(model: str, limit: str = "max_tokens") -> Body:
    return {"model": model, "messages": list(MESSAGES), limit: 1}


def sampled_chat(model: str) -> Body:
    return {"model": model, "messages": [{"role": "user", "content": TEXT}], **_SAMPLED}


def cards(payload: Any) -> dict[str, Card] | None:
    """The models that GET /models lists, by name; None for a reply of another kind.

    vLLM and SGLang name a context as `max_model_len`, llama.cpp the training's in `meta`, which says
    nothing of what it serves.
    """
    data = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(data, list):
        return None
    found = {}
    for entry in data:
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), str):
            owner = entry.get("owned_by")
            found[entry["id"]] = Card(
                _count(entry.get("max_model_len")), owner if isinstance(owner, str) else ""
            )
    return found


def choice(payload: Any) -> Mapping[str, Any]:
    """The reply's first choice; empty where there is none."""
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


def completes(payload: Any) -> bool:
    return isinstance(choice(payload).get("text"), str)


def chats(payload: Any) -> bool:
    return isinstance(choice(payload).get("message"), Mapping)


def feeds(payload: Any, ids: Sequence[int]) -> bool:
    """Whether the prompt was these very tokens: repeated, or at least as many of them."""
    repeated = choice(payload).get("prompt_token_ids")
    if isinstance(repeated, list):
        return repeated == list(ids)
    usage = payload.get("usage") if isinstance(payload, Mapping) else None
    return isinstance(usage, Mapping) and _count(usage.get("prompt_tokens")) == len(ids)


def new_ids(payload: Any) -> tuple[int, ...]:
    """The new tokens' ids; empty where they are not told."""
    told = choice(payload).get("token_ids")
    if not isinstance(told, list) or any(type(i) is not int or i < 0 for i in told):
        return ()
    return tuple(told)


def stopped_at(payload: Any, token: int) -> bool:
    """Whether the response ended with this token, or before it."""
    ended = choice(payload).get("finish_reason") == "stop"
    return ended and choice(payload).get("token_ids") in ([token], [])


def echoes(payload: Any, ids: Sequence[int]) -> bool:
    """Whether the prompt's tokens stand before the new one, each but the first with a number: nothing
    stands before that one, and a number there would be another token's."""
    told = choice(payload).get("logprobs")
    values = told.get("token_logprobs") if isinstance(told, Mapping) else None
    if not isinstance(values, list) or len(values) not in (len(ids), len(ids) + 1):
        return False
    return values[0] is None and all(_is_logprob(value) for value in values[1 : len(ids)])


def tells_prompt(payload: Any, ids: Sequence[int]) -> bool:
    """Whether `prompt_logprobs` has the prompt's own tokens, each but the first with its number and
    its rank."""
    told = choice(payload).get("prompt_logprobs")
    if not isinstance(told, list) or len(told) != len(ids):
        return False
    for token, entry in zip(ids[1:], told[1:], strict=True):
        own = entry.get(str(token)) if isinstance(entry, Mapping) else None
        if not isinstance(own, Mapping) or not _is_logprob(own.get("logprob")):
            return False
        if _count(own.get("rank")) is None:
            return False
    return True


def tells_named(payload: Any, ids: Sequence[int]) -> bool:
    """Whether both named tokens have a number at the first new position."""
    told = choice(payload).get("logprobs")
    top = told.get("top_logprobs") if isinstance(told, Mapping) else None
    first = top[0] if isinstance(top, list) and top else None
    if not isinstance(first, Mapping):
        return False
    return all(_is_logprob(first.get(f"token_id:{token}")) for token in ids[:2])


def said(payload: Any) -> str:
    """The reply's text, of a completion or a chat."""
    message = choice(payload).get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice(payload).get("text")
    return text if isinstance(text, str) else ""


def _is_logprob(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value <= 1e-3


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
