"""What a training is of, from its recipe: every source read, ordered and shuffled."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from bfpo_bench.errors import UserError
from bfpo_bench.training.data import load_conversations, load_levelled, load_pairs
from bfpo_bench.training.fdc.mixture import Drawn, read_mixture
from bfpo_bench.training.pairs import DataReport, Levelled, Message, Pair
from bfpo_bench.training.policies import apply_policy
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.recipe_checks import NEVER_UNSAFE


@dataclass(frozen=True)
class TrainingData:
    """What is trained on: pairs and perhaps a buffer, conversations, or such with levels. `flipped` and `dropped` are
    the policy's doing, the reports the sources'; `drawn` says what each group gave to a mixture."""

    reports: Sequence[DataReport]
    buffer_reports: Sequence[DataReport] = ()
    pairs: Sequence[Pair] = ()
    buffer: Sequence[Pair] = ()
    conversations: Sequence[list[Message]] = ()
    levelled: Sequence[Levelled] = ()
    flipped: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    drawn: Sequence[Drawn] = ()

    @property
    def sha256(self) -> str:
        """Of the sources' hashes, in order; the policy stands in the recipe."""
        told = [f"{r.source} {r.sha256}" for r in self.reports]
        told += [f"buffer {r.source} {r.sha256}" for r in self.buffer_reports]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


def load_data(recipe: Recipe) -> TrainingData:
    """Every source read, ordered by the recipe's policy and shuffled by its seed.

    Raises UserError for whatever keeps a source from being used, and where no pair is left.
    """
    if recipe.levels is not None:
        levelled, reports = load_levelled(recipe.data, recipe.seed, recipe.levels)
        return TrainingData(reports, levelled=levelled)
    if recipe.stage == "sft":
        conversations, reports, drawn = read_mixture(
            recipe.data, recipe.shares, recipe.seed, load_conversations
        )
        return TrainingData(reports, conversations=conversations, drawn=drawn)
    read = partial(load_pairs, segments=recipe.ama is not None)

    def kept(pairs: Sequence[Pair]) -> int:
        return len(apply_policy(recipe.pair_policy, pairs).pairs)

    pairs, reports, drawn = read_mixture(recipe.data, recipe.shares, recipe.seed, read, kept)
    ordered = apply_policy(recipe.pair_policy, pairs)
    if not ordered.pairs:
        reasons = ", ".join(f"{n} {reason}" for reason, n in ordered.dropped.items())
        raise UserError(
            f"The policy {recipe.pair_policy} leaves none of {len(pairs)} pairs ({reasons}): choose "
            "another policy or other data."
        )
    buffer, buffer_reports = load_pairs(recipe.buffer, recipe.seed) if recipe.buffer else ([], [])
    if recipe.objective_name in NEVER_UNSAFE and any(not pair.chosen_safe for pair in buffer):
        raise UserError(
            f"The buffer has pairs whose chosen response is unsafe, and {recipe.objective_name} has no "
            "meaning there: give a buffer of safe ones."
        )
    return TrainingData(
        reports,
        buffer_reports,
        ordered.pairs,
        buffer,
        flipped=ordered.flipped,
        dropped=ordered.dropped,
        drawn=drawn,
    )
