"""Where the models of a block stand, in sentences that say no more than the intervals do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bfpo_bench.leaderboard.pareto import on_front
from bfpo_bench.leaderboard.report.model import BlockView, Interval, Row
from bfpo_bench.names import of_null_engine

_AXES = (("helpfulness", "helpful"), ("harmlessness", "harmless"))


def headline(block: BlockView) -> list[str]:
    """One to four sentences, and none on the null engine's rows. A model is called the first of something only where its whole interval
    lies above every other's; where intervals overlap, that is what is said: a comparison document by
    document may still tell the models apart."""
    rows = [r for r in block.rows if not of_null_engine(r.model)]
    if not rows:
        return []
    drawn = [r for r in rows if all(r.scores[axis].value is not None for axis, _ in _AXES)]
    if not drawn:
        return ["No model has both a helpfulness and a harmlessness yet, so nothing is ranked."]
    if len(drawn) == 1:
        others = len(rows) - 1
        lacking = [f"The other {_models(others)} one of the two scores, or both."] if others else []
        return [_alone(drawn[0]), *lacking]
    if len({frozenset(row.missing) for row in drawn}) > 1:
        return ["Nothing is ranked: these rows lack different tasks, so their means are not alike."]
    said = [
        _first([r for r in rows if r.scores[axis].value is not None], axis, word)
        for axis, word in _AXES
    ]
    model = "model" if len(drawn) == len(rows) else "model with both scores"
    front = pareto_front(drawn)
    if len(front) == len(drawn):
        said.append(f"By value, no {model} is ahead of another on both axes.")
    elif len(front) == 1:
        said.append(f"By value, no {model} is ahead of {front[0].label} on either axis.")
    else:
        names = some([r.label for r in front], 6)
        said.append(
            f"By value, the Pareto front is {names}: every other {model} is behind one of them."
        )
    behind = {r.label: by for r in drawn if (by := clearly_behind(r, drawn))}
    if behind:
        said.append(_behind(behind))
    return said


def _behind(behind: Mapping[str, Sequence[str]]) -> str:
    if len(behind) == 1:
        [(label, by)] = behind.items()
        return f"On both axes, and beyond the intervals, {label} is behind {some(by, 3)}."
    names = some(list(behind), 3)
    return f"On both axes, and beyond the intervals, each of these is behind another: {names}."


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats, by value."""
    points = [(_value(row, "helpfulness"), _value(row, "harmlessness")) for row in rows]
    return [row for row, optimal in zip(rows, on_front(points), strict=True) if optimal]


def clearly_behind(row: Row, rows: Sequence[Row]) -> list[str]:
    """The models whose intervals lie above this row's on both axes."""
    return [
        other.label
        for other in rows
        if all(other.scores[axis].above(row.scores[axis]) for axis, _ in _AXES)
    ]


def _first(rows: Sequence[Row], axis: str, word: str) -> str:
    ordered = sorted(rows, key=lambda r: _value(r, axis), reverse=True)
    best = ordered[0]
    near = [r for r in ordered[1:] if not best.scores[axis].above(r.scores[axis])]
    if not near:
        return f"{best.label} is the most {word}: {told(best.scores[axis])}."
    equal = [r.label for r in ordered if _value(r, axis) == _value(best, axis)]
    if len(equal) > 1:
        return (
            f"By intervals alone, no model is clearly the most {word}: {some(equal, 6)} share the "
            f"highest value, {_value(best, axis):.1f}."
        )
    if len(near) == len(ordered) - 1 and len(near) > 1:
        which = "every other interval overlaps"
    else:
        which = f"{some([r.label for r in near], 3)} {'overlaps' if len(near) == 1 else 'overlap'}"
    return (
        f"By intervals alone, no model is clearly the most {word}: {best.label} has the highest value, "
        f"{told(best.scores[axis])}, which {which}."
    )


def _alone(row: Row) -> str:
    both = " and ".join(f"{told(row.scores[axis])} {axis}" for axis, _ in _AXES)
    return f"{row.label} has {both}, in percent with 95 % intervals."


def told(score: Interval) -> str:
    """'71.2 [69.0, 73.3]', or a dash where there is no score."""
    if score.value is None or score.low is None or score.high is None:
        return "–"
    return f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"


def _models(number: int) -> str:
    return "model lacks" if number == 1 else f"{number} models lack"


def listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def some(names: Sequence[str], most: int) -> str:
    """The names listed, at most so many of them, and how many more there are."""
    more = len(names) - most
    return listed([*names[:most], f"{more} more"]) if more > 0 else listed(names)


def _value(row: Row, axis: str) -> float:
    value = row.scores[axis].value
    assert value is not None, "only rows that have both scores are compared"
    return value
