"""A pair as token ids: the whole conversation goes through the chat template once for each response."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.training.ama.rows import COLUMNS, Masks, nothing_kept
from bfpo_bench.training.pairs import Pair, Side

LABELS = ("chosen_safe", "rejected_safe")
RENDERED_OTHERWISE = "prompt rendered otherwise before an answer"


@dataclass(frozen=True)
class Lengths:
    """Tokens at most: of prompt and completion together, and of a prompt that has to give way."""

    max_length: int
    max_prompt_length: int


@dataclass(frozen=True)
class Encoded:
    """Token ids of one pair. `changed` says what was done to it: reasons, as the report counts them.
    `kept` is 1 for each token of a completion that has a gradient, where rows are masked.

    Responses that differ only in what was cut, or in white space that a template trims, are `same`:
    there is nothing to prefer.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    changed: tuple[str, ...] = ()
    kept: Mapping[Side, list[int]] | None = None

    @property
    def same(self) -> bool:
        return self.chosen_ids == self.rejected_ids


def pair_columns(pairs: Sequence[Pair]) -> dict[str, list[Any]]:
    """The pairs as the columns that `BFPOTrainer` takes."""
    columns: dict[str, list[Any]] = {
        "prompt": [list(pair.prompt) for pair in pairs],
        "chosen": [[{"role": "assistant", "content": pair.chosen}] for pair in pairs],
        "rejected": [[{"role": "assistant", "content": pair.rejected}] for pair in pairs],
        **{name: [getattr(pair, name) for pair in pairs] for name in LABELS},
    }
    if pairs and all(pair.margin is not None for pair in pairs):
        columns["margin"] = [pair.margin for pair in pairs]
    dumped = [pair.dump() for pair in pairs]
    for name in COLUMNS.values():
        if any(name in told for told in dumped):
            columns[name] = [told.get(name) for told in dumped]
    return columns


def encode_row(
    row: Mapping[str, Any],
    number: int,
    tokenizer: Any,
    lengths: Lengths,
    masks: Masks | None = None,
) -> Encoded:
    """The row's `prompt`, `chosen` and `rejected` as ids, in TRL's two forms: messages, or plain text.

    A plain text's end is marked with the tokenizer's EOS; a conversation's is the template's affair.
    Raises UserError for a row of neither form, for responses that are empty or equal, and for segments
    that `masks` cannot use, naming the row.
    """
    prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
    _check_form(row, number)
    _check_responses(chosen, rejected, number)
    if isinstance(prompt, str):
        head = tokenizer(prompt)["input_ids"]
        full = [_text_ids(tokenizer, prompt + answer) for answer in (chosen, rejected)]
    else:
        head = chat_ids(tokenizer, prompt, add_generation_prompt=True)
        full = [chat_ids(tokenizer, [*prompt, *answer]) for answer in (chosen, rejected)]
    # Tokens may merge across the border, and a template may render an open prompt in its own way
    start = min(common_start(head, ids) for ids in full)
    changed = () if start == len(head) else (RENDERED_OTHERWISE,)
    if any(len(ids) == start for ids in full):
        raise UserError(
            f"Row {number} has a response of which the chat template leaves nothing: mend the template "
            "or leave the row out."
        )
    fitted = fit(full[0][:start], full[0][start:], full[1][start:], lengths, tokenizer.bos_token_id)
    ids = (fitted.prompt_ids, fitted.chosen_ids, fitted.rejected_ids)
    if masks is None:
        return Encoded(*ids, (*changed, *fitted.changed))
    sides: tuple[Side, Side] = ("chosen", "rejected")
    kept = {
        side: masks.of(row, side, whole, number, tokenizer)[start : start + len(rest)]
        for side, whole, rest in zip(sides, full, ids[1:], strict=True)
    }
    return Encoded(*ids, (*changed, *fitted.changed, *nothing_kept(kept)), kept)


