"""What of `--engine ray` can be checked before anything is started. No Ray is imported in here."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

from bfpo_bench.engines.base import Remote
from bfpo_bench.engines.ray.here import this_machine
from bfpo_bench.engines.ray.room import counted, shape
from bfpo_bench.engines.select import ON_VLLM, EngineChoice
from bfpo_bench.errors import UserError

REACH_SECONDS = 10.0
"""For all of it: to find the host, to connect and to be greeted."""
_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""A frame of HTTP/2: no content, the type of settings, no flags, stream 0."""


def check_joinable(address: str | None) -> None:
    """Raises UserError where Ray is not installed, and for an address that nothing answers at."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("--engine ray needs Ray: pip install -e '.[ray]' in the checkout.")
    if address is not None:
        _check_reachable(address)


def check_ray(arguments: Mapping[str, Any], remote: Remote) -> str:
    """A clause on the workers that Ray will be asked for.

    Raises UserError as `check_joinable` does, for arguments that Ray cannot work by, and for workers
    that a Ray of this machine's own has no room for.
    """
    workers, rest = worker_arguments(arguments)
    each = devices(rest)
    check_joinable(remote.ray_address)
    here = this_machine() if remote.ray_address is None else None
    if here is not None:
        found = shape([here], workers, each, own=True)
        there, of = counted(found.workers, "worker"), counted(each, found.kind)
        return f"{there} on this machine, of {of} each"
    of = f"of {counted(each, 'device')} each"
    if workers is not None:
        return f"Ray is asked for {counted(workers, 'worker')} {of}"
    return f"Ray is asked for workers {of}, as many as its GPUs have room for, or one without GPUs"


def check_ray_asked(engine: str, arguments: Mapping[str, Any], address: str | None) -> None:
    """What a command asks for: see `check_ray`. An address is for this engine alone."""
    if engine == "ray":
        check_ray(arguments, Remote(ray_address=address))
    elif address is not None:
        raise UserError(
            f"--ray-address {address} is for --engine ray: give that, too, or leave it out."
        )


def on_ray(
    chosen: EngineChoice, arguments: Mapping[str, Any], remote: Remote | None
) -> EngineChoice:
    """The engine of a model where `--engine ray` is asked: Ray for what vLLM can serve. None: it is not.

    Raises UserError as `check_ray` does.
    """
    if remote is None or chosen.name not in ON_VLLM:
        return chosen
    return EngineChoice("ray", f"as asked; {check_ray(arguments, remote)}")


def worker_arguments(arguments: Mapping[str, Any]) -> tuple[int | None, dict[str, Any]]:
    """`workers` of the user's engine arguments, None where not given, and those that are vLLM's.

    Raises UserError for a number of workers that is none, and for vLLM's own data parallelism.
    """
    rest = dict(arguments)
    workers = rest.pop("workers", None)
    if workers is not None and (type(workers) is not int or workers < 1):
        raise UserError(f"--engine-arg workers must be a number of at least 1, not {workers!r}.")
    if rest.get("data_parallel_size", 1) != 1:
        raise UserError(
            "--engine ray has replicas of its own in place of data_parallel_size: give "
            f"--engine-arg workers={rest['data_parallel_size']}."
        )
    return workers, rest


def devices(arguments: Mapping[str, Any]) -> int:
    """How many devices one worker takes. Raises UserError for sizes that are none."""
    product = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        size = arguments.get(name, 1)
        if type(size) is not int or size < 1:
            raise UserError(f"--engine-arg {name} must be a number of at least 1, not {size!r}.")
        product *= size
    return product


def in_time(call: Callable[[], None], seconds: float) -> None:
    """Raises what `call` raises, and TimeoutError where it does not end: its thread is left then."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if raised:
        raise raised[0]


def _check_reachable(address: str) -> None:
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal() or int(port) > 65535:
        raise UserError(
            f"--ray-address {address} is not HOST:PORT: give the address that `ray start --head` "
            "named (its port is 6379 unless another was asked for), on a machine of the cluster."
        )
    try:
        in_time(lambda: _greet(host.strip("[]"), int(port)), REACH_SECONDS)
    except OSError as error:
        raise UserError(
            f"No Ray cluster answers at --ray-address {address} "
            f"({error.strerror or 'no reply'}): see `ray status` there, or leave the option for a "
            "Ray of this machine's own."
        ) from error


def _greet(host: str, port: int) -> None:
    with socket.create_connection((host, port), REACH_SECONDS) as there:
        if os.environ.get("RAY_USE_TLS", "0") == "0" and not _speaks_http2(there):
            raise OSError(0, "what is there is no Ray")


def _speaks_http2(there: socket.socket) -> bool:
    """Whether a greeting is answered as gRPC, which Ray speaks, answers it: by a frame of settings
    (RFC 9113, section 3.4). Raises OSError where nothing comes in time."""
    there.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
    said = b""
    while len(said) < len(_SETTINGS):
        if not (more := there.recv(len(_SETTINGS) - len(said))):
            return False
        said += more
    return said[3] == _SETTINGS[3]
