"""Which workers a Ray has room for. Pure arithmetic; no Ray is imported in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.errors import UserError


@dataclass(frozen=True)
class Node:
    """A machine of the cluster that is alive."""

    id: str
    host: str
    cpus: int
    gpus: int
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """What the workers are: so many, each on so many `kind`s ("GPU" or "CPU")."""

    workers: int
    kind: str
    each: int

    @property
    def bundles(self) -> list[dict[str, int]]:
        """Of one worker, as Ray's placement groups are written."""
        return [{self.kind: 1} for _ in range(self.each)]


def capacity(nodes: Sequence[Node], kind: str, each: int) -> int:
    """How many workers could be there at once, were the cluster empty."""
    return sum(node.gpus if kind == "GPU" else node.cpus for node in nodes) // each


def shape(nodes: Sequence[Node], workers: int | None, each: int, *, own: bool = False) -> Shape:
    """As many workers as there is room for on GPUs, one on a cluster without any, or as many as asked.
    `own`: the cluster is this machine alone.

    Raises UserError where the cluster has no room for them: Ray would wait for ever.
    """
    kind = "GPU" if any(node.gpus for node in nodes) else "CPU"
    most = capacity(nodes, kind, each)
    wanted = workers or (max(most, 1) if kind == "GPU" else 1)
    if wanted > most:
        there = capacity(nodes, kind, 1)
        needs = "needs" if wanted == 1 else "need"
        has = f"The Ray cluster has {counted(there, kind)} on {counted(len(nodes), 'node')}"
        raise UserError(
            f"{f'This machine has {counted(there, kind)}' if own else has}, and "
            f"{counted(wanted, 'worker')} of {each} {needs} {wanted * each}: {_fewer(most, there)}"
            f"{'join a cluster with --ray-address' if own else 'add nodes'}."
        )
    return Shape(wanted, kind, each)


def _fewer(most: int, there: int) -> str:
    if most:
        return f"give --engine-arg workers={most} or "
    return "give smaller sizes (tensor_parallel_size, pipeline_parallel_size) or " if there else ""


def counted(count: int, noun: str) -> str:
    """As a phrase."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
