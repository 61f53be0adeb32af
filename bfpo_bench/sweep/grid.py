"""What is swept: keys with their values, the points of all of them, and who works which."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bfpo_bench.errors import UserError
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.shard import Shard
from bfpo_bench.training.numbers import yaml_number

_LONGEST = 100
_LARGEST = 1 << 53
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class Knob:
    """A recipe's key (`objective.tau`) and the values that it takes, in the order of the sweep."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One of the trainings. `name` is that of its folder, `label` what a picture shows of it; `values`
    has one for each key."""

    name: str
    label: str
    values: dict[str, Any]

    @property
    def changes(self) -> tuple[str, ...]:
        """As `load_recipe` takes them: JSON is YAML."""
        return tuple(f"{key}={json.dumps(value)}" for key, value in self.values.items())


def read_knob(text: str) -> Knob:
    """`objective.tau=0.01,0.1`: values as in a YAML list, so those with commas stand in quotes or
    brackets. Raises UserError for anything else, and for a value that is there twice."""
    key, equals, listed = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--over {text!r} is not KEY=VALUE,VALUE: write for example objective.tau=0.01,0.1."
        )
    return Knob(key.strip(), read_values("--over", text, listed))


def read_values(option: str, text: str, listed: str) -> tuple[Any, ...]:
    """The values of a list, numbers as numbers; `option` and `text` are what a UserError names."""
    try:
        found = [_value(value) for value in yaml.safe_load(f"[{listed}]")]
        told = [json.dumps(value) for value in found]
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"The values of {option} {text!r} are no YAML list: put text in quotes."
        ) from error
    if not found:
        raise UserError(f"{option} {text!r} has no values: give some, separated by commas.")
    if twice := [value for value, times in Counter(told).items() if times > 1]:
        raise UserError(f"{option} {text!r} has the value {twice[0]} twice: give it once.")
    return tuple(found)


def _value(value: Any) -> Any:
    """Numbers that are equal have one form; 1e30 is not spelt out as a whole number."""
    found = yaml_number(value)
    large = isinstance(found, int) and abs(found) > _LARGEST
    return float(found) if large else found


def points_of(prefix: str, knobs: Sequence[Knob]) -> tuple[Point, ...]:
    """Every combination of the knobs' values, the last knob's changing fastest.

    A point is called `prefix-tau0.01-alpha0.5`, in characters that every file system takes; where that
    is too long, or would be another's name too, a hash of the values ends it. Raises UserError for a
    key that is there twice.
    """
    keys = [knob.key for knob in knobs]
    if twice := [key for key, times in Counter(keys).items() if times > 1]:
        raise UserError(f"--over {twice[0]} is given twice: list all its values in one.")
    short = _short(keys)
    combinations = list(itertools.product(*(knob.values for knob in knobs)))
    texts = [
        [(name, _text(value)) for name, value in zip(short, values, strict=True)]
        for values in combinations
    ]
    names = [_plain("-".join((prefix, *(n + v for n, v in parts)))) for parts in texts]
    # As on file systems that do not tell upper case from lower
    times = Counter(name.casefold() for name in names)
    return tuple(
        Point(
            name=name
            if times[name.casefold()] == 1 and len(name) <= _LONGEST
            else f"{name[:_LONGEST]}-{digest(values)[:8]}",
            label=" ".join(f"{n}={v}" for n, v in parts),
            values=dict(zip(keys, values, strict=True)),
        )
        for name, parts, values in zip(names, texts, combinations, strict=True)
    )


def dealt(points: Sequence[Point], shard: Shard | None) -> tuple[Point, ...]:
    """The shard's points, dealt out like cards; all where there is no shard."""
    return tuple(points if shard is None else points[shard.number - 1 :: shard.count])


def _short(keys: Sequence[str]) -> list[str]:
    """The last part of each key, or the whole one where two end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    times = Counter(ends)
    return [end if times[end] == 1 else key for key, end in zip(keys, ends, strict=True)]


def _text(value: Any) -> str:
    """As a name and a label have it: 0.01, harmful, [a, b]."""
    return value if isinstance(value, str) else json.dumps(value)


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip("-.") or "point"
