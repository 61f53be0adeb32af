"""What the numbers of a comparison say, in sentences computed from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.leaderboard.pareto import on_front


@dataclass(frozen=True)
class Side:
    """A score in percent with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"

    def overlaps(self, other: Side) -> bool:
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Measured:
    """One model on both sides."""

    name: str
    helpful: Side
    harmless: Side


def sentences(models: Sequence[Measured], subject: str) -> list[str]:
    """The best on each side, what `subject` gained and gave up against each rival, and the upshot."""
    own = next(m for m in models if m.name == subject)
    rivals = [m for m in models if m.name != subject]
    return [
        _bests(models),
        *(_against(own, rival) for rival in rivals),
        _upshot(own, rivals),
    ]


def overview(models: Sequence[Measured], subject: str) -> list[str]:
    """Of many models: the best on each side and by the mean of both, whom its intervals do not tell from
    it, who is on the Pareto front, and the upshot for `subject`."""
    own = next(m for m in models if m.name == subject)
    front = on_front([(m.helpful.value, m.harmless.value) for m in models])
    first, *rest = sorted(models, key=_mean, reverse=True)
    near = [m.name for m in rest if _overlap(m, first)]
    return [
        _bests(models),
        f"Highest mean of the two: {first.name}, {_mean(first):.1f}; intervals that overlap with its own "
        f"on both sides: {', '.join(near) or 'none'}.",
        f"On the Pareto front: {', '.join(m.name for m, on in zip(models, front, strict=True) if on)}.",
        _upshot(own, [m for m in models if m is not own]),
    ]


def _mean(model: Measured) -> float:
    return (model.helpful.value + model.harmless.value) / 2


def _overlap(one: Measured, other: Measured) -> bool:
    return one.helpful.overlaps(other.helpful) and one.harmless.overlaps(other.harmless)


def _bests(models: Sequence[Measured]) -> str:
    return (
        f"Most helpful: {_best([(m.name, m.helpful) for m in models])}; "
        f"most harmless: {_best([(m.name, m.harmless) for m in models])}."
    )


def _best(sides: Sequence[tuple[str, Side]]) -> str:
    top = max(sides, key=lambda named: named[1].value)[1]
    names = [name for name, side in sides if side.value == top.value]
    return f"{' and '.join(names)}, {top}"


def _against(own: Measured, rival: Measured) -> str:
    return (
        f"{own.name} against {rival.name}: harmlessness {_change(own.harmless, rival.harmless)}, "
        f"helpfulness {_change(own.helpful, rival.helpful)}."
    )


def _change(own: Side, other: Side) -> str:
    """`+47.1 (intervals apart)`: own score less the other's."""
    return (
        f"{own.value - other.value:+.1f} "
        f"(intervals {'overlap' if own.overlaps(other) else 'apart'})"
    )


def _upshot(own: Measured, rivals: Sequence[Measured]) -> str:
    """Who is no worse on either side and better on one: no trade-off explains that."""
    over = [rival.name for rival in rivals if _dominates(rival, own)]
    under = [rival.name for rival in rivals if _dominates(own, rival)]
    told = [f"{' and '.join(over)} over {own.name}"] if over else []
    told += [f"{own.name} over {' and '.join(under)}"] if under else []
    return (
        "No worse on either side and better on one, by the values alone: "
        f"{'; '.join(told) or f'no rival over {own.name}, and {own.name} over none'}."
    )


def _dominates(one: Measured, other: Measured) -> bool:
    pairs = ((one.helpful, other.helpful), (one.harmless, other.harmless))
    values = [(a.value, b.value) for a, b in pairs]
    return all(a >= b for a, b in values) and any(a > b for a, b in values)
