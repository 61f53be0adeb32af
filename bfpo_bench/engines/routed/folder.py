"""A router over two experts as a folder, beside which the base lies elsewhere, as a LoRA adapter's does.

midpo.json                  the base, and what the experts were
router.safetensors          weight (2, size) and bias (2) of each router, float32
safety/, helpfulness/       the experts, as peft stores adapters
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.engines.routed.expert import check_fits, read_expert
from bfpo_bench.engines.source import ROUTED
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.runs.jsonl import write_atomically

ROUTER = "router.safetensors"
ROLES = ("safety", "helpfulness")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""Of each expert."""


@dataclass(frozen=True)
class ExpertSource:
    """`name` as `run` names it, `weights` its commit or content hash, `folder` where it lies here."""

    name: str
    weights: str
    folder: Path


@dataclass(frozen=True)
class Routing:
    """A base and its experts by role. `base` is a hub id or a folder, `revision` the hub's commit, and
    `base_weights` its commit or content hash."""

    base: str
    revision: str | None
    base_weights: str
    experts: Mapping[str, ExpertSource]


def put_router(model: Any, experts: Mapping[str, tuple[str, Path]]) -> None:
    """Put a router over the experts (name, folder) at every down_proj of `model`, and freeze all else.

    Raises UserError for a model without such layers, and for an expert that does not fit them all.
    """
    from torch.nn import Linear

    from bfpo_bench.engines.routed.layer import LAYER, RoutedLinear

    bare = {
        name: module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == LAYER and isinstance(module, Linear)
    }
    if not bare:
        raise UserError(
            f"The model has no linear layer {LAYER}, over which MidPO routes: name another base."
        )
    sizes = {name: (layer.in_features, layer.out_features) for name, layer in bare.items()}
    factors = {role: read_expert(folder, name) for role, (name, folder) in experts.items()}
    for role, (name, _) in experts.items():
        check_fits(name, factors[role], sizes)
    model.requires_grad_(False)
    for name, layer in bare.items():
        routed = RoutedLinear(layer, *(factors[role][name] for role in ROLES))
        model.set_submodule(name, routed)


def write_routed(folder: Path, model: Any, routing: Routing) -> None:
    """The whole folder but a tokenizer, midpo.json last."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(_state(model), folder / ROUTER)
    for role, expert in routing.experts.items():
        (folder / role).mkdir(exist_ok=True)
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(expert.folder / file, folder / role / file)
    told = {
        "format": 1,
        "base_model_name_or_path": routing.base,
        "revision": routing.revision,
        "base_weights": routing.base_weights,
        "experts": {
            role: {"name": expert.name, "weights": expert.weights}
            for role, expert in routing.experts.items()
        },
    }
    write_atomically(folder / ROUTED, json.dumps(told, indent=1, ensure_ascii=False))


def load_routed(model: Any, folder: Path) -> Any:
    """The base `model` with the folder's experts and router.

    Raises UserError for files that are not of one another, or not of this base.
    """
    put_router(model, {role: (f"{folder}/{role}", folder / role) for role in ROLES})
    load_router(model, folder)
    return model


def load_router(model: Any, folder: Path) -> None:
    """The router of the folder into a model that has one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(folder / ROUTER)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder / ROUTER} cannot be read ({first_line(error)}): restore it, or train it anew."
        ) from error
    own = _state(model)
    shapes = ({name: value.shape for name, value in state.items()} for state in (own, stored))
    if len({tuple(sorted(found.items())) for found in shapes}) > 1:
        raise UserError(
            f"{folder / ROUTER} is not of this base: it holds other layers or sizes than the base's "
            "down_proj have; restore the folder, or train it anew."
        )
    for name, value in own.items():
        # The tensors of a state share their memory with the model
        value.copy_(stored[name])


def _state(model: Any) -> dict[str, Any]:
    from bfpo_bench.engines.routed.layer import routed_layers

    return {
        f"{name}.{part}": value.contiguous()
        for name, layer in routed_layers(model).items()
        for part, value in layer.router.state_dict().items()
    }
