"""What a Ray of this machine's own has, without one being started."""

from __future__ import annotations

from functools import cache

from bfpo_bench.engines.ray.room import Node
from bfpo_bench.engines.trial import attempt

LOOK_SECONDS = 20.0
"""After it nothing is refused ahead of Ray's own start."""


@cache
def this_machine() -> Node | None:
    """CPUs and GPUs as Ray counts them; None where it only says when it is started."""
    trial = attempt(look_at_ray, timeout=LOOK_SECONDS)
    if trial.answer is None:
        return None
    return Node("", "127.0.0.1", trial.answer["cpus"], trial.answer["gpus"])


def look_at_ray() -> dict[str, int]:
    """Runs in a child: what `ray.init` takes for this machine's where it is told nothing, as
    `ray._private.node.Node.get_resource_and_label_spec` of Ray 2.60 finds it."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    found = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1")
    resources = found.to_resource_dict()
    return {"cpus": int(resources.get("CPU", 0)), "gpus": int(resources.get("GPU", 0))}
