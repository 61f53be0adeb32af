"""DeRTa's rows and loss, place by place, on a vocabulary of five tokens.

0 pads, 1 ends an answer, 2, 3 and 4 are words. The prompt is 4, the harmful answer 2 3 2 and its end,
the refusal 3 4 and its end.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bfpo_bench.training.derta import (
    RefusalCollator,
    Row,
    prefix_length,
    refusal_row,
    transition_row,
)
from bfpo_bench.training.objectives import derta

PROMPT, HARMFUL, REFUSAL = [4], [2, 3, 2, 1], [3, 4, 1]
NO = -100
LOGITS = [
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.5, -0.5, 0.0, 1.0, 0.25],
    [0.0, 1.0, -1.0, 2.0, 0.5],
    [1.0, 0.5, 0.0, -0.5, 1.5],
    [-1.0, 0.0, 1.0, 0.5, 2.0],
]
"""Of the next token, a row for each token before it."""


def example(row: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "prompt_ids": PROMPT,
        "chosen_ids": REFUSAL,
        "rejected_ids": HARMFUL,
        "chosen_safe": 1.0,
        "rejected_safe": 0.0,
        "buffered": 0.0,
        "row": row,
        **changes,
    }


def collator(**changes: Any) -> RefusalCollator:
    return RefusalCollator(**{"pad_token_id": 0, "special": frozenset({0, 1}), **changes})


# Rows


@pytest.mark.parametrize(
    ("kept", "ids", "labels"),
    [
        (0, [4, 3, 4, 1], [NO, 3, 4, 1]),
        (1, [4, 2, 3, 4, 1], [NO, NO, 3, 4, 1]),
        (3, [4, 2, 3, 2, 3, 4, 1], [NO, NO, NO, NO, 3, 4, 1]),
    ],
)
def test_the_refusal_alone_is_learnt_after_the_prefix(
    kept: int, ids: list[int], labels: list[int]
) -> None:
    assert refusal_row(PROMPT, HARMFUL, REFUSAL, kept) == Row(ids, labels)


def test_each_place_of_the_harmful_answer_is_a_turn() -> None:
    """From the prompt alone, after 2, after 2 3 and after 2 3 2, where the answer ended."""
    assert transition_row(PROMPT, HARMFUL, REFUSAL, 3) == Row([4, 2, 3, 2, 1], [NO, 3, 3, 3, 3])


def test_what_a_template_writes_after_the_end_is_no_turn() -> None:
    found = transition_row(PROMPT, [2, 3, 1, 4, 4], REFUSAL, 2)
    assert found == Row([4, 2, 3, 1], [NO, 3, 3, 3])


def test_an_answer_that_was_cut_has_no_end_to_turn_at() -> None:
    assert transition_row(PROMPT, [2, 3], REFUSAL, 2) == Row([4, 2, 3], [NO, 3, 3])


# Batches


def test_a_batch() -> None:
    """A pair with a harmful answer, and one of two safe responses (4 1 is chosen) that is learnt as
    it is. Of three spoken tokens a prefix has one at most; in epoch 1 this seed draws it."""
    plain = example(1, prompt_ids=[2, 2], chosen_ids=[4, 1], rejected_ids=[3, 1], rejected_safe=1.0)
    batch = collator(epoch=1)([example(), plain])
    assert batch["input_ids"].tolist() == [
        [4, 2, 3, 4, 1],
        [2, 2, 4, 1, 0],
        [4, 2, 3, 2, 1],
        [2, 2, 0, 0, 0],
    ]
    assert batch["targets"].tolist() == [
        [NO, NO, 3, 4, 1],
        [NO, NO, 4, 1, NO],
        [NO, 3, 3, 3, 3],
        [NO, NO, NO, NO, NO],
    ]
    assert batch["attention_mask"].tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
    ]
    assert batch["rejected_safe"].tolist() == [0.0, 1.0]
    assert batch["row"].tolist() == [0, 1]
    assert not {"labels", "completion_mask"} & set(batch)


def kept(row: int = 0, spoken: int = 30, **changes: Any) -> int:
    """The prefix of a pair whose harmful answer has so many words."""
    given = example(row, rejected_ids=[2] * spoken + [1], buffered=changes.pop("buffered", 0.0))
    first, _ = collator(**changes).rows(given)
    return first.labels.index(3) - len(PROMPT)


def test_prefixes_follow_from_seed_epoch_and_row() -> None:
    drawn = [kept(row) for row in range(40)]
    assert [kept(row) for row in reversed(range(40))] == drawn[::-1]
    for change in ({"epoch": 1}, {"seed": 7}, {"buffered": 1.0}):
        assert [kept(row, **change) for row in range(40)] != drawn


def test_a_prefix_gives_way_to_the_refusal() -> None:
    """Of 10 tokens the prompt has 1 and the refusal 3: 6 are left, or of 4 none."""
    assert max(kept(row, longest=10) for row in range(100)) == 6
    assert {kept(row, longest=4) for row in range(20)} == {0}


@given(spoken=st.integers(0, 40), room=st.integers(-3, 40), seed=st.integers(0, 999))
def test_a_prefix_leaves_two_tokens_and_fits(spoken: int, room: int, seed: int) -> None:
    found = prefix_length(spoken, room, Random(seed))
    assert found == 0 or 1 <= found <= min(spoken - 2, room)


def test_a_third_has_no_prefix_and_all_others_are_alike() -> None:
    """Of 6,000 draws 2,000 are 0 and 1,000 each of 1, 2, 3 and 4: five standard deviations are 183
    and 145."""
    draw = Random(0)
    counts = Counter(prefix_length(6, 100, draw) for _ in range(6000))
    assert abs(counts.pop(0) - 2000) < 183
    assert sorted(counts) == [1, 2, 3, 4]
    assert all(abs(count - 1000) < 145 for count in counts.values())


# The loss


def log_p(token: int, before: int) -> float:
    return LOGITS[before][token] - math.log(sum(map(math.exp, LOGITS[before])))


REFUSAL_STEPS = [(3, 2), (4, 3), (1, 4)]
"""(token, the one before it) of the refusal after the prefix 2."""
TURNS = [(3, 4), (3, 2), (3, 3), (3, 2)]
"""Likewise after the prompt 4, after 2, after 3 and after 2."""


def loss_of(batch: dict[str, Tensor], table: Tensor, transition: float) -> Tensor:
    """As a trainer has it: the logits after each token, and the label one place further on."""
    targets = batch["targets"][:, 1:]
    known = targets != NO
    log_probs = table[batch["input_ids"][:, :-1]].log_softmax(-1)
    of_targets = log_probs.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * known
    sums, lengths = of_targets.sum(1).chunk(2), known.sum(1).chunk(2)
    return derta(*sums, *lengths, transition=transition)


@pytest.mark.parametrize("transition", [1.0, 0.25, 0.0])
def test_the_loss_and_its_gradient_written_out(transition: float) -> None:
    """-1/3 (log p(3|2) + log p(4|3) + log p(1|4)) - t/4 (log p(3|4) + 2 log p(3|2) + log p(3|3)).

    A logit's gradient is the sum over its row's steps of weight (p - 1[it is the token])."""
    table = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    [loss] = loss_of(collator(epoch=1)([example()]), table, transition)
    weighed = [(1 / 3, step) for step in REFUSAL_STEPS] + [(transition / 4, s) for s in TURNS]
    by_hand = -sum(weight * log_p(*step) for weight, step in weighed)
    assert loss.item() == pytest.approx(by_hand, rel=1e-12)

    gradient = [[0.0] * 5 for _ in range(5)]
    for weight, (token, before) in weighed:
        for other in range(5):
            p = math.exp(log_p(other, before))
            gradient[before][other] += weight * (p - (other == token))
    loss.backward()
    assert table.grad is not None
    torch.testing.assert_close(
        table.grad, torch.tensor(gradient, dtype=torch.float64), rtol=1e-12, atol=1e-15
    )


def test_by_numbers() -> None:
    """Sums of -6 over 3 tokens and -10 over 4: 2 + 2.5, and with a transition of 0.2 it is 2.5. A row
    without a label adds nothing."""
    sums = torch.tensor([-6.0, -6.0]).double(), torch.tensor([-10.0, 0.0]).double()
    lengths = torch.tensor([3, 3]), torch.tensor([4, 0])
    assert derta(*sums, *lengths).tolist() == pytest.approx([4.5, 2.0])
    assert derta(*sums, *lengths, transition=0.2).tolist() == pytest.approx([2.5, 2.0])
