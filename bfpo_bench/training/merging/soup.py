"""Linear soups: theta = sum_i w_i theta_i over checkpoints of one network, tensor by tensor.

Model soups, arXiv 2203.05482, equation 1 (there w_i = 1 / n); rewarded soups, arXiv 2306.04488, where
the theta_i were tuned on different rewards; P-SACPO, arXiv 2404.11049, where they are a helpful and
a safe policy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.training.merging.card import merge_manifest, model_card
from bfpo_bench.training.merging.checks import Ingredient, check_same_tensors
from bfpo_bench.training.merging.tensor_files import StoredTensor, read_layout
from bfpo_bench.training.merging.writing import Merged, Plan, write_model

_SUM_TOLERANCE = 1e-6
_CHUNK = 1 << 15
"""Numbers added at a time: as many as torch gives to one core, in whose cache they stay."""
_NOT_KEPT_SUFFIXES = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf"),
    *(".index.json", "_results.json", ".jsonl", ".log"),
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"),
)
"""Weights, what training left beside them, and the pictures of a model card."""
_TRAINING = ("recipe.yaml", "trainer_state.json", "latest", "zero_to_fp32.py")


def parse_weights(text: str | None, count: int) -> tuple[float, ...]:
    """`count` weights from numbers separated by commas; equal ones where none are given.

    They sum to 1: any other sum scales the network. They may be negative: 1,1,-1 with a
    common base as the third adds both models' task vectors to it (arXiv 2212.04089). Raises
    UserError.
    """
    if text is None:
        return (1 / count,) * count
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"--weights {text} is not a list of numbers: give one a model, like .5,.5."
        ) from error
    if len(weights) != count:
        raise UserError(
            f"--weights {text} has {len(weights)} numbers for {count} models: give {count}."
        )
    if not all(map(math.isfinite, weights)):
        raise UserError(f"--weights {text} are not all finite: give finite numbers.")
    if abs((total := sum(weights)) - 1) > _SUM_TOLERANCE:
        scaled = "" if total <= 0 else f", such as {','.join(f'{w / total:.6g}' for w in weights)}"
        raise UserError(f"--weights {text} sum to {total:.6g}: give weights that sum to 1{scaled}.")
    return weights


def kept_files(files: Iterable[str]) -> list[str]:
    """Those of the first model's files that the result keeps: configuration, tokenizer, licence.

    Not its weights nor its model card nor anything about its training; of its subfolders chat
    templates alone.
    """
    return [name for name in files if _is_kept(name)]


def _is_kept(name: str) -> bool:
    if "/" in name:
        return name.endswith(".jinja")
    lower = name.lower()
    card = lower.startswith(("readme", "model_card", "modelcard", "."))
    return (
        not card
        and lower not in (TrainingManifest.FILE, *_TRAINING)
        and not lower.endswith(_NOT_KEPT_SUFFIXES)
    )


def merge(
    ingredients: Sequence[Ingredient],
    kept: Iterable[str],
    out: Path,
    shard_bytes: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Merged:
    """Write the soup of `ingredients` (which have passed `check_same_network`) as the folder `out`.

    `kept` are files of the first one to copy; `report` hears how many tensors are done, of how many.
    In memory are one tensor of the result and those that it is the sum of, never a model. Raises
    UserError where tensors do not fit together or their sum is not finite; then, as after any other
    fault, `out` is not there.
    """
    layouts = [read_layout(i.folder, i.name) for i in ingredients]
    check_same_tensors(layouts)
    weights = [i.weight for i in ingredients]
    plan = Plan(
        layout=layouts[0],
        value=lambda stored: soup([layout[stored.name] for layout in layouts], weights),
        source=ingredients[0].folder,
        kept=kept,
        card=lambda: model_card(out.resolve().name, ingredients),
        manifest=lambda: merge_manifest(ingredients),
    )
    return write_model(plan, out, shard_bytes, report)


def soup(stored: Sequence[StoredTensor], weights: Sequence[float]) -> Tensor:
    """sum_i weights[i] stored[i], in the dtype of the first.

    Added in float32, in float64 where one of them is stored so, from the first to the last; what
    has weight 0 is not read. Tensors that are not of floating point must be equal and are returned
    as they are. Raises UserError, naming the tensor, where they are not, and where the sum holds NaN
    or infinity.
    """
    first = stored[0]
    if not all(s.dtype.is_floating_point for s in stored):
        return _common(stored)
    precise = torch.float64 if any(s.dtype == torch.float64 for s in stored) else torch.float32
    # Adding a zero would make 0.0 of the first model's -0.0
    summands = [(s.read().reshape(-1), w) for s, w in zip(stored, weights, strict=True) if w != 0]
    result = torch.empty(first.items, dtype=first.dtype)
    for start in range(0, first.items, _CHUNK):
        part = slice(start, start + _CHUNK)
        terms = (values[part].to(precise) * weight for values, weight in summands)
        result[part] = functools.reduce(torch.add, terms)
        if not torch.isfinite(result[part]).all():
            raise not_finite(stored)
    return result.reshape(first.shape)


def _common(stored: Sequence[StoredTensor]) -> Tensor:
    first, *others = stored
    value = first.read()
    for other in others:
        if other.dtype != first.dtype or not torch.equal(value, other.read()):
            raise UserError(
                f"{first.name} holds {first.stored_as} that differ between {first.model} and "
                f"{other.model}, and integers have no mean: merge checkpoints that share it."
            )
    return value


def not_finite(stored: Sequence[StoredTensor]) -> UserError:
    """Which of one name's tensors holds NaN or infinity, or that their sum is beyond the first's dtype."""
    name = stored[0].name
    for summand in stored:
        if not torch.isfinite(summand.read()).all():
            return UserError(
                f"{name} of {summand.model} holds NaN or infinity: leave that checkpoint out."
            )
    return UserError(
        f"The sum of {name} is beyond {stored[0].stored_as}: give smaller weights, or first a model "
        "that is saved in float32."
    )
