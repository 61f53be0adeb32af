"""SafePatching: theta = base + alpha m_s (safety - base) + beta m_o (over_safety - base), tensor by tensor.

arXiv 2405.13820. Of each scored weight the safety patch has the entries that are in its own top share of
SNIP scores and not in the other patch's, and the other way round, so that no entry has both; of these each
is kept with probability `retain`. What has no scores stays the base's, bit for bit. docs/methods.md says
what of this the paper states and what is chosen.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.training.merging.card import patch_card, patch_manifest
from bfpo_bench.training.merging.checks import Ingredient, check_same_tensors
from bfpo_bench.training.merging.soup import not_finite
from bfpo_bench.training.merging.tensor_files import StoredTensor, read_layout
from bfpo_bench.training.merging.writing import Merged, Plan, write_model

SAFETY, OVER_SAFETY = "safety", "over-safety"


@dataclass(frozen=True)
class Settings:
    """Shares of the top scores, of (safety, over-safety), each in (0, 1]; the probability with which an
    entry is kept, in (0, 1]; and the seed of that draw. Raises UserError for numbers outside of these."""

    shares: tuple[float, float] = (0.1, 0.1)
    retain: float = 1.0
    seed: int = 42

    def __post_init__(self) -> None:
        for share in self.shares:
            _check_share("--shares", share)
        _check_share("--retain", self.retain)


@dataclass(frozen=True)
class Patch:
    """A patch: the model that holds it, whose weight is its factor, where its scores lie, and over how
    many examples they are the mean."""

    model: Ingredient
    scores: Mapping[str, StoredTensor]
    examples: int


@dataclass(frozen=True)
class Patched:
    """What was written, and how many entries each patch changed: (safety, over-safety). Where its model
    has the base's value nothing is changed."""

    merged: Merged
    entries: tuple[int, int]


def pair_of_numbers(option: str, text: str) -> tuple[float, float]:
    """Two finite numbers, of the safety and of the over-safety patch. Raises UserError."""
    try:
        one, other = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"{option} {text} is not two numbers: give the safety patch's and the over-safety patch's, "
            "like .1,.1."
        ) from error
    if not (math.isfinite(one) and math.isfinite(other)):
        raise UserError(f"{option} {text} are not both finite: give finite numbers.")
    return one, other


def top(scores: Tensor, share: float) -> Tensor:
    """True for the round(share n) largest of n scores, of equal ones for the first; shape (n,)."""
    flat = scores.reshape(-1)
    count = round(share * flat.numel())
    if count == 0:
        return torch.zeros(flat.numel(), dtype=torch.bool)
    place = flat.numel() - count
    threshold = float(np.partition(flat.numpy(), place)[place])
    found = flat > threshold
    equal = (flat == threshold).nonzero()[: count - int(found.sum()), 0]
    found[equal] = True
    return found


def difference(safety: Tensor, over_safety: Tensor) -> tuple[Tensor, Tensor]:
    """What each top share has alone."""
    return safety & ~over_safety, over_safety & ~safety


def retained(items: int, retain: float, seed: int, patch: str, name: str) -> Tensor:
    """True with probability `retain` for each of `items`, drawn anew for each patch and tensor, and the
    same on every machine."""
    if retain == 1:
        return torch.ones(items, dtype=torch.bool)
    drawn = hashlib.sha256(f"{seed} {patch} {name}".encode()).digest()[:7]
    generator = torch.Generator().manual_seed(int.from_bytes(drawn, "big"))
    return torch.rand(items, generator=generator) < retain


