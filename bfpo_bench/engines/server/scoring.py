"""Log-likelihoods over the wire: what a server is asked for, and what its reply adds up to.

vLLM names the log-probabilities of given tokens (`logprob_token_ids`), so it gets the very steps that
the vLLM engine takes (see `vllm_scoring`), which share a context's cache. Of other servers the whole
text is asked back with its log-probabilities, one request for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from bfpo_bench.api.faults import Transient, Unanswered
from bfpo_bench.api.key import Key
from bfpo_bench.engines.base import Likelihood, ScoringRequest, check_finite
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.wire import Body, Got, Reply, check_fed, decoded, greedy
from bfpo_bench.engines.vllm_scoring import Step, StepAnswer


class _Logprob(msgspec.Struct):
    logprob: float
    rank: int | None = None


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    prompt_logprobs: list[dict[str, _Logprob] | None] | None = None


_CLAMPED = -9999.0
_SCORED = msgspec.json.Decoder(Reply[_Choice])


def step_body(capabilities: Capabilities, step: Step) -> Body:
    """The log-probabilities of the step's options, and of the most likely token, after its prompt."""
    body = greedy(capabilities, step.prompt, 1) | {
        "logprobs": 0,
        "logprob_token_ids": list(step.options),
        "return_tokens_as_token_ids": True,
        "return_token_ids": True,
        "ignore_eos": True,
    }
    return body | {"prompt_logprobs": 0} if step.scored else body


def read_step(content: bytes, step: Step, key: Key) -> Got[StepAnswer]:
    """Raises Transient for a reply without the numbers, Unanswered for one about other tokens."""
    reply = decoded(content, _SCORED, key)
    check_fed(reply, len(step.prompt))
    choice = reply.choices[0]
    try:
        assert choice.logprobs is not None
        assert choice.logprobs.top_logprobs is not None
        assert choice.token_ids is not None
        after = choice.logprobs.top_logprobs[0] or {}
        logprobs = {option: _nats(after[f"token_id:{option}"]) for option in step.options}
        best = choice.token_ids[0]
    except (AssertionError, LookupError):
        raise Transient("its reply lacks log-probabilities") from None
    total, is_greedy = _inside(choice, step.prompt, step.scored)
    return Got(StepAnswer(logprobs, best, total, is_greedy), len(step.prompt))


def whole_body(capabilities: Capabilities, request: ScoringRequest) -> Body:
    """All the tokens with their log-probabilities. A new one is asked for, which SGLang insists on."""
    body = greedy(capabilities, request.tokens, 1)
    if capabilities.prompt_logprobs:
        return body | {"prompt_logprobs": 0}
    return body | {"echo": True, "logprobs": 1}


def read_whole(content: bytes, request: ScoringRequest, key: Key) -> Got[Likelihood]:
    """Raises Transient and Unanswered as `read_step` does, UserError for a sum that is not finite."""
    reply = decoded(content, _SCORED, key)
    check_fed(reply, len(request.tokens))
    choice = reply.choices[0]
    if choice.prompt_logprobs is not None:
        total, is_greedy = _inside(choice, request.tokens, request.continuation)
    else:
        total, is_greedy = _echoed(choice.logprobs, request)
    check_finite(total)
    return Got(Likelihood(total, is_greedy), len(request.tokens))


def _inside(choice: _Choice, prompt: Sequence[int], scored: int) -> tuple[float, bool]:
    """The sum over the prompt's last `scored` tokens, and whether each was the most likely.

    vLLM's ranks count from 1, and tokens that are exactly as likely as the given one before it.
    """
    if not scored:
        return 0.0, True
    places = choice.prompt_logprobs or []
    if len(places) != len(prompt):
        raise _other(len(places), len(prompt))
    found = [
        (place or {}).get(str(token))
        for place, token in zip(places[-scored:], prompt[-scored:], strict=True)
    ]
    if any(one is None for one in found):
        raise Unanswered("the server tells of other tokens than it was given", fault=True)
    given = [one for one in found if one is not None]
    if any(one.rank is None for one in given):
        raise Unanswered("the server tells no ranks of the tokens it was given", fault=True)
    return sum(_nats(one.logprob) for one in given), all(one.rank == 1 for one in given)


def _echoed(told: Any, request: ScoringRequest) -> tuple[float, bool]:
    """The last tokens of the text, before the new one. A token is the most likely where nothing that
    the server names is likelier: names are text, which two tokens may share, so values are compared."""
    if told is None:
        raise Transient("its reply lacks log-probabilities")
    length, start = len(request.tokens), len(request.tokens) - request.continuation
    if len(told.token_logprobs) not in (length, length + 1):
        raise _other(len(told.token_logprobs), length)
    if told.token_logprobs[0] is not None:
        # Nothing stands before the first token: the numbers are those of others
        raise Unanswered("the server tells of other tokens than it was given", fault=True)
    values = told.token_logprobs[start:length]
    best = (told.top_logprobs or [])[start:length]
    if any(value is None for value in values) or len(best) != len(values) or not all(best):
        raise Transient("its reply lacks log-probabilities")
    is_greedy = all(v >= max(top.values()) for v, top in zip(values, best, strict=True))
    return sum(map(_nats, values)), is_greedy


def _nats(told: float) -> float:
    """vLLM 0.32 writes -9999 where a model gives minus infinity, since JSON has none: no number at all."""
    return -math.inf if told <= _CLAMPED else told


def _other(told: int, given: int) -> Unanswered:
    return Unanswered(
        f"the server tells of {told} tokens where it was given {given}: take one that feeds token ids "
        "as they are",
        fault=True,
    )
