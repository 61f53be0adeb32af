"""Points that are merged: theta = (1 - w) A + w B for each weight w."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bfpo_bench.engines.subject import Subject
from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest
from bfpo_bench.sweep.grid import Knob, Point, read_values
from bfpo_bench.training.merging.checks import Ingredient, check_same_network
from bfpo_bench.training.merging.draft_folder import check_vacant
from bfpo_bench.training.merging.soup import kept_files, merge
from bfpo_bench.training.merging.subjects import ingredients, resolve, template_notes

WEIGHT = "weight"
_SHARD_BYTES = 5_000_000_000


def read_weights(text: str) -> Knob:
    """`0,.25,.5`: how much of the second model each soup has. Raises UserError for what is no number."""
    values = read_values("--weights", text, text)
    if odd := [v for v in values if isinstance(v, bool) or not _is_finite(v)]:
        raise UserError(f"--weights {text} holds {odd[0]!r}: give finite numbers, like 0,.5,1.")
    return Knob(WEIGHT, values)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@dataclass(frozen=True)
class Soups:
    """Merges of two models, each into `out/<point>`."""

    given: tuple[str, str]
    subjects: Sequence[Subject]
    parts: Sequence[Ingredient]
    out: Path

    @property
    def models(self) -> tuple[str, ...]:
        return self.given

    def identity(self, point: Point) -> str:
        return digest([(i.identity, i.weight) for i in self._ingredients(point)])

    def is_made(self, point: Point) -> bool:
        """Raises UserError where the point's folder holds something else than this soup."""
        folder = self.out / point.name
        if not (folder / TrainingManifest.FILE).is_file():
            check_vacant(folder)
            return False
        told = read_training_manifest(folder / TrainingManifest.FILE, str(folder)).merge
        parts = [(m.weights_identity, m.weight) for m in told.models] if told is not None else []
        if parts != [(i.identity, i.weight) for i in self._ingredients(point)]:
            raise UserError(
                f"{folder} holds something else than this soup: give another --out, or delete it."
            )
        return True

    def make(self, point: Point, title: str, log: Path, ui: Ui) -> None:
        """Merge, a tensor at a time. Raises UserError, and then leaves nothing."""
        for subject in self.subjects:
            subject.base.materialise()
        with ui.stage(f"{title}: merge") as report:
            merge(
                self._ingredients(point),
                kept_files(self.subjects[0].base.files),
                self.out / point.name,
                _SHARD_BYTES,
                lambda done, total: report(Progress("tensors", done, total)),
            )

    def check(self, ui: Ui) -> None:
        """Raises UserError for models that are not of one network."""
        check_same_network(self.parts)
        for sentence in template_notes(self.subjects):
            ui.note(sentence)

    def check_alike(self) -> None:
        """Every soup's folder says of which weights it is, and `is_made` has read it."""

    def _ingredients(self, point: Point) -> list[Ingredient]:
        weight = float(point.values[WEIGHT])
        shares = (1 - weight, weight)
        return [replace(p, weight=w) for p, w in zip(self.parts, shares, strict=True)]


def soups_of(models: tuple[str, str], out: Path, ui: Ui) -> Soups:
    """Raises UserError for what is no whole model in safetensors."""
    subjects = resolve(models, ui)
    return Soups(models, subjects, ingredients(subjects, (0.5, 0.5)), out)
