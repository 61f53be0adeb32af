"""Text to token ids, the one truncation rule, and per-request seeds: the same for every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.base import ScoringRequest
from bfpo_bench.errors import UserError, first_line

MIN_NEW_TOKENS = 64
"""A prompt may not leave less than this for its answer (or than the task wants, if that is less)."""


@dataclass(frozen=True)
class Prompt:
    """A generative prompt as token ids, with what had to give for it to fit."""

    tokens: tuple[int, ...]
    max_new_tokens: int
    cut: int
    capped: bool


def request_seed(run_seed: int, task: str, doc_id: int, sample: int) -> int:
    """A 63-bit seed that depends on these four alone, so that resuming draws the same samples."""
    text = f"{run_seed}\x1f{task}\x1f{doc_id}\x1f{sample}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def model_context(config: dict[str, Any], tokenizer: Any, cap: int) -> int:
    """Tokens a forward pass may hold, at most `cap`.

    Looked up as lm-eval 0.4.13 does (`lm_eval.models.utils.resolve_max_length`): the text model's
    n_positions, max_position_embeddings or n_ctx, then the tokenizer's model_max_length, then 2048.
    """
    if (stated := stated_context(config)) is not None:
        return min(stated, cap)
    length = getattr(tokenizer, "model_max_length", None)
    if length is not None and length < 10**18:
        return min(int(length), cap)
    return min(2048, cap)


def stated_context(config: Mapping[str, Any]) -> int | None:
    """What config.json says of a model's context; None where it says nothing."""
    text = config.get("text_config") or config
    keys = ("n_positions", "max_position_embeddings", "n_ctx")
    return next((int(text[key]) for key in keys if text.get(key) is not None), None)


def fit(tokens: list[int], max_new_tokens: int, context: int) -> Prompt:
    """Cap new tokens by what the context leaves; cut the prompt from the left only where that is too little."""
    floor = min(MIN_NEW_TOKENS, max_new_tokens, context - 1)
    kept = tokens[max(0, len(tokens) - (context - floor)) :]
    new = min(max_new_tokens, context - len(kept))
    return Prompt(tuple(kept), new, len(tokens) - len(kept), new < max_new_tokens)


def scoring_request(
    tokenizer: Any, context: str, continuation: str, window: int
) -> tuple[ScoringRequest, int]:
    """A multiple-choice request as tokens, and how many of them were cut from the left.

    Follows lm-eval 0.4.13's HF backend (`TemplateLM.loglikelihood`, `_encode_pair`): trailing
    spaces of the context belong to the continuation, a context without tokens becomes BOS (or EOS),
    and the last `window` + 1 tokens are kept, of which the last is only predicted.
    """
    prefix = (
        tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    )
    if context == "":
        before, after = [], tokenizer.encode(continuation, add_special_tokens=False)
    else:
        trailing = len(context) - len(context.rstrip())
        if trailing:
            continuation = context[-trailing:] + continuation
            context = context[:-trailing]
        whole = _encode(tokenizer, context + continuation, prefix)
        before = _encode(tokenizer, context, prefix)
        after = whole[len(before) :]
    if not before:
        # Also for a context of white space alone where the tokenizer adds no BOS: lm-eval's
        # `_loglikelihood_tokens` asserts on it, and the first token needs something before it
        before, after = (after[:1], after[1:]) if after[:1] == [prefix] else ([prefix], after)
    if not after:
        raise UserError(
            f"The choice {continuation!r} has no tokens of its own with this tokenizer: "
            "leave its task out with --tasks."
        )
    if len(after) > window:
        raise UserError(
            f"The choice {continuation[:40]!r}... has {len(after)} tokens and the model's context "
            f"{window}: leave its task out with --tasks."
        )
    tokens = before + after
    kept = tokens[-(window + 1) :]
    return ScoringRequest(tuple(kept), len(after)), len(tokens) - len(kept)


def _encode(tokenizer: Any, text: str, prefix: int | None) -> list[int]:
    # A text that brings its own BOS must not get a second one
    bos = tokenizer.decode(prefix) if prefix is not None else None
    if bos and text.startswith(bos):
        return tokenizer.encode(text, add_special_tokens=False)
    return tokenizer.encode(text)


def takes_system(tokenizer: Any, template: bool) -> bool:
    """Whether a system message reaches the model: some templates refuse one, and some leave it out.

    Without a template it is text like any other; without a tokenizer the server's template is taken to
    have a place for it, as its API does.
    """
    if tokenizer is None or not template:
        return True
    mark = "Only one of these."
    messages = [{"role": "system", "content": mark}, {"role": "user", "content": "Which?"}]
    try:
        rendered = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
    except Exception:
        return False
    return mark in rendered


@dataclass(frozen=True)
class Rendered:
    """A conversation as token ids. `reasoning_open`: the template itself opened a reasoning trace."""

    tokens: list[int]
    reasoning_open: bool


def render(tokenizer: Any, messages: list[dict[str, str]], template: bool) -> Rendered:
    """The conversation through the chat template as ids (never a string that is tokenised again),
    or, without a template, the messages' text with the tokenizer's own special tokens.

    Raises UserError when the template fails.
    """
    if not template:
        text = "\n\n".join(m["content"] for m in messages)
        return Rendered(list(tokenizer.encode(text)), False)
    try:
        encoded = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )
    except Exception as error:
        reason = first_line(error)
        raise UserError(
            f"The model's chat template failed on a plain conversation ({type(error).__name__}: "
            f"{reason}): mend the template or use --no-chat-template."
        ) from error
    ids = list(encoded["input_ids"])
    tail = tokenizer.decode(ids[-8:]).rstrip()
    return Rendered(ids, tail.endswith(("<think>", "<thinking>", "<reasoning>")))
