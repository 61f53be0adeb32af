"""A LoRA adapter of down_proj layers as a MidPO expert: its factors, and what it must not be."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.errors import UserError, first_line

if TYPE_CHECKING:
    from torch import Tensor

    from bfpo_bench.engines.routed.layer import Factors

_PREFIX = "base_model.model."
_SIDES = {".lora_A.weight": "a", ".lora_B.weight": "b"}
_SPECIAL = (
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "alora_invocation_tokens",
    "layer_replication",
)
"""peft's settings that make of the factors something else than scale B (A x)."""
_MEND = "train it with lora: {target_modules: [down_proj]}"


def read_expert(folder: Path, name: str) -> dict[str, Factors]:
    """The factors of each layer, by its name in the base.

    Raises UserError for what is no plain LoRA adapter of down_proj layers alone; `name` is for that.
    """
    from bfpo_bench.engines.routed.layer import LAYER, Factors

    config = _config(folder, name)
    scale = _scale(config, name)
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in _tensors(folder, name).items():
        end = next((end for end in _SIDES if key.endswith(end)), None)
        layer = key.removeprefix(_PREFIX).removesuffix(end or "")
        if end is None or layer.rpartition(".")[2] != LAYER:
            raise UserError(
                f"The expert {name} holds {key}, and MidPO's experts are LoRA factors of {LAYER} alone: "
                f"{_MEND}."
            )
        found[layer][_SIDES[end]] = value
    for layer, sides in found.items():
        if set(sides) != {"a", "b"} or {len(sides["a"]), sides["b"].shape[1]} != {config["r"]}:
            raise UserError(
                f"The expert {name} lacks a factor of rank {config['r']} at {layer}: save it again with "
                "save_pretrained()."
            )
    return {layer: Factors(scale=scale, **sides) for layer, sides in found.items()}


def check_fits(name: str, factors: dict[str, Factors], sizes: dict[str, tuple[int, int]]) -> None:
    """Raises UserError unless the expert adapts every layer of `sizes`, (input, output), and no other."""
    if odd := sorted(factors.keys() ^ sizes.keys()):
        whose = "which the base has not" if odd[0] in factors else "which the expert leaves out"
        raise UserError(
            f"The expert {name} is not of this base: {odd[0]} is a layer {whose} ({len(odd)} such); name "
            "an adapter of all down_proj layers that was trained from the base."
        )
    for layer, (into, out) in sizes.items():
        own = factors[layer].a.shape[1], factors[layer].b.shape[0]
        if own != (into, out):
            raise UserError(
                f"The expert {name} is not of this base: at {layer} it goes from {own[0]} to {own[1]} "
                f"numbers, and the base from {into} to {out}; name one that was trained from the base."
            )


def _config(folder: Path, name: str) -> dict[str, Any]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        told = config.get("peft_type"), int(config["r"]), float(config["lora_alpha"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"The expert {name} has no adapter_config.json of a LoRA adapter "
            f"({first_line(error)}): {_MEND}."
        ) from error
    special = [key for key in _SPECIAL if config.get(key)]
    if told[0] != "LORA" or told[1] < 1 or special:
        odd = special[0] if special else f"peft_type {told[0]}, r {told[1]}"
        raise UserError(
            f"The expert {name} is no plain LoRA adapter ({odd} in its adapter_config.json): {_MEND}."
        )
    return dict(config)


def _scale(config: dict[str, Any], name: str) -> float:
    """lora_alpha / r, or lora_alpha / sqrt(r) where peft's rsLoRA says so."""
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    if not math.isfinite(scale):
        raise UserError(f"The expert {name} has lora_alpha {config['lora_alpha']}: {_MEND}.")
    return float(scale)


def _tensors(folder: Path, name: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(folder / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"The weights of the expert {name}, adapter_model.safetensors, cannot be read "
            f"({first_line(error)}): save it again with save_pretrained()."
        ) from error
    return found
