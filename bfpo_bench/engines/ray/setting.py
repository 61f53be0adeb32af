"""What is known and checked before a pipeline is built: the cluster, its workers, and their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.ray.check import devices, worker_arguments
from bfpo_bench.engines.ray.cluster import Cluster
from bfpo_bench.engines.ray.core import Model
from bfpo_bench.engines.ray.nodes import check_nodes, look_at
from bfpo_bench.engines.ray.room import Node, Shape, shape
from bfpo_bench.engines.vllm_setting import set_environment
from bfpo_bench.errors import UserError

_SECRET = ("KEY", "TOKEN")


@dataclass(frozen=True)
class Setting:
    """`files.arguments` are vLLM's alone here; `tokens` is the model's longest request."""

    files: ModelFiles
    folder: str
    tokens: int
    cluster: Cluster
    shape: Shape
    nodes: tuple[Node, ...]
    versions: dict[str, str]

    @classmethod
    def prepare(cls, files: ModelFiles, folder: str, tokens: int) -> Setting:
        """Join the cluster, and see that the workers fit there and find what they need.

        Raises UserError where not; the cluster is left again then.
        """
        workers, arguments = worker_arguments(files.arguments)
        each = devices(arguments)
        cluster = Cluster.connect(files.remote.ray_address)
        try:
            nodes = tuple(cluster.nodes())
            wanted = shape(nodes, workers, each, own=files.remote.ray_address is None)
            folders = [folder] if files.adapter is None else [folder, files.adapter]
            versions = check_nodes(look_at(nodes, wanted, folders))
        except UserError:
            cluster.close()
            raise
        files = replace(files, arguments=arguments)
        return cls(files, folder, tokens, cluster, wanted, nodes, versions)

    @property
    def cpu(self) -> bool:
        return self.shape.kind == "CPU"

    def model(self, task: str, arguments: dict[str, Any]) -> Model:
        """What Ray's stage loads: its wrapper takes vLLM's engine arguments, and has no use for
        statistics."""
        set_environment(self.folder, self.tokens)
        eager = self.cpu and bool(arguments.get("enforce_eager"))
        return Model(
            self.folder,
            task,
            arguments | {"disable_log_stats": True},
            environment(os.environ, self.shape, self.nodes, eager=eager),
            self.files.adapter,
        )

    def describe(self, name: str, asked_again: int) -> dict[str, Any]:
        """vLLM says nothing of the dtype that it takes by itself on a GPU: "auto"."""
        kinds = sorted({a for node in self.nodes for a in node.accelerators})
        dtype = self.files.arguments.get("dtype", "float32" if self.cpu else "auto")
        told = {
            "engine": name,
            "device": "cpu" if self.cpu else ", ".join(kinds) or "GPU",
            "dtype": str(dtype),
            "versions": self.versions,
            "workers": self.shape.workers,
            "nodes": len(self.nodes),
        }
        return told | ({"asked_again": asked_again} if asked_again else {})


def check_room(given: Mapping[str, Any], address: str) -> None:
    """Join the cluster at `address` and leave it again.

    Raises UserError where that cannot be, and where it has no room for the workers that the engine's
    arguments ask for.
    """
    workers, arguments = worker_arguments(given)
    cluster = Cluster.connect(address)
    try:
        shape(cluster.nodes(), workers, devices(arguments))
    finally:
        cluster.close()


def environment(
    given: Mapping[str, str], shape: Shape, nodes: tuple[Node, ...], *, eager: bool
) -> dict[str, str]:
    """Of the workers: vLLM's settings as they are here, and what a worker on a CPU shares with others."""
    told = {
        name: value
        for name, value in given.items()
        if name.startswith("VLLM_") and not name.endswith(_SECRET)
    }
    # See the vllm engine: a scoring request asks for one token after a full context
    told["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
    if shape.each > 1:
        # Its parts find each other, perhaps over several nodes
        told.pop("VLLM_HOST_IP", None)
    if shape.kind == "CPU":
        cores = sum(node.cpus for node in nodes) // shape.workers
        told["OMP_NUM_THREADS"] = given.get("OMP_NUM_THREADS", str(max(1, cores)))
        # Each would take all cores of the machine for its own
        told.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        if eager:
            told["TORCHDYNAMO_DISABLE"] = given.get("TORCHDYNAMO_DISABLE", "1")
    return told
