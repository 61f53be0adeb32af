"""The stage before a respond stage on a Ray cluster: is there room, before data and weights are fetched?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bfpo_bench.progress import Progress, Report


@dataclass(frozen=True)
class JoinJob:
    """The engine's arguments, and the cluster's address."""

    arguments: dict[str, Any]
    address: str


def join(job: JoinJob, report: Report) -> None:
    """Join the cluster and leave it again; no worker is started.

    Raises UserError for one that cannot be joined, or has no room for the workers that are asked for.
    """
    from bfpo_bench.engines.ray.setting import check_room

    report(Progress(f"joining Ray at {job.address}"))
    check_room(job.arguments, job.address)
