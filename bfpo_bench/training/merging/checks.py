"""What checkpoints must have in common before their weights are added: format, network, vocabulary."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.engines.source import ROUTED
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.training.merging.tensor_files import INDEX, SINGLE, StoredTensor

_NOT_OF_THE_NETWORK = (
    *("name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"),
    *("bos_token_id", "eos_token_id", "pad_token_id"),
)
"""Keys of config.json that say how a checkpoint was saved or is used, at any depth; those that begin
with an underscore say no more."""


@dataclass(frozen=True)
class Ingredient:
    """One checkpoint of a soup, whole in `folder`; `identity` is its commit or its content hash."""

    name: str
    folder: Path
    identity: str
    weight: float


def check_format(model: str, files: Collection[str]) -> None:
    """Raises UserError unless `files` are those of a whole model in safetensors."""
    if "adapter_config.json" in files:
        raise UserError(
            f"{model} is a LoRA adapter, and the sum of adapters' factors is not that of the weights "
            "they stand for: merge each into its base (peft's merge_and_unload, then "
            "save_pretrained) and give the results."
        )
    if ROUTED in files:
        raise UserError(
            f"{model} is a router over LoRA experts, whose weights change with each token: there is no sum "
            "of it; give whole models."
        )
    if SINGLE not in files and INDEX not in files:
        raise UserError(
            f"{model} has no {SINGLE}, nor {INDEX}: load it with transformers and save it as "
            "safetensors with save_pretrained."
        )


def check_same_network(ingredients: Sequence[Ingredient]) -> None:
    """Raises UserError unless all have the first one's configuration and vocabulary.

    Reads config.json and the tokenizer's files, no weights. Configurations are compared with the
    defaults of their class filled in: other versions of transformers write other keys.
    """
    first, *others = ingredients
    configs = [_config(i.folder) for i in ingredients]
    for ingredient, config in zip(ingredients, configs, strict=True):
        if config.get("quantization_config"):
            raise UserError(
                f"{ingredient.name} is quantised (quantization_config in its config.json): merge "
                "checkpoints that are not."
            )
    ours = _flat(configs[0])
    for other, config in zip(others, configs[1:], strict=True):
        _check_config(first.name, ours, other.name, _flat(config))
    vocabulary = _vocabulary(first)
    for other in others:
        if differing := vocabulary.items() ^ _vocabulary(other).items():
            token, number = min(differing, key=lambda entry: (entry[1], entry[0]))
            raise UserError(
                f"{first.name} and {other.name} have different vocabularies ({len(differing)} "
                f"entries in one alone, such as {token!r} as token {number}): merge checkpoints "
                "with one tokenizer."
            )


def check_same_tensors(layouts: Sequence[Mapping[str, StoredTensor]]) -> None:
    """Raises UserError unless all hold tensors of the first one's names and shapes."""
    first, *others = layouts
    for other in others:
        for one, two in ((first, other), (other, first)):
            if lacking := sorted(one.keys() - two.keys()):
                there, here = (next(iter(layout.values())).model for layout in (one, two))
                raise UserError(
                    f"{here} has no tensor {lacking[0]}, which {there} has ({len(lacking)} such in "
                    "all): merge checkpoints of one architecture."
                )
        for name, ours in first.items():
            if ours.shape != other[name].shape:
                raise UserError(
                    f"{name} has shape {_shape(ours)} in {ours.model} and {_shape(other[name])} in "
                    f"{other[name].model}: merge checkpoints of one architecture."
                )


def _config(folder: Path) -> dict[str, Any]:
    """config.json with the defaults of its class; as it stands where transformers has none for it."""
    from transformers import AutoConfig

    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(
            str(folder), trust_remote_code=False
        ).to_dict()
    except (ValueError, KeyError):
        config = json.loads((folder / "config.json").read_text())
    return config


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What of `config` belongs to the network, with nested keys as `outer.inner`."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if str(key).startswith("_") or key in _NOT_OF_THE_NETWORK:
            continue
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _check_config(
    first: str, ours: Mapping[str, Any], other: str, theirs: Mapping[str, Any]
) -> None:
    # A different model_type makes many keys differ and explains them all
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key != "model_type", key)):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"{first} and {other} differ in {key} of config.json ({ours.get(key)!s:.60}, "
                f"{theirs.get(key)!s:.60}): merge checkpoints of one architecture."
            )


def _vocabulary(ingredient: Ingredient) -> dict[str, int]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(ingredient.folder), trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise UserError(
            f"The tokenizer of {ingredient.name} cannot be loaded ({first_line(error)}): mend it."
        ) from error
    found: dict[str, int] = tokenizer.get_vocab()
    return found


def _shape(stored: StoredTensor) -> str:
    return "x".join(map(str, stored.shape)) or "()"
