"""MidPO's network: each down_proj with two LoRA experts beside it, and a router that weighs them.

arXiv 2506.02460; OutdoorManofML/MidPO at 4c5a464. What differs from that code is in docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

LAYER = "down_proj"


@dataclass(frozen=True)
class Factors:
    """One LoRA adapter at one layer, which adds scale B (A x): A is (r, size of x), B (size of the
    layer's output, r)."""

    a: Tensor
    b: Tensor
    scale: float


class Router(nn.Linear):
    """From a layer's input, (..., size), each token's two weights, (..., 2), in (0, 1): of safety's
    expert and of helpfulness's. Both are 1/2 before any training."""

    def __init__(self, size: int) -> None:
        super().__init__(size, 2, dtype=torch.float32)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.to(self.weight.dtype)).sigmoid().to(input.dtype)


class Expert(nn.Module):
    """scale B (A x), in the dtype of the layer beside it."""

    def __init__(self, factors: Factors, beside: Tensor) -> None:
        super().__init__()
        self.a = nn.Parameter(factors.a.to(beside), requires_grad=False)
        self.b = nn.Parameter(factors.b.to(beside), requires_grad=False)
        self.scale = factors.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * linear(linear(x, self.a), self.b)


class RoutedLinear(nn.Module):
    """W x + a S(x) + b H(x): the base's layer, and the experts S and H weighed a token by the router."""

    def __init__(self, base: nn.Linear, safety: Factors, helpfulness: Factors) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.safety = Expert(safety, base.weight)
        self.helpfulness = Expert(helpfulness, base.weight)
        self.router = Router(base.in_features).to(base.weight.device)
        self.experts_on = True

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.base(x)
        if not self.experts_on:
            return found
        weights = self.router(x)
        return found + weights[..., :1] * self.safety(x) + weights[..., 1:] * self.helpfulness(x)


def routed_layers(model: nn.Module) -> dict[str, RoutedLinear]:
    """By name, in the order of the network; none in a model that has no router."""
    return {name: m for name, m in model.named_modules() if isinstance(m, RoutedLinear)}


@contextmanager
def experts_off(model: nn.Module) -> Iterator[None]:
    """Within it the model is its base, bit for bit."""
    layers = routed_layers(model).values()
    for layer in layers:
        layer.experts_on = False
    try:
        yield
    finally:
        for layer in layers:
            layer.experts_on = True


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Tensor]]:
    """The weights of every router that a forward pass within it goes through, (sequences, tokens, 2)
    each, with their gradient; without a router none."""
    found: list[Tensor] = []

    def keep(router: nn.Module, given: Any, weights: Tensor) -> None:
        found.append(weights)

    hooks = [layer.router.register_forward_hook(keep) for layer in routed_layers(model).values()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
