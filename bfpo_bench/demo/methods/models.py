"""What the rows of the common table are made of: models and biases, each told by what it follows from."""

from __future__ import annotations

from dataclasses import dataclass

from bfpo_bench.demo.compare import SFT, Method


@dataclass(frozen=True)
class Trained(Method):
    """A model trained from `start`, which is its reference too. `margin` is the model that the margin of
    arXiv 2310.03708 comes from; with `segments` AMA (arXiv 2502.11555) masks by the corpus's rewards."""

    start: str = SFT
    margin: str | None = None
    segments: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.start,) if self.margin is None else (self.start, self.margin)


@dataclass(frozen=True)
class Sum:
    """A model whose weights are those of `models`, each times its own of `weights`."""

    name: str
    models: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        return self.models


@dataclass(frozen=True)
class Patched:
    """`base` with the sparse patches of two models trained from it (arXiv 2405.13820), each of the top
    `share` of its SNIP scores."""

    name: str
    safety: str
    over_safety: str
    base: str = SFT
    share: float = 0.1

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.base, self.safety, self.over_safety)


@dataclass(frozen=True)
class Bias:
    """What `model` prefers over `reference` at the first `positions` of any answer (arXiv 2502.02153),
    over so many `prompts` of the corpus's words at random."""

    name: str
    model: str
    reference: str = SFT
    positions: int = 5
    prompts: int = 256

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.model, self.reference)


Made = Trained | Sum | Patched | Bias
"""`needs` names what must be there before: one of the five of `demo --compare`, or an entry before it."""
