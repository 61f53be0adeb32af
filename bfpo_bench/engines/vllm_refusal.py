"""The sentence for what vLLM did not load, wherever it was asked to: here, or on a worker of Ray."""

from __future__ import annotations

import re

from bfpo_bench.errors import UserError
from bfpo_bench.nearest import nearest

_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


def refused(folder: str, where: str, reason: str) -> UserError:
    """`reason` is the first line of vLLM's error, `where` "" or a clause such as " on the Ray cluster"."""
    unknown = _UNKNOWN.search(reason)
    if unknown:
        return UserError(
            f"vLLM takes no --engine-arg {unknown[1]}{nearest(unknown[1], _arguments())}: mend the name, "
            "or leave it out."
        )
    return UserError(
        f"vLLM cannot serve {folder}{where}: {reason}; see the run's log, give "
        "--engine-arg max_model_len=N where memory is short, or use --engine transformers."
    )


def _arguments() -> list[str]:
    from dataclasses import fields

    from vllm import EngineArgs

    return [field.name for field in fields(EngineArgs)]
