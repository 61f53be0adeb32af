"""Comparisons: which answer is shown first, and what the preferences say about the model's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bfpo_bench.judges.api.preference import DRAW, label_of
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item

BASELINE_FIRST, MODEL_FIRST = "baseline_first", "model_first"


@dataclass(frozen=True)
class Question:
    """One request about the item at `position`. `order`: see `shown`; None where one answer is shown."""

    position: int
    order: str | None = None


def questions(
    items: Sequence[Item], positions: Sequence[int], pairwise: Literal["one", "both"] | None
) -> Iterator[Question]:
    """What to ask about the items at `positions`, in order: once, or once in each order."""
    for position in positions:
        if pairwise is None:
            yield Question(position)
        elif pairwise == "one":
            yield Question(position, drawn_order(items[position]))
        else:
            yield Question(position, MODEL_FIRST)
            yield Question(position, BASELINE_FIRST)


def drawn_order(item: Item) -> str:
    """A coin thrown by the texts themselves: the same for the same comparison, anywhere."""
    told = json.dumps([item.prompt, item.answer, item.baseline]).encode()
    return BASELINE_FIRST if hashlib.sha256(told).digest()[0] % 2 else MODEL_FIRST


def shown(item: Item, order: str | None) -> tuple[str, str]:
    """The two answers in the order in which the judge reads them: the template's `response` is the
    one shown first, its `baseline` the one shown second."""
    model, other = item.answer, item.baseline or ""
    return (other, model) if order == BASELINE_FIRST else (model, other)


def without_asking(item: Item) -> Finding | None:
    """The finding about a comparison that needs no judge; equal answers are a draw, as in AlpacaEval."""
    if item.baseline is None:
        return Finding("unjudged", error="there is no answer to compare with")
    if item.answer == item.baseline:
        return Finding("draw", DRAW, raw="the two answers are the same")
    return None


def compared(found: Mapping[str, Finding]) -> Finding:
    """The model's preference, 1 to 2 and 2 where its answer is better, from those for the answers in
    the order shown (`found` maps an order to one): their mean. One that failed leaves it unjudged,
    and a fault where any was one: the judge has not spoken on both."""
    failed = [o for o, f in found.items() if f.label == "unjudged" or f.score is None]
    if failed:
        order = max(failed, key=lambda o: found[o].fault)
        where = f"{order.replace('_', ' ')}: " if len(found) > 1 else ""
        error = f"{where}{found[order].error or 'the judge gave no preference'}"
        return replace(found[order], label="unjudged", score=None, error=error)
    own = {order: _models_own(order, f.score or 0.0) for order, f in found.items()}
    score = sum(own.values()) / len(own)
    raw = "; ".join(f"{order.replace('_', ' ')}: {f.raw}" for order, f in found.items())
    answers = {order: f"{preference:.6g}" for order, preference in own.items()}
    return Finding(label_of(score), score, raw=raw, answers=answers)


def _models_own(order: str, preference: float) -> float:
    """A preference for the answer shown second as one for the model's."""
    return preference if order == BASELINE_FIRST else 3 - preference
