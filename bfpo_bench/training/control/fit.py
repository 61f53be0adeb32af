"""Responses with levels as the prompts and completions that TRL's SFTTrainer takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels, with_levels
from bfpo_bench.training.encode import chat_ids, common_start
from bfpo_bench.training.pairs import Levelled, Message

NO_ROOM = "left out, the prompt leaves no room for the response"
CUT = "response cut"


@dataclass(frozen=True)
class Fitted:
    """`prompts` end with the line of levels, `completions` are one message each. `changed` counts what
    was cut and left out, `cells` the responses of each pair of levels that are trained on."""

    prompts: list[list[Message]]
    completions: list[list[Message]]
    changed: Counter[str]
    cells: Counter[Levels]


def fit_levelled(rows: Sequence[Levelled], tokenizer: Any, max_length: int) -> Fitted:
    """The rows whose response begins within `max_length` tokens; TRL cuts their end, and would leave
    out the others unsaid.

    Raises UserError where none does, or the chat template fails.
    """
    found = Fitted([], [], Counter(), Counter())
    for row in rows:
        prompt, response = with_levels(row.messages[:-1], row.levels), row.messages[-1]
        whole = chat_ids(tokenizer, [*prompt, response])
        start = common_start(chat_ids(tokenizer, prompt, add_generation_prompt=True), whole)
        if start >= max_length:
            found.changed[NO_ROOM] += 1
            continue
        if len(whole) > max_length:
            found.changed[CUT] += 1
        found.prompts.append(prompt)
        found.completions.append([response])
        found.cells[row.levels] += 1
    if not found.prompts:
        raise UserError(
            f"No response begins within max_length {max_length} after its prompt: raise it, or give "
            "other data."
        )
    return found
