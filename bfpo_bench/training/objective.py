"""An objective by its name: ours, or a package's through the entry point `bfpo_bench.objectives`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.nearest import nearest

OURS = (
    *("bfpo", "dpo", "ipo", "ipo_mean", "safedpo", "bso", "modpo", "sft", "ascent", "derta"),
    *("midpo_safety", "midpo_helpfulness", "midpo_router"),
)
OFFERED = (
    "policy_chosen",
    "policy_rejected",
    "ref_chosen",
    "ref_rejected",
    "chosen_safe",
    "rejected_safe",
    "chosen_length",
    "rejected_length",
    "margin",
    "safety_use",
    "helpfulness_lack",
)
"""What a batch has to offer, as objectives.py describes it."""


@dataclass(frozen=True)
class Objective:
    """`function(*tensors named by inputs, **parameters)` gives one loss a pair."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    parameters: dict[str, Any]

    @property
    def needs_reference(self) -> bool:
        """Whether a reference's log-probabilities go into the loss."""
        return not {"ref_chosen", "ref_rejected"}.isdisjoint(self.inputs)

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        return self.function(*(batch[name] for name in self.inputs), **self.parameters)


def resolve_objective(name: str, parameters: Mapping[str, Any]) -> Objective:
    """The objective with its hyper-parameters, defaults filled in.

    Raises UserError for an unknown name or parameter, a parameter out of its range, or a function
    that asks for what no batch has.
    """
    function = _function(name)
    inputs, defaults = _signature(name, function)
    if unknown := sorted(set(parameters) - set(defaults)):
        known = ", ".join(defaults) or "none"
        raise UserError(
            f"The objective {name} has no parameter {unknown[0]!r}"
            f"{nearest(unknown[0], defaults)}: it takes {known}."
        )
    found = {**defaults, **parameters}
    for key, value in found.items():
        if value is inspect.Parameter.empty:
            raise UserError(f"The objective {name} needs {key}: give it beside the name.")
        _check_number(name, key, value, defaults[key])
    _check_ranges(name, found)
    return Objective(name, function, inputs, found)


def _function(name: str) -> Callable[..., Any]:
    if name in OURS:
        from bfpo_bench.training import objectives

        return getattr(objectives, name)
    others = {point.name: point for point in entry_points(group="bfpo_bench.objectives")}
    if name not in others:
        raise UserError(
            f"There is no objective {name!r}{nearest(name, [*OURS, *others])}: "
            f"name one of {', '.join([*OURS, *sorted(others)])}."
        )
    try:
        return others[name].load()
    except Exception as error:
        # A stranger's package may fail at its import in any way
        raise UserError(
            f"The objective {name} of {others[name].value} cannot be loaded ({first_line(error)}): "
            "mend or update that package."
        ) from error


def _signature(name: str, function: Callable[..., Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(the tensors it takes, its hyper-parameters with their defaults)."""
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The objective {name} is no function with a signature ({first_line(error)}): its entry "
            "point must read package.module:function."
        ) from error
    inputs = tuple(p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    defaults = {p.name: p.default for p in given if p.kind is p.KEYWORD_ONLY}
    if foreign := [p.name for p in given if p.name not in (*OFFERED, *defaults)]:
        raise UserError(
            f"The objective {name} asks for {foreign[0]!r}, which no batch has: its positional "
            f"parameters must be among {', '.join(OFFERED)}, and the rest keyword-only."
        )
    return inputs, defaults


def _check_number(name: str, key: str, value: Any, default: Any) -> None:
    """Ours take numbers only; what another's parameter may be, its default says."""
    if isinstance(default, float) and (
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ):
        raise UserError(f"The objective {name} takes a finite number as {key}, not {value!r}.")


def _check_ranges(name: str, parameters: Mapping[str, Any]) -> None:
    """The ranges outside of which ours lose their meaning; the pure functions take anything."""
    if name not in OURS:
        return
    for key in ("tau", "beta", "scale", "power", "bound"):
        if key in parameters and not parameters[key] > 0:
            raise UserError(f"The objective {name} needs {key} above 0, not {parameters[key]}.")
    if "alpha" in parameters and not 0 < parameters["alpha"] < 1:
        raise UserError(
            f"The objective {name} needs alpha between 0 and 1, not {parameters['alpha']}: only there "
            "does it rank helpful and unsafe last and unhelpful and safe second."
        )
    if "b1" in parameters and not parameters["b1"] > 1:
        raise UserError(f"The objective {name} needs b1 above 1, not {parameters['b1']}.")
    if "transition" in parameters and not parameters["transition"] >= 0:
        raise UserError(
            f"The objective {name} needs transition at 0 or above, not {parameters['transition']}."
        )
    if name == "midpo_router" and not parameters["penalty"] >= 0:
        raise UserError(
            f"The objective {name} needs penalty at 0 or above, not {parameters['penalty']}."
        )
    if "weight" in parameters and not 0 < parameters["weight"] <= 1:
        raise UserError(f"The objective {name} needs weight in (0, 1], not {parameters['weight']}.")
