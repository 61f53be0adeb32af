"""Whether endpoints can do what a run asks of them. Pure: what they can do is known by now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.errors import UserError

Kinds = Counter[Literal["discriminative", "generative"]]
"""How many tasks of each kind are asked."""
_ONLY_GENERATIVE = "--tasks '*/generative'"
_SHAPING = ("token_ids", "stop_token_ids", "sampling_switches")
"""What a prompt of tokens is asked with: without one of them the same model may say something else."""
_SAME = {
    "token_ids": "gives no token ids of responses",
    "stop_token_ids": "stops at no token ids that it is told",
    "prompt_logprobs": "knows no prompt_logprobs",
    "echo_logprobs": "gives no log-probabilities through echo",
    "sampling_switches": "takes no top_k, min_p and repetition_penalty",
}
"""What answers depend on -> said of a server that has not got it."""
ABOVE_ITS_OWN = "; above a model's own context vLLM wants VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 beside it"


def check_chat(found: Sequence[Capabilities], kinds: Kinds) -> None:
    if kinds["discriminative"]:
        raise UserError(
            "--engine-arg api=chat gives no log-probabilities of texts, which "
            f"{_needing(kinds)}: {_mend(kinds, 'leave out api=chat')}."
        )
    for one in found:
        _check_can(
            one, "chat", "answers no messages (POST /chat/completions)", "leave out api=chat"
        )
        check_shaping(one, chat=True)
    _check_alike(found, "sampling_switches")


def check_tokens(found: Sequence[Capabilities], kinds: Kinds) -> None:
    chat = "ask it as a hosted model, with --engine-arg api=chat"
    for one in found:
        _check_can(one, "completions", "continues no raw prompts (POST /completions)", chat)
        _check_can(one, "token_prompts", "takes no token ids as prompts", chat)
        check_shaping(one, chat=False)
        if kinds["discriminative"] and not one.likelihoods:
            _check_said(one, "echo_logprobs", "prompt_logprobs")
            raise UserError(
                f"The server {one.url} gives no log-probabilities of prompts, which "
                f"{_needing(kinds)}: {_mend(kinds)}."
            )
    _check_alike(found, *_SAME)


def _check_alike(found: Sequence[Capabilities], *abilities: str) -> None:
    first = found[0]
    for one in found[1:]:
        for ability in abilities:
            has, lacks = (first, one) if getattr(first, ability) else (one, first)
            if getattr(one, ability) != getattr(first, ability):
                _check_said(lacks, ability)
                raise UserError(
                    f"The server {lacks.url} {_SAME[ability]}, and {has.url} does: name servers that "
                    "are alike."
                )


def check_shaping(one: Capabilities, *, chat: bool) -> None:
    """Raises UserError where a busy server left open what answers depend on."""
    _check_said(one, *(["sampling_switches"] if chat else _SHAPING))


def _check_can(one: Capabilities, ability: str, lacks: str, mend: str) -> None:
    if not getattr(one, ability):
        _check_said(one, ability)
        raise UserError(f"The server {one.url} {lacks}: {mend}, or name another server.")


def _check_said(one: Capabilities, *abilities: str) -> None:
    if unsaid := [ability for ability in abilities if ability in one.unsaid]:
        raise UserError(
            f"The server {one.url} did not say in time whether it has {' or '.join(unsaid)}: it may be "
            "busy or compiling; give the same command again in a minute."
        )


def _needing(kinds: Kinds) -> str:
    count = kinds["discriminative"]
    return f"{counted(count, 'discriminative task')} need{'s' if count == 1 else ''}"


def _mend(
    kinds: Kinds, others: str = "ask a server that has them (vLLM), or take another --engine"
) -> str:
    return (
        f"leave those out with {_ONLY_GENERATIVE}, or {others}" if kinds["generative"] else others
    )


def check_context(found: Sequence[Capabilities], context: int) -> None:
    """Raises UserError for a server that holds fewer tokens than a run of `context` may feed."""
    for one in found:
        if one.context is not None and one.context < context:
            raise UserError(
                f"The server {one.url} holds {one.context} tokens and the run asks up to {context}: "
                f"start it with --max-model-len {context}, or give --engine-arg "
                f"max_model_len={one.context}, which makes another run."
            )


def long_choices(found: Sequence[Capabilities], context: int, kinds: Kinds) -> list[str]:
    """A note where a choice as long as the context has no room: a server always adds a token, and
    with echo the choice's last one is fed as well."""
    if not kinds["discriminative"]:
        return []
    for one in found:
        more = 1 if one.prompt_logprobs and one.logprob_token_ids else 2
        if one.context is not None and one.context < context + more:
            return [
                f"choices of {one.context - more + 1} tokens and more fail, for want of room "
                f"(--max-model-len {context + more} would have it{ABOVE_ITS_OWN})"
            ]
    return []


def described(found: Sequence[Capabilities], kinds: Kinds, *, chat: bool) -> str:
    """Like "vllm 0.32.0 at http://127.0.0.1:8000/v1, 2 servers; ids in, ids out"."""
    first = found[0]
    parts = [f"{first.software or 'an OpenAI-compatible server'} at {first.url}"]
    if len(found) > 1:
        parts[0] += f", {len(found)} servers"
    if chat:
        parts.append("messages in, text out, by the server's own template and tokenizer")
    else:
        parts.append(f"ids in, {'ids' if first.token_ids else 'text'} out")
        if kinds["discriminative"]:
            way = "prompt_logprobs" if first.prompt_logprobs else "echo"
            parts.append(f"log-likelihoods through {way}")
    return "; ".join(parts)


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
