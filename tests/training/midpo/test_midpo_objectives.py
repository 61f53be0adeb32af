"""MidPO's losses: both experts' and the router's, in float64 against plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bfpo_bench.training.objectives import dpo, midpo_helpfulness, midpo_router, midpo_safety
from bfpo_bench.training.pairs import Pair
from bfpo_bench.training.policies import apply_policy

EXPERTS = pytest.mark.parametrize("expert", [midpo_safety, midpo_helpfulness])
numbers = st.floats(-20, 20)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


TWO_PAIRS = (doubles(-10, -20), doubles(-14, -15), doubles(-12, -18), doubles(-13, -16))
"""h = (-10 + 14) - (-12 + 13) = 3 and (-20 + 15) - (-18 + 16) = -3."""


def softplus(x: float) -> float:
    """log(1 + e^x), which is -log sigmoid(-x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_safety_expert_by_hand() -> None:
    """beta 0.1. Costs of -1 and 1 for the first pair: dS = -2, 0.3 - 2 = -1.7, log(1 + e^1.7) =
    1.867786. Costs of 1 and -4 for the second, which is the wrong way round: dS = 5, min(0, 5) = 0,
    -0.3, log(1 + e^0.3) = 0.854355. A reward of safety is the cost's negative: margins 2 and -5."""
    found = midpo_safety(*TWO_PAIRS, doubles(2, -5))
    assert found.tolist() == pytest.approx([1.867786, 0.854355], abs=1e-6)


def test_the_helpfulness_expert_by_hand() -> None:
    """dR = 0.5: 0.3 - 0.5 = -0.2, log(1 + e^0.2) = 0.798139. dR = -0.5: max(0, -0.5) = 0, as above."""
    found = midpo_helpfulness(*TWO_PAIRS, doubles(0.5, -0.5))
    assert found.tolist() == pytest.approx([0.798139, 0.854355], abs=1e-6)


@EXPERTS
@given(logps=st.tuples(numbers, numbers, numbers, numbers), margin=numbers, beta=st.floats(0.01, 2))
def test_value_and_gradient(
    expert: Callable[..., Tensor], logps: tuple[float, ...], margin: float, beta: float
) -> None:
    """With z = beta h + min(0, dS), or beta h - max(0, dR), the loss is log(1 + e^-z), its slope by
    chosen's log-probability -beta sigmoid(-z), and by rejected's the opposite; nothing else has one."""
    h = (logps[0] - logps[1]) - (logps[2] - logps[3])
    d_s, d_r = -margin, margin
    z = beta * h + min(0.0, d_s) if expert is midpo_safety else beta * h - max(0.0, d_r)
    given_ = [doubles(x).requires_grad_() for x in logps]
    loss = expert(*given_, doubles(margin), beta=beta)
    slopes = torch.autograd.grad(loss.sum(), given_[:2])
    assert loss.item() == pytest.approx(softplus(-z), rel=1e-12, abs=1e-12)
    expected = [-beta * sigmoid(-z), beta * sigmoid(-z)]
    assert [s.item() for s in slopes] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@EXPERTS
def test_a_margin_of_the_wrong_sign_is_none(expert: Callable[..., Tensor]) -> None:
    """Where the reward contradicts the pair's order, and at 0, it is DPO, bit for bit."""
    for margin in (doubles(0, 0), doubles(-1e-9, -1e9)):
        assert torch.equal(expert(*TWO_PAIRS, margin), dpo(*TWO_PAIRS))


@EXPERTS
@given(h=numbers, margin=st.floats(0, 10), more=st.floats(0.01, 10))
def test_a_larger_margin_asks_for_a_larger_h(
    expert: Callable[..., Tensor], h: float, margin: float, more: float
) -> None:
    """A margin moves the curve by margin / beta to the right: where DPO's pull is half, at h = 0, this
    one's is at h = margin / beta."""
    zeros = (doubles(0),) * 3
    small, large = (expert(doubles(h), *zeros, doubles(m)).item() for m in (margin, margin + more))
    assert large > small
    moved = expert(doubles(margin / 0.1), *zeros, doubles(margin)).item()
    assert moved == pytest.approx(math.log(2), rel=1e-9)


def test_a_margin_goes_with_its_responses() -> None:
    """By helpfulness "Push." is chosen, whose reward of safety is 2 below the other's. `safety-only`
    turns the pair round, and with it the margin: 2, which the safety expert subtracts."""
    asked = ({"role": "user", "content": "How do I open this door?"},)
    pair = Pair(asked, "Push.", "Ask first.", chosen_safe=False, rejected_safe=True, margin=-2.0)
    [ordered] = apply_policy("safety-only", [pair]).pairs
    assert (ordered.chosen, ordered.margin) == ("Ask first.", 2.0)


@given(
    logps=st.tuples(numbers, numbers, numbers, numbers),
    a=st.floats(0, 1),
    b=st.floats(0, 1),
    beta=st.floats(0.01, 2),
    penalty=st.floats(0, 5),
)
def test_the_router(
    logps: tuple[float, ...], a: float, b: float, beta: float, penalty: float
) -> None:
    """DPO of h, log(1 + e^(-beta h)), and penalty (|a| + |b - 1|), each with slope `penalty`. By chosen's
    log-probability the slope is -beta sigmoid(-beta h), by rejected's the opposite; of the reference's
    it is each one's opposite, since h has them the other way round."""
    h = (logps[0] - logps[1]) - (logps[2] - logps[3])
    given_ = [doubles(x).requires_grad_() for x in (*logps, abs(a), abs(b - 1))]
    loss = midpo_router(*given_, beta=beta, penalty=penalty)
    assert loss.item() == pytest.approx(
        softplus(-beta * h) + penalty * (abs(a) + abs(b - 1)), rel=1e-12, abs=1e-12
    )
    pull = beta * sigmoid(-beta * h)
    expected = [-pull, pull, pull, -pull, penalty, penalty]
    slopes = [slope.item() for slope in torch.autograd.grad(loss.sum(), given_)]
    assert slopes == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_losses_have_the_type_of_the_log_probabilities(kind: torch.dtype) -> None:
    logps: Any = [x.to(kind) for x in TWO_PAIRS]
    for loss in (
        midpo_safety(*logps, doubles(1, 2)),
        midpo_helpfulness(*logps, doubles(1, 2)),
    ):
        assert (loss.dtype, loss.shape) == (kind, (2,))
