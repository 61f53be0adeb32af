"""Rules that a comparison must keep: a gate for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bfpo_bench.errors import UserError, first_line, key_path
from bfpo_bench.leaderboard.compare.result import OVER_REFUSAL, Comparison, Difference
from bfpo_bench.nearest import nearest
from bfpo_bench.scoring.aggregate import CELLS

_AGGREGATES = ("helpfulness", "harmlessness", OVER_REFUSAL)
_PREFIXES = ("cell", "family", "task")
_ROUNDING = 1e-9
Points = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Rule(BaseModel):
    """Bounds of one score's difference b - a, in points.

    `score` is helpfulness, harmlessness, over_refusal, cell:NAME, family:NAME or task:NAME.
    `breaks_when` says what must lie beyond a bound for the rule to break: any of the 95 % `interval`
    (so that the rule holds only where that is shown), the difference itself (`point`), or all of the
    interval (`significant`: it breaks only where that is shown). An interval of no width is taken for
    `unseen` points wide to either side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: Annotated[str, Field(strict=True)]
    at_least: Points | None = None
    at_most: Points | None = None
    breaks_when: Literal["interval", "point", "significant"] = "interval"

    @model_validator(mode="after")
    def _bounded(self) -> Rule:
        if self.at_least is None and self.at_most is None:
            raise ValueError("it has neither at_least nor at_most")
        if None not in (self.at_least, self.at_most) and self.at_least > self.at_most:  # type: ignore[operator]
            raise ValueError("its at_least is above its at_most")
        return self

    @property
    def name(self) -> str:
        """The score's, as in a Comparison."""
        prefix, _, name = self.score.partition(":")
        return name if prefix in _PREFIXES else self.score


class Rules(BaseModel):
    """A rules file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


class RuleResult(BaseModel):
    """A rule and whether it holds; `said` has the numbers, or why the score could not be compared."""

    model_config = ConfigDict(frozen=True)

    rule: Rule
    holds: bool
    said: str


class GateResult(BaseModel):
    """`passed` where every rule holds."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    rules: list[RuleResult]


def read_rules(path: Path) -> Rules:
    """Raises UserError for a file that is missing, no YAML, or has anything else than rules."""
    try:
        return Rules.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise UserError(
            f"The rules {path} cannot be read ({error.strerror}): give another --gate."
        ) from error
    except ValidationError as error:
        raise UserError(f"{path}: {_mistake(error)}: mend the rule.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML ({first_line(error)}): mend it.") from error


def _mistake(error: ValidationError) -> str:
    """Where the first mistake is, and what. A wrong key goes first: what lacks may be misspelt."""
    found = error.errors()
    one = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    place = [str(part + 1) if isinstance(part, int) else part for part in one["loc"]]
    where = key_path(place) or "the file"
    if one["type"] != "extra_forbidden":
        return f"{where}: {one['msg'].removeprefix('Value error, ')}"
    owner, keys = (
        ("a rule", Rule.model_fields) if len(place) > 1 else ("the file", Rules.model_fields)
    )
    return f"{where}: no such key{nearest(place[-1], keys)}, {owner} has {', '.join(keys)}"


def check_gate(rules: Rules, comparison: Comparison) -> GateResult:
    """Hold the rules against the comparison. A rule about a score that could not be compared breaks.

    Raises UserError for a score that neither run knows.
    """
    known = _known(comparison)
    for rule in rules.rules:
        if rule.score not in known:
            raise UserError(
                f"There is no score {rule.score!r} in these runs{nearest(rule.score, list(known))}: a "
                f"rule names {', '.join(_AGGREGATES)}, cell:NAME, family:NAME or task:NAME."
            )
    found = [_held(rule, comparison, known[rule.score]) for rule in rules.rules]
    return GateResult(passed=all(one.holds for one in found), rules=found)


def _known(comparison: Comparison) -> Mapping[str, str | None]:
    """What a rule may name -> why it is not compared, where it is not."""
    known: dict[str, str | None] = {name: None for name in _AGGREGATES}
    known |= {f"cell:{name}": "not scored in either run" for name in CELLS}
    for side, other, tasks in (
        ("A", "B", comparison.only_a),
        ("B", "A", comparison.only_b),
    ):
        known |= {f"task:{task}": f"asked in {side} and not in {other}" for task in tasks}
    for name, reason in comparison.unscored.items():
        known[_rule_name(name)] = reason
    return known | {_rule_name(score.name): None for score in comparison.scores}


def _rule_name(name: str) -> str:
    if name in _AGGREGATES:
        return name
    kind = ("task", "cell", "family")[min(2, name.count("/"))]
    return f"{kind}:{name}"


def _held(rule: Rule, comparison: Comparison, reason: str | None) -> RuleResult:
    score = comparison.score(rule.name)
    if score is None:
        return RuleResult(rule=rule, holds=False, said=f"not compared: {reason}")
    return RuleResult(rule=rule, holds=_holds(rule, score), said=_numbers(score))


def _holds(rule: Rule, score: Difference) -> bool:
    # An interval of no width reaches as far as what it does not exclude
    low, high = score.low - (score.unseen or 0), score.high + (score.unseen or 0)
    # The ends that are held against a lower and an upper bound
    low, high = {
        "interval": (low, high),
        "point": (score.difference, score.difference),
        "significant": (high, low),
    }[rule.breaks_when]
    return (rule.at_least is None or low >= rule.at_least - _ROUNDING) and (
        rule.at_most is None or high <= rule.at_most + _ROUNDING
    )


def _numbers(score: Difference) -> str:
    left_out = f", {score.left_out} pairs left out" if score.left_out else ""
    unseen = (
        "" if score.unseen is None else f"; none changed, or all alike: {_unseen(score.unseen)}"
    )
    return (
        f"{score.difference:+.2f} points, 95 % interval {score.low:+.2f} to {score.high:+.2f} "
        f"({score.n_pairs} pairs{left_out}{unseen})"
    )


def _unseen(points: float) -> str:
    return f"this does not exclude changes of up to about {points:.1f} points"


def bounds_text(rule: Rule) -> str:
    """'at least -1, by its interval'."""
    ends: Sequence[tuple[str, Any]] = (("at least", rule.at_least), ("at most", rule.at_most))
    told = " and ".join(f"{word} {bound:+g}" for word, bound in ends if bound is not None)
    how = {
        "interval": "all of its interval",
        "point": "its difference",
        "significant": "some of its interval",
    }
    return f"{how[rule.breaks_when]} {told}"
