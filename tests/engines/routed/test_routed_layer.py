"""A router over two experts against peft, plain Python, and itself without a cache."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from experts import RANKS, routed, routing
from peft import PeftModel
from preference import tiny_model, tokenizer
from torch import Tensor

from bfpo_bench.engines.routed.folder import Routing
from bfpo_bench.engines.routed.layer import (
    Factors,
    RoutedLinear,
    experts_off,
    recorded,
    routed_layers,
)
from bfpo_bench.training.freeze import count_parameters

LAYERS, HIDDEN, INNER = 2, 32, 64
"""Of the tiny Llama; down_proj goes from INNER to HIDDEN."""


@pytest.fixture(scope="module")
def parts(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Routing:
    return routing(tmp_path_factory.mktemp("midpo"))


def asked() -> dict[str, Tensor]:
    """Two sequences of nine tokens, the second one padded on the left."""
    ids = torch.arange(18).reshape(2, 9) + 5
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    return {"input_ids": ids, "attention_mask": mask}


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(**asked()).logits
    return found


def always(model: Any, safety: int, helpfulness: int) -> Any:
    """A router that gives every token these weights: sigmoid(200) is 1, and sigmoid(-200) 0."""
    for layer in routed_layers(model).values():
        layer.router.bias.data = torch.tensor([400.0 * safety - 200, 400.0 * helpfulness - 200])
    return model


def test_by_hand() -> None:
    """W x = (2, 4) for x = (1, 2) and W = 2. Safety: A x = 1 * 1 + 1 * 2 = 3, B = (1, 0), scale 2:
    (6, 0). Helpfulness, of rank 2: A x = (1, 2), B = ((0, 0), (1, 1)), scale 1: (0, 3). The router's
    logits are 0 * 1 + 0 * 2 + log 3 and 1 * 1 + 0 * 2 - 1 = 0: weights 3/4 and 1/2.
    (2, 4) + 3/4 (6, 0) + 1/2 (0, 3) = (6.5, 5.5)."""
    base = torch.nn.Linear(2, 2, bias=False).double()
    base.weight.data = 2 * torch.eye(2).double()
    safety = Factors(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0], [0.0]]), 2.0)
    helpfulness = Factors(torch.eye(2), torch.tensor([[0.0, 0.0], [1.0, 1.0]]), 1.0)
    layer = RoutedLinear(base, safety, helpfulness).double()
    layer.router.weight.data = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double()
    layer.router.bias.data = torch.tensor([math.log(3), -1.0], dtype=torch.float64)
    found = layer(torch.tensor([[1.0, 2.0]]).double())
    torch.testing.assert_close(found, torch.tensor([[6.5, 5.5]]).double(), rtol=1e-12, atol=0)


def test_weights_of_zero_are_the_base_bit_for_bit(parts: Routing) -> None:
    expected = logits(tiny_model())
    assert torch.equal(logits(always(routed(parts), 0, 0)), expected)
    model = routed(parts, seed=1)
    assert not torch.equal(logits(model), expected)
    with experts_off(model):
        assert torch.equal(logits(model), expected)
    assert not torch.equal(logits(model), expected)


@pytest.mark.parametrize(("role", "weights"), [("safety", (1, 0)), ("helpfulness", (0, 1))])
def test_one_expert_alone_is_its_adapter_in_peft(
    parts: Routing, role: str, weights: tuple[int, int]
) -> None:
    """With lora_alpha 6 and ranks 2 and 4 the scales are 3 and 1.5."""
    alone = PeftModel.from_pretrained(tiny_model(), str(parts.experts[role].folder))
    expected = logits(alone)
    assert (expected - logits(tiny_model())).abs().max() > 0.1
    found = logits(always(routed(parts), *weights))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_only_the_router_learns(parts: Routing) -> None:
    """Also at its start, where its weights are zero and both experts count a half."""
    model = routed(parts)
    with recorded(model) as weights:
        model(**asked()).logits.square().sum().backward()
    assert [w.shape for w in weights] == [(2, 9, 2)] * LAYERS
    assert all(bool((w == 0.5).all()) for w in weights)
    learning = {n for n, value in model.named_parameters() if value.grad is not None}
    assert learning == {
        f"model.layers.{layer}.mlp.down_proj.router.{part}"
        for layer in range(LAYERS)
        for part in ("weight", "bias")
    }
    assert all(bool(p.grad.abs().max() > 0) for p in model.parameters() if p.grad is not None)


def test_parameters_by_hand(parts: Routing) -> None:
    """A layer has 2 x (64 + 1) = 130 of its router, r (64 + 32) of each expert, and the base as before."""
    found, base = count_parameters(routed(parts)), count_parameters(tiny_model())
    assert found.trained == LAYERS * 2 * (INNER + 1)
    ranks = sum(RANKS.values())
    assert found.all == base.all + LAYERS * (2 * (INNER + 1) + ranks * (INNER + HIDDEN))


def test_a_cache_changes_nothing(parts: Routing) -> None:
    """Tokens are weighed one by one: what is generated with keys and values kept is what is generated
    by reading everything anew, and each token has another weight."""
    model = routed(parts, seed=1).eval()
    with recorded(model) as weights:
        model(**asked())
    assert weights[0].std(dim=1).min() > 1e-3
    said = [
        model.generate(
            **asked(),
            max_new_tokens=12,
            do_sample=False,
            use_cache=cached,
            pad_token_id=tokenizer().eos_token_id,
            eos_token_id=None,
        )
        for cached in (True, False)
    ]
    assert said[0].shape == (2, 21)
    assert torch.equal(*said)