def fit(
    prompt: list[int],
    chosen: list[int],
    rejected: list[int],
    lengths: Lengths,
    bos: int | None,
) -> Encoded:
    """The pair within `lengths`: where it is too long, first the prompt is cut from the left.

    The prompt is cut to max_prompt_length, keeping a BOS token; what is still too long of a response
    is cut from its end. Both responses share one prompt.
    """
    changed = []
    if len(prompt) + max(len(chosen), len(rejected)) > lengths.max_length:
        if len(prompt) > lengths.max_prompt_length:
            kept = lengths.max_prompt_length
            opening = [bos] if bos is not None and prompt[:1] == [bos] else []
            prompt = [*opening, *prompt[len(prompt) - kept + len(opening) :]]
            changed.append("prompt cut")
        room = lengths.max_length - len(prompt)
        if max(len(chosen), len(rejected)) > room:
            chosen, rejected = chosen[:room], rejected[:room]
            changed.append("response cut")
    return Encoded(prompt, chosen, rejected, tuple(changed))


def safety_label(value: Any, name: str, number: int) -> float:
    """1.0 or 0.0. Raises UserError for what is neither, naming row and column."""
    if value is None:
        raise UserError(
            f"Row {number} has no {name}: give each response's safety as 1 or 0, or say that the "
            "source is safe throughout (assume_safe)."
        )
    if isinstance(value, bool | int | float) and float(value) in (0.0, 1.0):
        return float(value)
    raise UserError(f"Row {number} has {name} {value!r}: it must be 1 for safe or 0 for unsafe.")


def margin_label(value: Any, number: int) -> float:
    """The row's margin. Raises UserError for what is no number, naming the row."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise UserError(
        f"Row {number} has margin {value!r}: give a number, the reward of chosen less that of rejected."
    )


def changes(encoded: Sequence[Sequence[str]]) -> Counter[str]:
    """How many rows were changed, by reason."""
    return Counter(reason for reasons in encoded for reason in reasons)


def check_template(tokenizer: Any, model: str) -> None:
    """Raises UserError for a tokenizer without a chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"{model} has no chat template, so a conversation has no form that it knows: name a model "
            "or a file to take one from (chat_template)."
        )


def _check_form(row: Mapping[str, Any], number: int) -> None:
    """Templates print nothing for what a message lacks, so a wrong form would be trained on unseen."""
    fields = [row[name] for name in ("prompt", "chosen", "rejected")]
    if fields[0] is None:
        raise UserError(f"Row {number} has no prompt: leave the row out.")
    given = [field for field in fields if field is not None]
    if all(isinstance(field, str) for field in given):
        return
    if any(isinstance(field, str) for field in given) or not all(
        _is_message(message) for field in given for message in field
    ):
        raise UserError(
            f"Row {number} is neither plain text nor messages: give prompt, chosen and rejected all as "
            "text, or all as lists of {role, content}."
        )


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, Mapping)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content", 0), str | None)
    )


def _check_responses(chosen: Any, rejected: Any, number: int) -> None:
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        texts = [answer] if isinstance(answer, str) else [m["content"] for m in answer or ()]
        if not any(text and text.strip() for text in texts):
            raise UserError(f"Row {number} has an empty {name} response: leave the row out.")
    if chosen == rejected:
        raise UserError(f"Row {number} has two equal responses: leave the row out.")


def chat_ids(tokenizer: Any, messages: Sequence[Mapping[str, str]], **options: Any) -> list[int]:
    """The conversation as the chat template's ids. Raises UserError where the template fails."""
    try:
        ids: list[int] = tokenizer.apply_chat_template(
            list(messages), tokenize=True, return_dict=False, **options
        )
    except Exception as error:
        # Jinja raises what the template's author wished, and templates of strangers fail in any way
        raise UserError(
            f"The chat template cannot render a conversation ({first_line(error)}): mend the template "
            "or the data's roles."
        ) from error
    return list(ids)


def _text_ids(tokenizer: Any, text: str) -> list[int]:
    if tokenizer.eos_token_id is None:
        raise UserError(
            "The tokenizer has no EOS token, which marks the end of a plain text: set its eos_token."
        )
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids if ids[-1:] == [tokenizer.eos_token_id] else [*ids, tokenizer.eos_token_id]


def common_start(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with."""
    length = min(len(one), len(other))
    return next((i for i in range(length) if one[i] != other[i]), length)
