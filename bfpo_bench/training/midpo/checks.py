"""What a recipe of MidPO's experts or router may say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bfpo_bench.training.recipe_parts import Experts

ROUTER = "midpo_router"
ORDERS = {"midpo_safety": "safety-only", "midpo_helpfulness": "helpful-only"}
"""Each expert's objective, and the policy that orders its pairs by what its margin is of."""


def check_midpo(
    objective: str,
    policy: str,
    experts: Experts | None,
    *,
    adapted: bool,
    live: bool,
    buffered: bool,
) -> None:
    """Raises ValueError for a combination that means nothing; `adapted`: with lora or train_only,
    `live`: with a live reference, `buffered`: with a buffer."""
    wanted = ORDERS.get(objective, policy)
    if policy != wanted:
        raise ValueError(
            f"the objective {objective} is of pairs ordered as its margin is: give policy: {wanted}"
        )
    if objective == "midpo_safety" and buffered:
        raise ValueError(
            f"the objective {objective} is of pairs ordered as its margin is, and no policy orders a "
            "buffer, whose order is by helpfulness: leave it out"
        )
    if (objective == ROUTER) != (experts is not None):
        raise ValueError(
            f"experts and the objective {ROUTER} go together: give both, such as experts: "
            "{safety: FOLDER, helpfulness: FOLDER}, or neither"
        )
    if experts is not None and adapted:
        raise ValueError(
            "experts stay as they are, and the router is trained: no lora, no train_only"
        )
    if experts is not None and live:
        raise ValueError("experts have the base as reference, scored once: leave reference out")
