"""Whether models were trained from the base that they are put into."""

from __future__ import annotations

from collections.abc import Sequence

from bfpo_bench.engines.subject import Subject
from bfpo_bench.errors import UserError


def check_trained_from(base: Subject, models: Sequence[Subject]) -> list[str]:
    """Raises UserError for a model whose training manifest names other weights than those of `base`.

    Returns a sentence for each that cannot be checked: it says nothing of its training, or the base is
    known by a hub's commit to one and by its content's hash to the other.
    """
    ours, notes = base.identity.weights, []
    for model in models:
        told = model.training.base if model.training is not None else None
        if told is None or told.weights is None:
            notes.append(
                f"{model.name} does not say what it was trained from: {base.name} is taken for its base."
            )
        elif told.weights == ours:
            continue
        elif len(told.weights) != len(ours):
            notes.append(
                f"{model.name} was trained from {told.name}: whether {base.name} is the same cannot be "
                "told from a commit and a hash."
            )
        else:
            raise UserError(
                f"{model.name} was trained from {told.name}, and {base.name} has other weights: give the "
                "base that it was trained from."
            )
    return notes
