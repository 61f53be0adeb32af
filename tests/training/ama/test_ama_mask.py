"""AMA's mask on losses: which segments are kept, and what value and gradient become. In float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.mask import (
    WITHOUT_SEGMENTS,
    checked_baseline,
    kept_segments,
    masked_sums,
)
from bfpo_bench.training.objective import OURS, resolve_objective

OBJECTIVES = [name for name in OURS if name not in WITHOUT_SEGMENTS]
PAIRS, LENGTH, WORDS, WIDTH = 4, 7, 11, 5
START = 3
"""Tokens of every prompt: the completions are tokens 3 to 6, predicted at places 2 to 5."""


class TestKept:
    def test_of_chosen_what_is_above_the_baseline_of_rejected_what_is_below(self) -> None:
        rewards = [0.5, -0.25, 0.0, 2.0]
        assert kept_segments(rewards, "chosen", 0.0) == [True, False, False, True]
        assert kept_segments(rewards, "rejected", 0.0) == [False, True, False, False]

    def test_the_mean_is_of_the_response_s_own_segments(self) -> None:
        """(1 + 2 + 6) / 3 = 3."""
        assert kept_segments([1, 2, 6], "chosen", "mean") == [False, False, True]
        assert kept_segments([1, 2, 6], "rejected", "mean") == [True, True, False]

    @given(reward=st.floats(-1e9, 1e9), count=st.integers(1, 9))
    def test_equal_rewards_lie_at_their_mean_and_none_is_kept(
        self, reward: float, count: int
    ) -> None:
        """Also three times 0.1, whose sum in floating point is a little above 0.3."""
        for side in ("chosen", "rejected"):
            assert not any(kept_segments([reward] * count, side, "mean"))

    @pytest.mark.parametrize(
        ("written", "read"), [("mean", "mean"), (0, 0.0), ("0.5", 0.5), ("-1e-3", -0.001)]
    )
    def test_a_baseline_is_a_number_or_the_mean(self, written: Any, read: Any) -> None:
        assert checked_baseline(written) == read

    @pytest.mark.parametrize("wrong", ["median", math.nan, math.inf, True, None, [0]])
    def test_anything_else_is_refused(self, wrong: Any) -> None:
        with pytest.raises(UserError, match="give a number, or mean"):
            checked_baseline(wrong)


class Small:
    """A linear model of two pairs' worth of positions: logits = states @ head, all random."""

    def __init__(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        self.head = draw(WIDTH, WORDS).requires_grad_()
        self.states = draw(2 * PAIRS, LENGTH, WIDTH)
        self.ids = torch.randint(WORDS, (2 * PAIRS, LENGTH), generator=random)
        self.rest = {
            "ref_chosen": draw(PAIRS) - 8,
            "ref_rejected": draw(PAIRS) - 8,
            "chosen_safe": torch.tensor([1.0, 1.0, 0.0, 0.0]).double(),
            "rejected_safe": torch.tensor([1.0, 0.0, 1.0, 0.0]).double(),
            "chosen_length": torch.full((PAIRS,), LENGTH - START),
            "rejected_length": torch.full((PAIRS,), LENGTH - START),
            "margin": draw(PAIRS),
            "safety_use": draw(PAIRS),
            "helpfulness_lack": draw(PAIRS),
        }
        self.mask = torch.randint(2, (2 * PAIRS, LENGTH), generator=random)
        self.mask[:, START:][0] = torch.tensor([1, 0, 0, 1])

    def loss(self, name: str, kept: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(mean loss, its gradient by the head, its gradient by the logits)."""
        logits = self.states @ self.head
        logits.retain_grad()
        log_probs = logits[:, :-1].log_softmax(-1).gather(-1, self.ids[:, 1:, None])[..., 0]
        # As TRL's head gives them: 0 where a prompt's token is predicted
        log_probs = log_probs * (torch.arange(1, LENGTH) >= START)
        chosen, rejected = masked_sums(log_probs, kept).chunk(2)
        batch = {**self.rest, "policy_chosen": chosen, "policy_rejected": rejected}
        loss = resolve_objective(name, {})(batch).mean()
        self.head.grad = None
        loss.backward()
        assert self.head.grad is not None
        assert logits.grad is not None
        return loss.detach(), self.head.grad, logits.grad


@pytest.mark.parametrize("name", OBJECTIVES)
@given(seed=st.integers(0, 99))
def test_a_mask_of_ones_is_the_plain_objective(name: str, seed: int) -> None:
    """Value and gradient to a relative 1e-12."""
    small = Small(seed)
    plain, masked = small.loss(name, None), small.loss(name, torch.ones(2 * PAIRS, LENGTH))
    for one, other in zip(plain, masked, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=0)
    assert plain[1].abs().max() > 0


@pytest.mark.parametrize("name", OBJECTIVES)
@given(seed=st.integers(0, 99))
def test_masked_tokens_have_no_gradient_and_the_others_theirs(name: str, seed: int) -> None:
    """The value is the plain one. By the logits at place t - 1, which predict token t, the gradient is
    exactly 0.0 where token t is masked, and to the last digit the plain one where it is kept."""
    small = Small(seed)
    plain, masked = small.loss(name, None), small.loss(name, small.mask)
    assert torch.equal(masked[0], plain[0])
    kept = torch.zeros(2 * PAIRS, LENGTH, dtype=torch.bool)
    kept[:, START - 1 : -1] = small.mask[:, START:].bool()
    assert torch.all(masked[2][~kept] == 0.0)
    assert torch.equal(masked[2][kept], plain[2][kept])
    if name not in ("sft", "ascent"):
        assert torch.all(plain[2][:, START - 1 : -1].abs().sum(-1) > 0)


def test_nothing_kept_is_no_gradient_at_all() -> None:
    small = Small(0)
    loss, by_head, _ = small.loss("bfpo", torch.zeros(2 * PAIRS, LENGTH))
    assert loss > 0
    assert torch.all(by_head == 0.0)


def test_dpo_by_hand() -> None:
    """One pair, three tokens each, in plain Python. Chosen -1, -2, -3 with the second masked, rejected
    -2, -2, -4 with the first masked, reference -7 and -6, beta 0.5.

    h = (-6 + 8) - (-7 + 6) = 3; loss log(1 + e^-1.5) = 0.201413. d loss / d h =
    -0.5 / (1 + e^1.5) = -0.091213: that by each kept token of chosen, minus that by rejected's.
    """
    tokens = torch.tensor([[-1.0, -2, -3], [-2, -2, -4]], dtype=torch.float64, requires_grad=True)
    chosen, rejected = masked_sums(tokens, torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1]])).chunk(2)
    reference = {"ref_chosen": torch.tensor([-7.0]), "ref_rejected": torch.tensor([-6.0])}
    dpo = resolve_objective("dpo", {"beta": 0.5})
    loss = dpo({"policy_chosen": chosen, "policy_rejected": rejected, **reference}).sum()
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)), rel=1e-12)
    slope = 0.5 / (1 + math.exp(1.5))
    assert tokens.grad is not None
    assert tokens.grad[0].tolist() == pytest.approx([-slope, 0, -slope], rel=1e-12)
    assert tokens.grad[1].tolist() == pytest.approx([0, slope, slope], rel=1e-12)
