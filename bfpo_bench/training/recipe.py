"""A recipe: everything that determines a training, in one YAML file that is checked before anything
is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from bfpo_bench.errors import UserError, first_line, key_path
from bfpo_bench.names import existing, shortened
from bfpo_bench.nearest import nearest
from bfpo_bench.training.ama.mask import WITHOUT_SEGMENTS
from bfpo_bench.training.data.load import check_conversations, check_levelled, check_pairs
from bfpo_bench.training.data.spec import DataSpec
from bfpo_bench.training.fdc.mixture import check_groups
from bfpo_bench.training.midpo.checks import check_midpo
from bfpo_bench.training.numbers import Int
from bfpo_bench.training.policies import POLICIES
from bfpo_bench.training.recipe_parts import (
    Ama,
    Experts,
    Lora,
    Margin,
    Part,
    Place,
    Shares,
    Text,
    TrainingSettings,
    with_numbers,
)

FOLDER = Path(__file__).with_name("recipes")
ACCELERATE = Path(__file__).with_name("accelerate")
"""Configurations for `accelerate launch --config_file`."""
_PLACES = {"output", "reference_cache"}
"""Keys that say where things lie: a training may be moved and go on."""
NEVER_UNSAFE = ("safedpo", "bso", "derta")
"""Objectives that have no meaning where an unsafe response is chosen over a safe one."""
_OF_PAIRS = (
    "buffer",
    "policy",
    "objective",
    "margin",
    "ama",
    "experts",
    "reference",
    "reference_cache",
    "max_prompt_length",
)


class Recipe(Part):
    """One training.

    `model` is a hub id, id@revision or folder. `chat_template` names a model or a .jinja file to take
    the template from, for models that have none. `data` is what is trained on; `buffer` (preference
    stage) is mixed in, a pair for each pair of the data. `policy` orders the pairs of the data;
    `objective` is {name: ..., hyper-parameters}. `max_length` and `max_prompt_length` count tokens.
    `reference` is precomputed (once, kept in `reference_cache`) or live (a second model in memory).
    `margin` names the model that an objective's margin comes from, where the pairs bring none. `ama`
    masks the gradient by the pairs' segment rewards; `shares` mix the data by their groups. `levels`
    (sft stage) is how many of helpfulness and of safety there are, under which responses are learnt;
    `experts` are two LoRA adapters of `model`, over which a router is trained.
    """

    name: Text
    stage: Literal["sft", "preference"]
    model: Text
    output: Place
    data: Annotated[list[DataSpec], Field(min_length=1)]
    training: TrainingSettings
    chat_template: Text | None = None
    model_dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    buffer: list[DataSpec] = []  # noqa: RUF012
    policy: Text | None = None
    objective: Annotated[dict[str, Any] | None, BeforeValidator(with_numbers)] = None
    reference: Literal["precomputed", "live"] | None = None
    reference_cache: Place | None = None
    margin: Margin | None = None
    ama: Ama | None = None
    shares: Shares | None = None
    levels: Annotated[Int, Field(ge=2, le=10)] | None = None
    experts: Experts | None = None
    train_only: Annotated[list[Text], Field(min_length=1)] | None = None
    lora: Lora | None = None
    max_length: Annotated[Int, Field(ge=2)] = 1024
    max_prompt_length: Annotated[Int, Field(ge=1)] | None = None
    packing: bool | None = None
    seed: Annotated[Int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.train_only is not None and self.lora is not None:
            raise ValueError("train_only and lora cannot be combined: choose one of them")
        for key in _OF_PAIRS:
            if self.stage == "sft" and getattr(self, key) not in (None, []):
                raise ValueError(f"{key} is for the preference stage, and this one is sft")
        check_groups(self.data, self.shares)
        if any(spec.group is not None for spec in self.buffer):
            raise ValueError("group is for data, and the buffer is taken whole: leave it out there")
        if self.stage == "preference":
            self._check_pairs()
        if self.levels is not None:
            self._check_levels()
        return self

    def _check_levels(self) -> None:
        if self.stage == "preference":
            raise ValueError(
                "levels is for the sft stage: a pair's responses are not told apart by it"
            )
        if self.packing:
            raise ValueError(
                "packing takes rows apart, and levels belong to one response: leave it out"
            )
        if self.shares is not None:
            raise ValueError("shares mix groups of rows without levels: leave shares or levels out")

    def _check_pairs(self) -> None:
        if self.packing is not None:
            raise ValueError("packing is for the sft stage: pairs are not packed")
        if self.lora is not None and self.lora.lora_dropout:
            raise ValueError(
                "lora_dropout is for the sft stage: policy and reference are compared without dropout"
            )
        if self.objective is None or not isinstance(self.objective.get("name"), str):
            raise ValueError(
                "the preference stage needs objective, such as {name: bfpo, tau: 0.01}"
            )
        if self.pair_policy not in POLICIES:
            told = f"{self.pair_policy!r}{nearest(self.pair_policy, POLICIES)}"
            raise ValueError(f"there is no policy {told}: {', '.join(POLICIES)}")
        if self.objective["name"] == "bfpo" and self.pair_policy != "helpful-only":
            raise ValueError(
                "bfpo reads the order by helpfulness from the pairs: leave policy out, which "
                "would order them by something else"
            )
        name, adapted = self.objective["name"], self.lora is not None or self.train_only is not None
        live = self.reference == "live"
        check_midpo(name, self.pair_policy, self.experts, adapted=adapted, live=live)
        if name in NEVER_UNSAFE and self.pair_policy != "safedpo":
            raise ValueError(f"the objective {name} is defined on pairs of policy: safedpo")
        if name == "ascent" and (self.pair_policy != "harmful" or self.buffer):
            raise ValueError(
                "the objective ascent unlearns every chosen response: give policy: harmful, which "
                "chooses unsafe ones, and no buffer"
            )
        if self.ama is not None and name in WITHOUT_SEGMENTS:
            raise ValueError(f"ama masks segments of the responses, and {name} learns other rows")
        if self.margin is not None and self.reference == "live":
            raise ValueError("margin scores the pairs once, before training: leave reference out")
        if self.prompt_length >= self.max_length:
            raise ValueError("max_prompt_length must be below max_length: a response needs room")

    @property
    def pair_policy(self) -> str:
        return self.policy or "helpful-only"

    @property
    def prompt_length(self) -> int:
        return self.max_prompt_length or self.max_length // 2

    @property
    def objective_name(self) -> str | None:
        return self.objective["name"] if self.objective else None

    @property
    def objective_args(self) -> dict[str, Any]:
        return {k: v for k, v in (self.objective or {}).items() if k != "name"}

    def dump(self) -> dict[str, Any]:
        """Plain values, without what was left at None."""
        return self.model_dump(mode="json", exclude_none=True)

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Keys in which a dumped recipe differs from this one, besides where things lie."""
        own = self.dump()
        found = []
        for key in sorted({*own, *other} - _PLACES):
            one, two = own.get(key), other.get(key)
            if isinstance(one, dict) and isinstance(two, dict):
                inside = sorted({*one, *two})
                found += [f"{key}.{k}" for k in inside if one.get(k) != two.get(k)]
            elif one != two:
                found.append(key)
        return found


