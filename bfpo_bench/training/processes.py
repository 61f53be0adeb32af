"""The processes of one training, as `accelerate launch` starts them: one of them says what failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.training.recipe import Recipe

_PATIENCE = timedelta(seconds=10)
_FAILED = "bfpo-bench/failed"
FAILED = 2
"""The exit code of a process whose sentence another one has said."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Within it, the first of several processes that fails says why, and the others end in silence
    with exit code 2: they made the same mistake, or lost the one that did.
    """
    try:
        yield
    except UserError as error:
        if _failures(1) > 1:
            raise SystemExit(FAILED) from error
        raise
    except RuntimeError as error:
        # What gloo and NCCL raise in a process whose peer is gone
        if _failures(0) > 0:
            raise SystemExit(FAILED) from error
        raise


def _failures(more: int) -> int:
    """How many processes have failed with a sentence, `more` counted in; `more` where this process
    is the only one, or where the launcher's store, which outlives its processes, is out of reach."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return more
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return more
    from torch.distributed import DistNetworkError, DistStoreError, TCPStore

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    round_ = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(host, port, is_master=False, timeout=_PATIENCE)
        return int(store.add(f"{_FAILED}/{round_}", more))
    except (DistNetworkError, DistStoreError):
        return more


def check_configuration(name: str) -> None:
    """Raises UserError where the shipped accelerate configuration `name` needs a package that is not
    installed: accelerate itself would end in a traceback."""
    if name.startswith("zero") and find_spec("deepspeed") is None:
        raise UserError(
            f"The configuration {name} needs DeepSpeed, which is not installed: pip install deepspeed, "
            "or take fsdp2."
        )


def check_sharding(recipe: Recipe, arguments: Any) -> None:
    """Raises UserError where FSDP cannot shard the model as accelerate was told.

    On CPUs accelerate 1.15 forgets that without a word, and copies the model. With FSDP's frugal
    loading only the first process has weights until the training begins, and the others would score
    the reference with zeros.
    """
    from accelerate.utils import DistributedType
    from transformers.integrations import is_fsdp_enabled

    from bfpo_bench.training.load import is_fsdp

    copying = arguments.distributed_state.distributed_type == DistributedType.MULTI_CPU
    if is_fsdp() and copying:
        raise UserError(
            f"Recipe {recipe.name}: the accelerate configuration shards the model over GPUs, and there "
            "are none: take the configuration ddp."
        )
    sharded = is_fsdp() or arguments.distributed_state.distributed_type == DistributedType.DEEPSPEED
    if recipe.experts is not None and sharded:
        raise UserError(
            f"Recipe {recipe.name}: a router is trained with the whole model in each process, and the "
            "accelerate configuration shards it: take the configuration ddp."
        )
    # True for FSDP with this very setting
    if recipe.stage == "preference" and is_fsdp_enabled():
        raise UserError(
            "The accelerate configuration loads weights in the first process alone, and every process "
            "scores the reference: set fsdp_cpu_ram_efficient_loading to false in it."
        )
