"""What each node of a cluster has of what a worker needs: the model's files, and vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.engines.ray.cluster import LOOK_SECONDS
from bfpo_bench.engines.ray.room import Node, Shape
from bfpo_bench.errors import UserError, first_line

PACKAGES = ("ray", "torch", "vllm")


@dataclass(frozen=True)
class Seen:
    """On one node: the versions of PACKAGES, None for what is not installed, and the folders that are
    not there."""

    host: str
    versions: dict[str, str | None]
    lacking: tuple[str, ...]


def look(host: str, folders: Sequence[str]) -> Seen:
    """Runs on the node. Nothing heavy is imported."""
    from importlib.metadata import packages_distributions, version

    installed = packages_distributions()
    return Seen(
        host,
        {n: version(installed[n][0]) if n in installed else None for n in PACKAGES},
        tuple(f for f in folders if not Path(f).is_dir()),
    )


def look_at(nodes: Sequence[Node], shape: Shape, folders: Sequence[str]) -> list[Seen]:
    """All nodes where a worker could be.

    Raises UserError for one that cannot be looked at in LOOK_SECONDS.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    able = [n for n in nodes if (n.gpus if shape.kind == "GPU" else n.cpus)]
    asked = [
        ray.remote(look)
        .options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
        )
        .remote(node.host, tuple(folders))
        for node in able
    ]
    try:
        return list(ray.get(asked, timeout=LOOK_SECONDS))
    except ray.exceptions.GetTimeoutError as error:
        raise UserError(
            f"A node of the Ray cluster starts no process within {LOOK_SECONDS:.0f} s: see `ray "
            "status`."
        ) from error
    except ray.exceptions.RayError as error:
        raise UserError(
            f"A node of the Ray cluster cannot run bfpo-bench ({first_line(error)}): install the "
            "same bfpo-bench and vLLM in the environment of every node."
        ) from error


def check_nodes(seen: Sequence[Seen]) -> dict[str, str]:
    """The versions that all nodes have. Raises UserError for a node where no worker could be."""
    for node in seen:
        if node.lacking:
            raise UserError(
                f"Node {node.host} of the Ray cluster does not see {node.lacking[0]}: set HF_HOME to "
                "a folder on a disk that all nodes share, or copy the model there."
            )
        if node.versions["vllm"] is None:
            raise UserError(
                f"Node {node.host} of the Ray cluster has no vLLM: install the same version in the "
                "environment of every node."
            )
    for package in PACKAGES:
        found = sorted({node.versions[package] or "none" for node in seen})
        if len(found) > 1:
            raise UserError(
                f"The nodes of the Ray cluster have different versions of {package} "
                f"({', '.join(found)}), which give different numbers: install one on all of them."
            )
    return {package: seen[0].versions[package] or "none" for package in PACKAGES}
