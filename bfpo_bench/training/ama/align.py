"""From segments of a text to segments of its tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.training.pairs import Side

_STAND_IN = "\ue000"
"""A response of one private character, which shows where a template puts the answer."""


def token_segments(
    row: Mapping[str, Any],
    side: Side,
    texts: Sequence[str],
    ids: Sequence[int],
    number: int,
    tokenizer: Any,
) -> list[int]:
    """The number of the segment that each token of `ids` belongs to.

    `ids` are the row's prompt and its response `side` as the tokenizer has them, `texts` the response
    in segments. A token belongs to the segment in which its first character lies that is no white
    space: tokenizers put the space between two words into either. What stands before the response
    belongs to the first segment, what follows it, such as an end-of-turn token, to the last one.

    Raises UserError, naming the row, where segments and tokens do not align: the texts are not the
    response, the template changes it, or the tokenizer does not say which characters a token is of.
    """
    told = f"Row {number}: the segment rewards of {side} do not align with the tokens"
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{told}: the tokenizer is a slow one, which does not say which characters a token is of: "
            "take a model with a fast tokenizer (tokenizer.json)."
        )
    response = _response(row[side])
    if response is None or "".join(texts) != response:
        raise UserError(
            f"{told}: their texts joined are not the response: cut the response anew "
            "(bfpo-bench segments)."
        )
    text, begin = _rendered(row, side, response, tokenizer)
    if text[begin : begin + len(response)] != response:
        raise UserError(
            f"{told}: the chat template changes the response's text: take outer white space from the "
            "response and its segments, which most templates trim, or mend the template."
        )
    encoded = tokenizer(
        text, add_special_tokens=isinstance(row["prompt"], str), return_offsets_mapping=True
    )
    # A plain text's end is marked with an EOS of ours, which lies beyond its characters
    if list(ids)[: len(encoded["input_ids"])] != list(encoded["input_ids"]):
        raise UserError(
            f"{told}: the tokenizer reads the rendered text otherwise than the conversation: mend the "
            "template, or take another one (chat_template)."
        )
    starts = [_first_visible(text, *span) for span in encoded["offset_mapping"]]
    starts += [len(text)] * (len(ids) - len(starts))
    ends = list(accumulate(map(len, texts), initial=begin))[1:]
    return _numbers(starts, ends)


def _numbers(starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The segment of each start. Tokens without characters, which report the text's begin, go with
    the token before them."""
    ordered = accumulate(starts, max)
    return [min(bisect_right(ends, start), len(ends) - 1) for start in ordered]


def _response(answer: Any) -> str | None:
    """The response's text; None where it is not one message."""
    if isinstance(answer, str):
        return answer
    return answer[0]["content"] if len(answer) == 1 else None


def _rendered(row: Mapping[str, Any], side: Side, response: str, tokenizer: Any) -> tuple[str, int]:
    """The text that is tokenized, and where the response begins in it: -1 where the template does
    not show it once."""
    if isinstance(row["prompt"], str):
        return row["prompt"] + response, len(row["prompt"])

    def render(content: str) -> str:
        answer = {**row[side][0], "content": content}
        text: str = tokenizer.apply_chat_template([*row["prompt"], answer], tokenize=False)
        return text

    text, frame = render(response), render(_STAND_IN)
    return text, frame.find(_STAND_IN) if frame.count(_STAND_IN) == 1 else -1


def _first_visible(text: str, start: int, end: int) -> int:
    """Where the first character of text[start:end] stands that is no white space; `start` if none."""
    return next((i for i in range(start, end) if not text[i].isspace()), start)
