"""`--engine-arg` for servers: how many requests are under way, how long one may take, what is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.nearest import nearest

ARGUMENTS = ("concurrency", "timeout", "max_model_len", "served_model_name", "api")
APIS = ("completions", "chat")
_MOST = 4096
"""Connections to one server: more than any batch, and fewer than a process may open files."""


@dataclass(frozen=True)
class ServerArguments:
    """`concurrency` is the most requests under way at one server, `timeout` the seconds that one
    answer may take. `api` is asked where the user chose it."""

    concurrency: int = 256
    timeout: float = 600.0
    api: str | None = None


def check_server_arguments(arguments: Mapping[str, Any]) -> ServerArguments:
    """What `--engine-arg` says of servers. Raises UserError for what it cannot say."""
    for name in arguments:
        if name not in ARGUMENTS:
            raise UserError(
                f"The server engine takes no --engine-arg {name}{nearest(name, ARGUMENTS)}: it "
                f"takes {', '.join(ARGUMENTS)}; how the model runs is told to the server itself."
            )
    concurrency = arguments.get("concurrency", ServerArguments.concurrency)
    if type(concurrency) is not int or not 1 <= concurrency <= _MOST:
        raise UserError(
            f"--engine-arg concurrency={concurrency} is no number of requests at once: give one "
            f"from 1 to {_MOST}."
        )
    timeout = arguments.get("timeout", ServerArguments.timeout)
    if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
        raise UserError(
            f"--engine-arg timeout={timeout} is no number of seconds: give one above 0, like 600."
        )
    api = arguments.get("api")
    if api is not None and api not in APIS:
        raise UserError(f"--engine-arg api={api} is none: give {' or '.join(APIS)}.")
    if api == "chat" and "max_model_len" in arguments:
        raise UserError(
            "--engine-arg api=chat sends messages whole, and max_model_len would cut none of them: leave "
            "one of the two out."
        )
    return ServerArguments(concurrency, float(timeout), api)
