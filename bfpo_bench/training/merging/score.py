"""The SNIP scores of a model that `bfpo-bench train` wrote, on its own data, as a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bfpo_bench.engines.subject import Subject
from bfpo_bench.runs.manifest import versions
from bfpo_bench.training.merging.scores import ScoresManifest, write_scores
from bfpo_bench.training.merging.snip import snip_scores
from bfpo_bench.training.merging.snip_data import trained_on
from bfpo_bench.training.prepare import model_of


def score(
    subject: Subject, out: Path, limit: int, report: Callable[[int, int], None]
) -> ScoresManifest:
    """Write the scores over the first `limit` pairs as the folder `out`, on a GPU where there is one.

    Raises UserError for a model without a recipe of pairs, and what reading data, model and scores does.
    """
    found = trained_on(subject, limit)
    model = model_of(found.recipe, subject)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    scores, loss = snip_scores(model, found.examples, report)
    told = ScoresManifest(
        model=subject.name,
        weights=subject.identity.weights,
        examples=len(found.examples),
        loss=loss,
        data_sha256=found.data_sha256,
        versions=versions(),
    )
    write_scores(out, scores, told)
    return told
