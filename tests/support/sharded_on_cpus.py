"""`python -m sharded_on_cpus train ...` is bfpo-bench with CPUs taken for GPUs, so that FSDP shards over them.

PyTorch's FSDP2 shards over CPUs as well (gloo); accelerate 1.15 asks for it on GPUs alone.
"""

from __future__ import annotations

from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType

from bfpo_bench.cli.app import main

_begin = PartialState.__init__


def _as_gpus(self: PartialState, *arguments: Any, **options: Any) -> None:
    _begin(self, *arguments, **options)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = _as_gpus
    main()