def patched(base: Tensor, parts: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    """base + factor (model - base) where a part's mask is true, for parts (mask, model, factor) whose
    masks have nothing in common; in the base's dtype, which it has elsewhere bit for bit.

    Computed in float32, in float64 where one of them is.
    """
    result = base.reshape(-1).clone()
    for mask, model, factor in parts:
        precise = torch.float64 if torch.float64 in (base.dtype, model.dtype) else torch.float32
        where = mask.nonzero()[:, 0]
        ours = base.reshape(-1)[where].to(precise)
        theirs = model.reshape(-1)[where].to(precise)
        result[where] = (ours + factor * (theirs - ours)).to(base.dtype)
    return result.reshape(base.shape)


def patch(
    base: Ingredient,
    patches: tuple[Patch, Patch],
    settings: Settings,
    kept: Iterable[str],
    out: Path,
    shard_bytes: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Patched:
    """Write the base with both patches (safety, over-safety), which have passed `check_same_network`, as
    the folder `out`.

    `kept` are files of the base to copy. In memory are one tensor of each model and its scores and
    masks, never a model. Raises UserError where tensors or scores do not fit together, hold what is no
    number, or leave a patch without an entry; then, as after any other fault, `out` is not there.
    """
    models = [base, *(one.model for one in patches)]
    layouts = [read_layout(i.folder, i.name) for i in models]
    check_same_tensors(layouts)
    for one in patches:
        _check_scores(one.scores, patches[0].scores, layouts[0])
    work = _Work(layouts, patches, settings)

    def card() -> str:
        work.check_changed()
        return patch_card(out.resolve().name, models, work.arguments())

    plan = Plan(
        layout=layouts[0],
        value=work.value,
        source=base.folder,
        kept=kept,
        card=card,
        manifest=lambda: patch_manifest(models, work.arguments()),
    )
    merged = write_model(plan, out, shard_bytes, report)
    return Patched(merged, (work.entries[0], work.entries[1]))


@dataclass
class _Work:
    """The patched tensors of base, safety and over-safety model, and how many entries were changed."""

    layouts: Sequence[Mapping[str, StoredTensor]]
    patches: tuple[Patch, Patch]
    settings: Settings
    entries: list[int] = field(default_factory=lambda: [0, 0])

    def value(self, stored: StoredTensor) -> Tensor:
        ours, *theirs = (layout[stored.name] for layout in self.layouts)
        parts, before = [], ours.read()
        if stored.name in self.patches[0].scores:
            found = masks([one.scores[stored.name] for one in self.patches], self.settings)
            for i, (mask, model) in enumerate(zip(found, theirs, strict=True)):
                held = model.read()
                self.entries[i] += int((mask & (held != before).reshape(-1)).sum())
                parts.append((mask, held, self.patches[i].model.weight))
        result = patched(before, parts)
        if result.dtype.is_floating_point and not torch.isfinite(result).all():
            raise not_finite([ours, *theirs])
        return result

    def check_changed(self) -> None:
        for name, count in zip((SAFETY, OVER_SAFETY), self.entries, strict=True):
            if not count:
                raise UserError(
                    f"The {name} patch changes no weight: either its model is the base's again, or its top "
                    "share lies within the other's, for which smaller --shares help."
                )

    def arguments(self) -> dict[str, object]:
        """What the card and the manifest tell."""
        one, other = self.patches
        (ours, theirs), retain = self.settings.shares, self.settings.retain
        told: dict[str, object] = {"share_safety": ours, "share_over_safety": theirs}
        if retain < 1:
            told |= {"retain": retain, "seed": self.settings.seed}
        told |= {"examples_safety": one.examples, "examples_over_safety": other.examples}
        return told | dict(
            zip(("entries_safety", "entries_over_safety"), self.entries, strict=True)
        )


def masks(scores: Sequence[StoredTensor], settings: Settings) -> list[Tensor]:
    """Which entries of one weight each patch changes, shape (items,). Raises UserError for scores that
    are none."""
    tops = []
    for stored, share in zip(scores, settings.shares, strict=True):
        values = stored.read()
        if not bool((torch.isfinite(values) & (values >= 0)).all()):
            raise UserError(
                f"The scores of {stored.name} in {stored.model} hold what is no score: make them again "
                "with `bfpo-bench snip`."
            )
        tops.append(top(values, share))
    found = difference(tops[0], tops[1])
    return [
        mask & retained(mask.numel(), settings.retain, settings.seed, name, scores[0].name)
        for mask, name in zip(found, (SAFETY, OVER_SAFETY), strict=True)
    ]


def _check_share(option: str, value: float) -> None:
    if not 0 < value <= 1:
        raise UserError(f"{option} {value:g} is outside (0, 1]: give a share, like .1.")


def _check_scores(
    scores: Mapping[str, StoredTensor],
    first: Mapping[str, StoredTensor],
    layout: Mapping[str, StoredTensor],
) -> None:
    """Raises UserError unless both have scores of the same weights, and the base has those."""
    names = (next(iter(both.values())).model for both in (first, scores) if both)
    if scores.keys() != first.keys() or not scores:
        raise UserError(
            f"{' and '.join(names) or 'The folders'} hold scores of different weights: make both with "
            "`bfpo-bench snip`."
        )
    for name, stored in scores.items():
        if name not in layout or layout[name].shape != stored.shape:
            base = next(iter(layout.values())).model
            raise UserError(
                f"{stored.model} has scores of {name}, which {base} has not in that shape: make them of a "
                "model that was trained from it."
            )
