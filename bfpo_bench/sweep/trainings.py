"""Points that are trained, each by the recipe with other values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.runs.identity import digest
from bfpo_bench.sweep.grid import Knob, Point
from bfpo_bench.training.inputs import DECIDED_BY, models_of
from bfpo_bench.training.output import INPUTS, is_finished
from bfpo_bench.training.recipe import Recipe, load_recipe
from bfpo_bench.training.stage import train_apart

_PLACES = {"output", "reference_cache"}


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
        recipe = self.recipes[point.name]
        train_apart(recipe, self.command, title=title, log=log, ui=ui, aloud=False)

    def check(self, ui: Ui) -> None:
        """Raises UserError for a base, experts or a margin's model that no training can begin with."""
        recipes = self.recipes.values()
        several = {(r.model, r.chat_template, r.experts, r.margin): r for r in recipes}
        with ui.stage("models") as report:
            for recipe in several.values():
                models_of(recipe, lambda text: report(Progress(text)))

    def check_alike(self) -> None:
        """Raises UserError where points read other data, or began with other models, than their recipes
        explain: a source had changed in between, and no front may be drawn of both."""
        seen: dict[str, tuple[Path, str]] = {}
        for recipe in self.recipes.values():
            kept = recipe.output / INPUTS
            if not is_finished(recipe) or not kept.is_file():
                continue
            inputs = json.loads(kept.read_text())
            for name in (one for one in DECIDED_BY if one in inputs):
                asked = digest([name, [_value(recipe, key) for key in DECIDED_BY[name]]])
                other, theirs = seen.setdefault(asked, (recipe.output, inputs[name]))
                if theirs != inputs[name]:
                    raise UserError(
                        f"The {name} changed between the trainings in {other} and {recipe.output}: "
                        "restore what it was and delete the one that is not of it."
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


def _value(recipe: Recipe, key: str) -> Any:
    """Of a key with dots inside; None where the recipe leaves it out."""
    found: Any = recipe.dump()
    for part in key.split("."):
        found = found.get(part) if found is not None else None
    return found
