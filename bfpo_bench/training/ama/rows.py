"""The masks of a row, and what is to be said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.align import token_segments
from bfpo_bench.training.ama.mask import Baseline, kept_segments
from bfpo_bench.training.pairs import Side

COLUMNS: dict[Side, str] = {"chosen": "chosen_segments", "rejected": "rejected_segments"}
NOTHING_KEPT = "{} response without a segment that is kept: no gradient through it"


@dataclass(frozen=True)
class Masks:
    """How rows are masked. `needed`: each has segments, as training data do; a row without is kept
    whole otherwise, as a buffer's is."""

    baseline: Baseline
    needed: bool = True

    def of(
        self, row: Mapping[str, Any], side: Side, ids: Sequence[int], number: int, tokenizer: Any
    ) -> list[int]:
        """1 or 0 for each token of `ids`, the row's prompt and its response `side`: has it a gradient?

        Raises UserError, naming the row, for segments that are missing, are none, or do not align
        with the tokens.
        """
        segments = row.get(COLUMNS[side])
        if segments is None:
            if self.needed:
                raise UserError(
                    f"Row {number} has no {COLUMNS[side]}, by which AMA masks: give both responses "
                    "segments (bfpo-bench segments), or leave the baseline out."
                )
            return [1] * len(ids)
        texts, rewards = _parts(segments, side, number)
        kept = kept_segments(rewards, side, self.baseline)
        return [
            int(kept[segment])
            for segment in token_segments(row, side, texts, ids, number, tokenizer)
        ]


def nothing_kept(masks: Mapping[Side, Sequence[int]]) -> tuple[str, ...]:
    """The responses that lost all their gradient, as the report counts them."""
    return tuple(NOTHING_KEPT.format(side) for side, mask in masks.items() if not any(mask))


def _parts(segments: Any, side: Side, number: int) -> tuple[list[str], list[float]]:
    texts: list[str] = []
    rewards: list[float] = []
    for segment in segments:
        text, reward = segment.get("text"), segment.get("reward")
        is_number = isinstance(reward, int | float) and not isinstance(reward, bool)
        if not (isinstance(text, str) and text and is_number and math.isfinite(reward)):
            raise UserError(
                f"Row {number} has a segment of {side} that is none: each is a text and a finite reward."
            )
        texts.append(text)
        rewards.append(float(reward))
    return texts, rewards
