"""What the rows of the common table are made of: models and biases, each told by what it follows from."""

from __future__ import annotations

from dataclasses import dataclass

from bfpo_bench.demo.compare import SFT, Method


@dataclass(frozen=True)
class Trained(Method):
    """A model trained from `start`, which is its reference too. `margin` is the model that an objective's
    margin comes from; with `segments` AMA (arXiv 2502.11555) masks by the corpus's rewards. `experts` are
    the adapters, of safety and of helpfulness, of which MidPO (arXiv 2506.02460) trains a router; with
    `lora` the model is such an adapter."""

    start: str = SFT
    margin: str | None = None
    segments: bool = False
    lora: bool = False
    experts: tuple[str, str] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        margin = (self.margin,) if self.margin is not None else ()
        return (self.start, *margin, *(self.experts or ()))


@dataclass(frozen=True)
class Conditioned:
    """A model that has learnt both responses of every pair, each under its levels of helpfulness and of
    safety (arXiv 2404.01295), from `start`."""

    name: str
    learning_rate: float
    start: str = SFT

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.start,)


@dataclass(frozen=True)
class Iterated(Method):
    """A model trained from `start` in `rounds`, which share the steps: each on pairs of the last model's
    own answers, as the embedded judges order them, to `prompts` prompts of the pairs that all others are
    trained on. The last one that held the gate."""

    start: str = SFT
    rounds: int = 2
    prompts: int = 600
    temperature: float = 1.0
    max_new_tokens: int = 48

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.start,)


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


Made = Trained | Conditioned | Iterated | Sum | Patched | Bias
"""`needs` names what must be there before: one of the five of `demo --compare`, or an entry before it."""
