"""Chat completions as they go over the wire: the request's body, and the reply read strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bfpo_bench.api.faults import Transient
from bfpo_bench.api.key import Key
from bfpo_bench.judges.api.cost import Tokens, estimate_tokens
from bfpo_bench.judges.api.reply import Reply

_MOST_TOKENS = 1 << 40
"""More than any reply takes: a server that says so does not count."""


@dataclass(frozen=True)
class Decoding:
    """`model` as the server names it; `logprobs`: how many of the likeliest tokens to report.

    `temperature` None leaves it to the server; `limit` is the name under which `max_new_tokens` goes.
    """

    model: str
    max_new_tokens: int
    temperature: float | None = 0.0
    logprobs: int | None = None
    limit: str = "max_tokens"


def request_body(decoding: Decoding, text: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": decoding.model,
        "messages": [{"role": "user", "content": text}],
        decoding.limit: decoding.max_new_tokens,
    }
    if decoding.temperature is not None:
        body["temperature"] = decoding.temperature
    if decoding.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": decoding.logprobs}
    return body


def read_reply(payload: Any, text: str, key: Key) -> Reply:
    """The reply in a decoded body; `text` is what was asked, for servers that count no tokens.

    Raises Transient for a body that is no chat completion: an empty list of choices, an error in
    place of them, a part of another type than the API documents, or a message that is empty though
    it is said to be complete.
    """
    try:
        if "error" in payload and not payload.get("choices"):
            raise Transient(f"it replied with an error: {key.redact(str(payload['error']))[:300]}")
        if not payload["choices"]:
            raise Transient("it replied with no choice")
        choice = payload["choices"][0]
        said = _text(choice["message"].get("content"))
        refusal = choice["message"].get("refusal") or None
        logprobs = _first_logprobs(choice.get("logprobs"))
        finish = choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Transient("its reply is no chat completion") from error
    if finish in ("stop", None) and refusal is None and not said.strip():
        raise Transient("its reply is empty")
    counted = read_usage(payload)
    tokens = counted or Tokens(estimate_tokens(text), estimate_tokens(said))
    return Reply(
        text=key.redact(said),
        finish_reason=None if finish is None else str(finish),
        top_logprobs=logprobs,
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        refusal=None if refusal is None else key.redact(str(refusal)),
        counted=counted is not None,
    )


def _text(content: Any) -> str:
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _first_logprobs(logprobs: Any) -> Mapping[str, float] | None:
    """Token -> log-probability of the first position. A token that stands there twice (two ids with
    one text) has the likelihood of both."""
    content = (logprobs or {}).get("content")
    if not content or not content[0].get("top_logprobs"):
        return None
    found: dict[str, float] = {}
    for entry in content[0]["top_logprobs"]:
        token, value = entry["token"], float(entry["logprob"])
        if not isinstance(token, str) or math.isnan(value) or value > 1e-3:
            raise ValueError("no log-probability")
        found[token] = _either(found.get(token, -math.inf), value)
    return found


def _either(one: float, other: float) -> float:
    """log(exp(one) + exp(other)), also where both are too small for exp."""
    most = max(one, other)
    return most if math.isinf(most) else most + math.log1p(math.exp(min(one, other) - most))


def read_usage(payload: Any) -> Tokens | None:
    """What the server says a decoded body took; None where it does not, or not in whole numbers."""
    usage = payload.get("usage") if isinstance(payload, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    if 0 <= prompt < _MOST_TOKENS and 0 <= completion < _MOST_TOKENS:
        return Tokens(prompt, completion)
    return None
