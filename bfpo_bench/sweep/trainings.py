"""Points that are trained, each by the recipe with other values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress, Report, Ui
from bfpo_bench.runs.identity import digest
from bfpo_bench.stages.process import run_stage
from bfpo_bench.sweep.grid import Knob, Point
from bfpo_bench.training.output import INPUTS, is_finished
from bfpo_bench.training.prepare import base_of, tokenizer_of
from bfpo_bench.training.recipe import Recipe, load_recipe

_PLACES = {"output", "reference_cache"}
_OF_INPUTS = {"stage", "model", "chat_template", "data", "buffer", "shares", "seed", "ama"}
"""What of a recipe decides which base, tokenizer and data a training reads."""


@dataclass(frozen=True)
class Trainings:
    """`recipes`: of each point, by its name."""

    recipes: Mapping[str, Recipe]
    command: Sequence[str]

    @property
    def models(self) -> tuple[str, ...]:
        """What the points are trained from."""
        return tuple(dict.fromkeys(recipe.model for recipe in self.recipes.values()))

    def identity(self, point: Point) -> str:
        return digest(_values(self.recipes[point.name]))

    def is_made(self, point: Point) -> bool:
        """Raises UserError where the point's folder holds another training, or something else."""
        return is_finished(self.recipes[point.name])

    def make(self, point: Point, title: str, log: Path, ui: Ui) -> None:
        """Train in a process of its own, which gives all its memory back. Raises UserError or StageCrash;
        whole checkpoints survive both."""
        job = TrainJob(self.recipes[point.name], tuple(self.command))
        with ui.stage(f"{title}: train") as report:
            run_stage("train", train_point, job, log=log, report=report)

    def check(self, ui: Ui) -> None:
        """Raises UserError for a base that no training can begin with."""
        with ui.stage("models") as report:
            for recipe in {(r.model, r.chat_template): r for r in self.recipes.values()}.values():
                tokenizer_of(recipe, base_of(recipe, lambda text: report(Progress(text))))

    def check_alike(self) -> None:
        """Raises UserError where points read other data, or began with another base, than their recipes
        explain: a source had changed in between, and no front may be drawn of both."""
        seen: dict[str, tuple[Path, dict[str, Any]]] = {}
        for recipe in self.recipes.values():
            kept = recipe.output / INPUTS
            if not is_finished(recipe) or not kept.is_file():
                continue
            asked = digest({k: v for k, v in _values(recipe).items() if k in _OF_INPUTS})
            inputs = json.loads(kept.read_text())
            other, theirs = seen.setdefault(asked, (recipe.output, inputs))
            if changed := [name for name in inputs if theirs.get(name) != inputs[name]]:
                raise UserError(
                    f"The {' and the '.join(changed)} changed between the trainings in {other} and "
                    f"{recipe.output}: restore what it was and delete the one that is not of it."
                )


def trainings_of(
    given: str,
    changes: Sequence[str],
    knobs: Sequence[Knob],
    points: Sequence[Point],
    out: Path,
    command: Sequence[str],
) -> Trainings:
    """A recipe for each point, trained into `out/<point>`.

    Raises UserError as `load_recipe` does, for a key that the sweep sets itself, and for points that
    come out as one training.
    """
    fixed = [change.partition("=")[0] for change in changes]
    for key in (*fixed, *(knob.key for knob in knobs)):
        if key == "output":
            raise UserError(
                "output is DIR/POINT for each point of a sweep: say where with --out DIR."
            )
    if twice := [knob.key for knob in knobs if knob.key in fixed]:
        raise UserError(f"{twice[0]} is swept and given a value as well: leave one of them out.")
    recipes: dict[str, Recipe] = {}
    seen: dict[str, Point] = {}
    for point in points:
        output = f"output={json.dumps(str(out / point.name))}"
        recipe = load_recipe(given, (*changes, *point.changes, output))
        other = seen.setdefault(digest(_values(recipe)), point)
        if other is not point:
            raise UserError(
                f"{other.label} and {point.label} come out as one training: leave one of them out."
            )
        recipes[point.name] = recipe
    return Trainings(recipes, command)


def _values(recipe: Recipe) -> dict[str, Any]:
    """What the recipe says, but for where things lie."""
    return {key: value for key, value in recipe.dump().items() if key not in _PLACES}


@dataclass(frozen=True)
class TrainJob:
    """What the training's process needs."""

    recipe: Recipe
    command: tuple[str, ...]


def train_point(job: TrainJob, report: Report) -> None:
    """The stage: the training's bars go to its owner, its lines to the log."""
    from bfpo_bench.training.train import train

    train(job.recipe, job.command, _Logged(report))


class _Logged:
    def __init__(self, report: Report) -> None:
        self._report = report

    def note(self, text: str) -> None:
        print(text, flush=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        yield self._report
