"""A training in a process of its own, which gives all its memory back to whoever asks the model next."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.progress import ALOUD, Progress, Report, Ui
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.stages.process import run_stage
from bfpo_bench.training.recipe import Recipe


@dataclass(frozen=True)
class TrainJob:
    """What the training's process needs. Its lines are said to the command's owner where it is `aloud`,
    and stand in the log either way."""

    recipe: Recipe
    command: tuple[str, ...]
    aloud: bool


def train_apart(
    recipe: Recipe, command: Sequence[str], *, title: str, log: Path, ui: Ui, aloud: bool
) -> TrainingManifest:
    """Raises UserError or StageCrash; whole checkpoints survive both, and the same call goes on."""
    job = TrainJob(recipe, tuple(command), aloud)
    with ui.stage(f"{title}: train") as report:
        return run_stage("train", train_stage, job, log=log, report=report)


def train_stage(job: TrainJob, report: Report) -> TrainingManifest:
    report(Progress("reading model and data"))
    from bfpo_bench.training.train import train

    return train(job.recipe, job.command, _StageUi(report, job.aloud)).manifest


class _StageUi:
    """A training's Ui within a stage: its bars go to the stage's owner."""

    def __init__(self, report: Report, aloud: bool) -> None:
        self._report, self._aloud = report, aloud

    def note(self, text: str) -> None:
        if self._aloud:
            logging.getLogger(ALOUD).warning("%s", text)
        else:
            print(text, flush=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        yield self._report
