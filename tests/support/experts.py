"""MidPO in the small: a tiny Llama on disk, LoRA experts of it with random factors, and its router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from preference import disturb, saved_model, tiny_model

from bfpo_bench.engines.routed.folder import Routing
from bfpo_bench.engines.routed.layer import routed_layers
from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.training.midpo.experts import routed_model, routing_of
from bfpo_bench.training.recipe_parts import Experts

RANKS = {"safety": 2, "helpfulness": 4}


def expert(folder: Path, base: str, seed: int, rank: int, **changes: Any) -> Path:
    """An adapter of the tiny model, lora_alpha 6, both factors random, as peft saves it."""
    config = {"r": rank, "lora_alpha": 6, "target_modules": ["down_proj"], **changes}
    model = get_peft_model(tiny_model(), LoraConfig(task_type="CAUSAL_LM", **config))
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.copy_(0.2 * torch.randn(value.shape, generator=random))
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(str(folder))
    return folder


def experts(home: Path) -> tuple[str, dict[str, Path]]:
    """The base's folder, and those of its two experts, of other ranks each."""
    base = saved_model(home / "base")
    return base, {
        role: expert(home / role, base, seed, rank)
        for seed, (role, rank) in enumerate(RANKS.items(), start=5)
    }


def routing(home: Path) -> Routing:
    """What `train` finds of them."""
    base, found = experts(home)
    parts = Experts(**{role: str(folder) for role, folder in found.items()})
    made = routing_of(parts, resolve_subject(base))
    assert made is not None
    return made


def routed(one: Routing, seed: int | None = None) -> Any:
    """The tiny model under a router, untrained, or with random weights."""
    model = routed_model(tiny_model(), one)
    if seed is not None:
        for layer in routed_layers(model).values():
            disturb(layer.router, seed)
            layer.router.weight.data *= 50
    return model
