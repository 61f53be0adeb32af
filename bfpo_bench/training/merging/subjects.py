"""From the names of a merge's checkpoints to what is added up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bfpo_bench.engines.source import Source, open_source
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.training.merging.checks import Ingredient, check_format
from bfpo_bench.training.merging.soup import kept_files


def resolve(models: Sequence[str], ui: Ui) -> list[Subject]:
    """Raises UserError for what is no whole model in safetensors."""
    # First of all models, because to resolve one may take the hashing of its weights
    for source in map(open_source, models):
        check_format(source.name, source.files)
    with ui.stage("models") as report:
        return [resolve_subject(m, lambda text: report(Progress(text))) for m in models]


def ingredients(subjects: Sequence[Subject], weights: Sequence[float]) -> list[Ingredient]:
    """One a subject. Of those on the hub no weights are fetched yet."""
    return [
        Ingredient(s.name, _small_files(s.base), s.identity.weights, weight)
        for s, weight in zip(subjects, weights, strict=True)
    ]


def _small_files(source: Source) -> Path:
    """The folder of `source` with what is not weights in it, so that those are fetched last."""
    for name in kept_files(source.files):
        source.file(name)
    return source.file("config.json").parent


def template_notes(subjects: Sequence[Subject]) -> list[str]:
    """A sentence for each whose chat template is not the first one's, which is kept."""
    first, *others = subjects
    return [
        f"The chat template of {other.name} differs from that of {first.name}, which is kept."
        for other in others
        if other.identity.chat_template != first.identity.chat_template
    ]