def shipped() -> list[str]:
    """The names of the packaged recipes, model/stage."""
    return sorted(str(p.relative_to(FOLDER).with_suffix("")) for p in FOLDER.glob("*/*.yaml"))


def load_recipe(given: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file or a shipped name, with `key=value` changes (dots reach inside).

    Raises UserError for anything unknown, of a wrong type or impossible.
    """
    path = existing(given)
    if given in shipped() and (path is None or not path.is_file()):
        path = FOLDER / f"{given}.yaml"
    if path is None or not path.is_file():
        raise UserError(
            f"There is no recipe {shortened(given)}{nearest(given, shipped())}: give a YAML file or one of "
            f"{', '.join(shipped())}."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        # PyYAML lets the ValueError of a date such as 2024-13-45 through
        raise UserError(
            f"The recipe {path} cannot be read ({first_line(error)}): mend it."
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"The recipe {path} is no mapping of keys to values: mend it.")
    for change in changes:
        _apply(values, change)
    recipe = validated(given, values)
    for spec in (*recipe.data, *recipe.buffer):
        if recipe.levels is not None:
            check_levelled(spec, recipe.levels)
        else:
            (check_conversations if recipe.stage == "sft" else check_pairs)(spec)
    for spec in recipe.data if recipe.ama is not None else ():
        check_pairs(spec, segments=True)
    if recipe.objective is not None:
        from bfpo_bench.training.objective import resolve_objective

        found = resolve_objective(recipe.objective["name"], recipe.objective_args)
        if recipe.margin is not None and "margin" not in found.inputs:
            raise UserError(
                f"Recipe {given}: margin: the objective {found.name} asks for none: leave it out."
            )
        for key in ("reference", "reference_cache"):
            if getattr(recipe, key) is not None and not found.needs_reference:
                raise UserError(
                    f"Recipe {given}: {key}: the objective {found.name} needs no reference: leave it out."
                )
    return recipe


def _apply(values: dict[str, Any], change: str) -> None:
    """`training.learning_rate=1e-6`, `data.0.fraction=0.1`, `lora=null`."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise UserError(f"{change!r} is not key=value: write for example training.max_steps=10.")
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"The value of {change!r} is not YAML: put it in quotes.") from error
    place: Any = values
    *path, last = [int(part) if part.isdecimal() else part for part in key.split(".")]
    try:
        for part in path:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        place[last] = value
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"{change!r}: the recipe has no {key}: mend the key.") from error


def validated(given: str, values: dict[str, Any]) -> Recipe:
    """The recipe of these values. Raises UserError that names `given` and the first key at fault."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        # A key that is misspelt is also missing: what was written says more
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        where = key_path(first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = f"there is no such key{_hint(first['loc'])}"
        elif first["type"] == "missing":
            reason = "it is missing"
        elif first["type"] == "model_type":
            reason = "it must be a mapping of keys to values"
        raise UserError(f"Recipe {given}: {f'{where}: ' if where else ''}{reason}.") from error


def _hint(location: Sequence[int | str]) -> str:
    """The keys nearest to the unknown one at `location`, or all that are known there."""
    parts: dict[str, type[BaseModel]] = {
        "training": TrainingSettings,
        "lora": Lora,
        "margin": Margin,
        "ama": Ama,
        "experts": Experts,
        "shares": Shares,
        "data": DataSpec,
        "buffer": DataSpec,
    }
    wrong, inside = str(location[-1]), len(location) > 1
    known = list((parts[str(location[0])] if inside else Recipe).model_fields)
    # At the top, a training's own settings are the likeliest to be meant
    others = [] if inside else [f"training.{key}" for key in TrainingSettings.model_fields]
    return nearest(wrong, [*known, *others]) or f" (known: {', '.join(known)})"
