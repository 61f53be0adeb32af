"""A recipe's experts: found, held against the base, and put into its model under a new router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bfpo_bench.engines.routed.expert import read_expert
from bfpo_bench.engines.routed.folder import ROLES, ExpertSource, Routing, put_router
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.errors import UserError
from bfpo_bench.training.midpo.checks import ORDERS
from bfpo_bench.training.recipe_parts import Experts


def routing_of(experts: Experts | None, base: Subject) -> Routing | None:
    """The experts on this disk, checked as far as their files tell; None where the recipe names none.

    Raises UserError for what is no adapter of down_proj layers, or was trained from another base, or in
    the other role.
    """
    if experts is None:
        return None
    found = {role: _expert(role, getattr(experts, role), base) for role in ROLES}
    if found[ROLES[0]].weights == found[ROLES[1]].weights:
        raise UserError(
            f"experts: {experts.safety} and {experts.helpfulness} are the same adapter: name one expert "
            "for safety and one for helpfulness."
        )
    source = base.base
    where = source.name if source.commit is not None else str(source.folder)
    return Routing(where, source.commit, base.identity.weights, found)


def routed_model(model: Any, routing: Routing) -> Any:
    """`model`, the base, with the experts under a router that is still to be trained.

    Raises UserError for an expert that does not fit the model's layers.
    """
    put_router(model, {role: (one.name, one.folder) for role, one in routing.experts.items()})
    return model


def experts_in(routing: Routing | None) -> Mapping[str, ExpertSource]:
    """By role; none without a router."""
    return {} if routing is None else routing.experts


def _expert(role: str, given: str, base: Subject) -> ExpertSource:
    subject = resolve_subject(given)
    if subject.adapter is None or subject.routed:
        raise UserError(
            f"experts.{role}: {given} is no LoRA adapter: name one that was trained from {base.name} with "
            "lora: {target_modules: [down_proj]}."
        )
    told = subject.training
    known = [(subject.base.name, subject.identity.weights)]
    if told is not None and told.base is not None and told.base.weights is not None:
        known.append((told.base.name, told.base.weights))
    for name, weights in known:
        _check_base(role, given, name, weights, base)
    other = next(name for name in ORDERS if name != f"midpo_{role}")
    if told is not None and told.objective == other:
        raise UserError(
            f"experts.{role}: {given} was trained by {other}: name it in the other role."
        )
    folder = subject.adapter.materialise()
    read_expert(folder, given)
    assert subject.identity.adapter is not None
    return ExpertSource(subject.name, subject.identity.adapter, folder)


def _check_base(role: str, given: str, name: str, weights: str, base: Subject) -> None:
    """Raises UserError unless the expert's base, `name` of `weights`, is `base`: by its commit on a hub
    to both, or by its content's hash to both."""
    ours = base.identity.weights
    if len(weights) != len(ours):
        raise UserError(
            f"experts.{role}: {given} is an adapter of {name} ({weights[:12]}), and whether {base.name} "
            f"({ours[:12]}) is the same cannot be told from a commit and a hash: name the base as the "
            "expert does."
        )
    if weights != ours:
        raise UserError(
            f"experts.{role}: {given} is an adapter of another base, {name} ({weights[:12]}), than "
            f"{base.name} ({ours[:12]}): train it from that."
        )
