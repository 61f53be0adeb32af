"""The cuts of a levelled file, kept beside it: other responses get the same levels by them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.training.ama.rewards import bounded
from bfpo_bench.training.control.cuts import Cuts, Rule, quantile_cuts, width_cuts

Axis = Literal["helpfulness", "safety"]
AXES: tuple[Axis, ...] = get_args(Axis)
DEFAULT, MOST = 5, 10
"""Levels of each axis: where nothing is said, and at most."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class JudgedBy(_Part):
    """One axis: the judge, as a comparability key knows it, and the cuts of its scores."""

    name: str
    judge: dict[str, Any]
    rule: Rule
    cuts: tuple[float, ...]

    @property
    def whole(self) -> Cuts:
        return Cuts(self.rule, self.cuts)


class StoredCuts(_Part):
    """The sidecar's contents; `rows` were levelled when the cuts were made."""

    format: Literal[1] = 1
    levels: Annotated[int, Field(ge=2, le=MOST)]
    rows: int
    helpfulness: JudgedBy
    safety: JudgedBy

    @model_validator(mode="after")
    def _rising(self) -> StoredCuts:
        for axis in AXES:
            values = getattr(self, axis).cuts
            if len(values) != self.levels - 1 or list(values) != sorted(values):
                raise ValueError(f"{self.levels} levels have {self.levels - 1} rising cuts")
        return self

    def of(self, axis: Axis) -> Cuts:
        found: JudgedBy = getattr(self, axis)
        return found.whole


def sidecar(path: Path) -> Path:
    """Where the cuts of the levelled file `path` are kept."""
    return path.with_name(f"{path.name}.cuts.json")


def make_cuts(
    scores: Sequence[Mapping[Axis, float]], judges: Mapping[Axis, PlannedJudge], levels: int
) -> StoredCuts:
    """Quantiles of the scores; of judges whose scores are probabilities or labels, equal widths.

    Raises UserError where all scores of a judge are equal: they tell no response from another.
    """
    told: dict[Axis, JudgedBy] = {}
    for axis in AXES:
        mine, planned = [score[axis] for score in scores], judges[axis]
        if len(set(mine)) < 2:
            raise UserError(
                f"Judge {planned.judge.key} gives all {len(mine)} responses the score {mine[0]:g}, which "
                f"makes no levels of {axis}: give responses that differ, or another judge."
            )
        cuts = width_cuts(levels) if bounded(planned.judge.spec) else quantile_cuts(mine, levels)
        told[axis] = JudgedBy(
            name=planned.judge.key, judge=planned.identity(), rule=cuts.rule, cuts=cuts.values
        )
    return StoredCuts(
        levels=levels,
        rows=len(scores),
        helpfulness=told["helpfulness"],
        safety=told["safety"],
    )


def write_cuts(path: Path, cuts: StoredCuts) -> None:
    write_atomically(path, json.dumps(cuts.model_dump(mode="json"), indent=1) + "\n")


def read_cuts(path: Path, judges: Mapping[Axis, PlannedJudge], levels: int | None) -> StoredCuts:
    """The cuts of another file. Raises UserError for what is none, for another number of levels than
    is asked for, and for cuts of another judge's scores."""
    found = _stored(
        path, f"--cuts {path}", "name one that `bfpo-bench levels` wrote beside its output"
    )
    if levels not in (None, found.levels):
        raise UserError(
            f"--cuts {path} makes {found.levels} levels, and --levels asks for {levels}: leave one out."
        )
    for axis in AXES:
        mine: JudgedBy = getattr(found, axis)
        if mine.judge != judges[axis].identity():
            raise UserError(
                f"--cuts {path} has cuts of {mine.name}'s scores, and --{axis} is not that judge as it was "
                "then: name the same, or leave --cuts out."
            )
    return found


def check_count(path: Path, levels: int) -> None:
    """Raises UserError where the cuts beside the levelled file `path` make another number of levels,
    or are none. A file may have none beside it: its levels are then not known to be of these."""
    beside = sidecar(path)
    if not beside.is_file():
        return
    found = _stored(beside, str(beside), "restore or remove it")
    if found.levels != levels:
        raise UserError(
            f"{path} was made with {found.levels} levels, as {beside.name} beside it says, and the recipe "
            f"has levels: {levels}: set it to {found.levels}."
        )


def _stored(path: Path, named: str, mend: str) -> StoredCuts:
    try:
        return StoredCuts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{named} cannot be read ({error.strerror}): mend the path.") from error
    except ValidationError as error:
        raise UserError(f"{named} is no file of cuts ({first_line(error)}): {mend}.") from error
