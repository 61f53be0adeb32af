"""Planning for `--levels`: which levels of helpfulness and safety models are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bfpo_bench.engines.subject import Subject
from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels, asked_for, read_levels
from bfpo_bench.names import ALL_LEVELS
from bfpo_bench.request import Request
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.suite.tasks import TaskSpec


def check_levels(request: Request, tasks: Sequence[TaskSpec]) -> None:
    """Raises UserError for levels that are none or are given twice, beside a defence, and for tasks
    without an answer to have levels."""
    if not request.levels:
        return
    for given in request.levels:
        if given != ALL_LEVELS and read_levels(given) is None:
            raise UserError(
                f"--levels {given[:40]!r} is none: give H,S, two whole numbers from 0 for helpfulness and "
                f"safety, or {ALL_LEVELS} for all that the model was trained with."
            )
    if ALL_LEVELS in request.levels and len(request.levels) > 1:
        raise UserError(f"--levels {ALL_LEVELS} is all of them: leave the others out.")
    asked = [read_levels(given) for given in request.levels]
    if twice := [one for one in asked if asked.count(one) > 1]:
        raise UserError(f"--levels {twice[0]} is given twice: name it once.")
    if request.defences:
        raise UserError(
            "--levels and --defence both change what the model is asked, and a row could not say what "
            "did what: give one of them."
        )
    if not any(task.kind == "generative" for task in tasks):
        raise UserError(
            "--levels are asked of what a model writes, and these tasks compare log-likelihoods alone: add "
            "generative tasks, or leave it out."
        )


def levels_of(
    request: Request, subject: Subject, progress: Callable[[str], None]
) -> tuple[Levels | None, ...]:
    """Those that the subject is asked for, None being none.

    Raises UserError for a subject whose training manifest says that it was not trained with them. Of
    one without a manifest nothing is known, which `unknown` says.
    """
    if not request.levels:
        return (None,)
    progress(f"looking for the levels of {subject.name}")
    known = _trained(subject)
    if ALL_LEVELS in request.levels:
        if known is None:
            raise UserError(
                f"{subject.name} has no training manifest that says which levels it was trained with, so "
                f"--levels {ALL_LEVELS} has no meaning: name them, as in --levels 0,1."
            )
        return known
    asked = tuple(found for given in request.levels if (found := read_levels(given)) is not None)
    for levels in asked if known is not None else ():
        if levels not in (known or ()):
            raise UserError(
                f"{subject.name} was not trained with levels {levels}: it knows "
                f"{' '.join(map(str, known or ()))}."
            )
    return asked


def levelled(subject: Subject, levels: Levels | None) -> Subject:
    """The same files, asked for the levels: another subject, and so another run and another row."""
    if levels is None:
        return subject
    name = asked_for(subject.name, levels)
    told = {"name": name, "levels": levels.line}
    return replace(subject, name=name, identity=subject.identity.model_copy(update=told))


def unknown(subject: Subject) -> str:
    """What is to be said where nothing shows that the subject knows levels; empty where it does."""
    if subject.training is not None:
        return ""
    return (
        f"{subject.name} has no training manifest: nothing says that it was trained with levels, and its "
        "row means nothing if it was not"
    )


def _trained(subject: Subject) -> tuple[Levels, ...] | None:
    """Those of its training, from the least; None for a subject without a manifest."""
    training: TrainingManifest | None = subject.training
    if training is None:
        return None
    if training.levels is None:
        raise UserError(
            f"{subject.name} was not trained with levels ({training.describe()}), and --levels asks for "
            "some: leave it out, or name a model of a recipe with `levels`."
        )
    cells = [read_levels(cell) for cell, count in training.levels.cells.items() if count]
    return tuple(sorted(cell for cell in cells if cell is not None))
