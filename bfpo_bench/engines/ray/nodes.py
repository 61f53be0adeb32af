"""What each node of a cluster has of what a worker needs: the model's files, and vLLM."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.cache import default_cache
from bfpo_bench.engines.ray.room import Node, Shape
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.progress import ALOUD

PACKAGES = ("ray", "torch", "vllm")

SAY_SECONDS = 10.0
LOOK_SECONDS = 120.0
"""How long a node may take to start its first process. It is there, or Ray would not count it among
those that live: on a busy machine, or from a slow disk, the imports alone take a minute."""

aloud = logging.getLogger(ALOUD)


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
    """All nodes where a worker could be. Those that take longer than SAY_SECONDS are named aloud.

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

    def slow(seconds: float) -> str:
        _, waiting = ray.wait(asked, num_returns=len(asked), timeout=seconds)
        return ", ".join(n.host for n, one in zip(able, asked, strict=True) if one in waiting)

    if hosts := slow(SAY_SECONDS):
        aloud.warning("waiting for the Ray cluster's %s to start a process", hosts)
    try:
        return list(ray.get(asked, timeout=LOOK_SECONDS - SAY_SECONDS))
    except ray.exceptions.GetTimeoutError as error:
        raise UserError(
            f"The Ray cluster's {slow(0)} starts no process within {LOOK_SECONDS:.0f} s: see `ray "
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
                f"Node {node.host} of the Ray cluster does not see {node.lacking[0]}: "
                f"{_mend(node.lacking[0])}."
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


def _mend(folder: str) -> str:
    if Path(folder).is_relative_to(default_cache()):
        # A judge's folder that was made here: links to the hub's files, and what was written anew
        return (
            "copy it to the same place there, with what it links to (`cp -rL`), or set BFPO_BENCH_CACHE and "
            "HF_HOME to folders on a disk that all nodes share"
        )
    return "set HF_HOME to a folder on a disk that all nodes share, or copy the model there"
