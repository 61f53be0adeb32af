"""The Ray cluster that works: one of this process's own, or one that is running."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from typing import Any

from bfpo_bench.engines.ray.check import check_joinable, in_time
from bfpo_bench.engines.ray.home import Home, clear_left
from bfpo_bench.engines.ray.room import Node
from bfpo_bench.errors import UserError, first_line

CONNECT_SECONDS = 20.0
"""To join, once something like Ray has answered: with `check.REACH_SECONDS` a command that cannot join
a cluster has ended within half a minute."""

STORE_BYTES = 512 * 2**20
"""Of a Ray of our own: token ids of some thousand requests are in it at a time."""


class Cluster:
    """A connection to Ray, one in a process."""

    def __init__(self, address: str | None, home: Home | None) -> None:
        self._address, self._home = address, home

    @classmethod
    def connect(cls, address: str | None) -> Cluster:
        """Start a Ray of our own on this machine, or join the one at `address`.

        Raises UserError where that cannot be.
        """
        check_joinable(address)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Read when Ray is imported: a thread that a pipeline left would join a cluster of its own accord,
        # and end this process when that cluster ends
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
        # Ray would take the place of both: of a GPU's list where a task takes none, and of a pin
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if address is None:
            return cls(None, _start())
        _join(address)
        return cls(address, None)

    def rejoin(self) -> None:
        """Leave, which ends all actors that this process began, and join again; a Ray of our own is
        started anew.

        A pipeline of Ray Data only lets go of its actors. One whose worker died may be held by the
        traceback of what it left, is started again for nobody, and keeps the device that the next
        pipeline would wait for. Raises RuntimeError where the cluster is gone.
        """
        self.close()
        try:
            self._home = type(self).connect(self._address)._home
        except UserError as error:
            raise RuntimeError(f"the Ray cluster was lost: {error}") from error

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        import ray

        return [_node(told) for told in ray.nodes() if told["Alive"]]

    def free(self, kind: str) -> float:
        """How many of the living nodes' GPUs or CPUs nobody has taken."""
        import ray

        return float(ray.available_resources().get(kind, 0.0))

    def close(self) -> None:
        """Leave the cluster, and end it where it is our own; its actors for us end with this."""
        import ray

        ray.shutdown()
        if self._home is not None:
            self._home.remove()


def _node(told: dict[str, Any]) -> Node:
    resources = told["Resources"]
    mark = "accelerator_type:"
    return Node(
        id=told["NodeID"],
        host=told["NodeManagerAddress"],
        cpus=int(resources.get("CPU", 0)),
        gpus=int(resources.get("GPU", 0)),
        accelerators=tuple(sorted(r.removeprefix(mark) for r in resources if r.startswith(mark))),
    )


def _start() -> Home:
    # Read when Ray is imported: its servers listen on the loopback interface alone, and to nobody
    # who does not know this
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    import ray

    clear_left()
    home = Home.make()
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            logging_level=logging.WARNING,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(home.folder),
        )
    except Exception as error:
        home.remove()
        raise UserError(
            f"Ray does not start on this machine ({first_line(error)}): see the run's log, or use "
            "--engine vllm."
        ) from error
    return home


def _join(address: str) -> None:
    # A busy machine takes seconds for this, which are not the cluster's
    import ray

    def join() -> None:
        ray.init(address=address, logging_level=logging.WARNING)

    try:
        in_time(join, CONNECT_SECONDS)
    except TimeoutError as error:
        raise UserError(
            f"What answers at --ray-address {address} does not let us join within "
            f"{CONNECT_SECONDS:.0f} s: see that it is a Ray cluster's and that `ray status` works here."
        ) from error
    except Exception as error:
        raise UserError(
            f"The Ray cluster at --ray-address {address} cannot be joined from this machine "
            f"({first_line(error)}): start this on one of its nodes, with its Ray and Python."
        ) from error
