"""What Ray raises, and what its vLLM stage tells of a request in place of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.vllm_refusal import refused
from bfpo_bench.errors import first_line

_REFUSALS = ("ValueError", "VLLMValidationError", "VLLMUnprocessableEntityError")
"""What vLLM raises of a request that it does not take, and would not take the next time."""
_CREATION = re.compile(r"creation task|ray::.*\.__init__\(\)")
"""What Ray says of an actor that does not come to life."""


def _kind(error: str) -> str:
    """Ray tells a row's exception as "<its class>: <what it says>"."""
    return error.partition(":")[0]


def is_refusal(error: str) -> bool:
    """Whether vLLM does not take the request. Anything else need not be the request's fault."""
    return _kind(error) in _REFUSALS


def refusal(error: str) -> Failure:
    return Failure(f"vLLM refuses it: {first_line(Exception(error))}")


def failed(raised: str, died: bool) -> Failure:
    """Of a request that has no answer, also when it is asked alone: where vLLM breaks of it, or its
    worker dies, that is what it does; what anything else raises is a fault of the cluster."""
    if raised and _kind(raised) != "EngineGenerateError":
        told = first_line(Exception(raised))
        return Failure(f"its worker fails, also when it is asked alone: {told}", fault=True)
    reason = "its worker dies of it or vLLM breaks, also when it is asked alone"
    return Failure(reason, fault=died)


def unanswered(raised: Iterable[str]) -> RuntimeError:
    """Where no request of a stage is answered: with the first error that was told of one."""
    told = next((f" ({first_line(Exception(one))})" for one in raised if one), "")
    return RuntimeError(f"none of the cluster's workers lives to answer one request{told}")


def ray_errors() -> tuple[type[Exception], ...]:
    import ray
    from ray.data.exceptions import UserCodeException

    return (ray.exceptions.RayError, UserCodeException)


def explained(error: Exception, folder: str) -> Exception:
    """A worker that does not come to life says why in the last line of its traceback."""
    import ray

    if not isinstance(error, ray.exceptions.ActorDiedError | ray.exceptions.RayTaskError):
        return error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not any(_CREATION.search(line) for line in lines):
        return error
    return refused(folder, " on the Ray cluster", lines[-1])
