"""The model and the tokenizer that a training starts with."""

from __future__ import annotations

import os
from typing import Any

from trl.trainer.utils import create_model_from_path


def load_model(name: str, args: Any) -> Any:
    """The model of a folder or repository with `args.model_init_kwargs`; float32 where they say no
    dtype, from safetensors alone where they do not say otherwise.

    Each process of a distributed training loads it whole, as TRL 1.16 does: spread over the devices
    of all, as one process alone may have it, it could not be trained by several.
    """
    options = dict(args.model_init_kwargs or {})
    if args.distributed_state.distributed_type in ("MULTI_GPU", "DEEPSPEED"):
        options["device_map"] = None
    options.setdefault("trust_remote_code", args.trust_remote_code)
    options.setdefault("use_safetensors", True)
    return create_model_from_path(name, **options)


def is_fsdp() -> bool:
    """Whether accelerate was told to shard the model with FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def with_padding(tokenizer: Any, model: Any) -> Any:
    """The tokenizer, or that of the folder or repository that the model came from; it can pad."""
    if tokenizer is None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            model.config._name_or_path, trust_remote_code=False
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
