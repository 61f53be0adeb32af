"""One training from a recipe: what goes in, the trainer, and what is left behind.

`accelerate launch` runs it in several processes, of which the first alone speaks and writes.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.manifest import git_commit, versions
from bfpo_bench.runs.training_manifest import (
    Base,
    MarginModel,
    Parameters,
    TrainedLevels,
    TrainingManifest,
    read_training_manifest,
)
from bfpo_bench.training.card import model_card
from bfpo_bench.training.guards import go_on, last_checkpoint, save_final
from bfpo_bench.training.inputs import Models, identities, models_of
from bfpo_bench.training.midpo.experts import experts_in, routed_model
from bfpo_bench.training.output import (
    CHECKPOINTS,
    check_inputs,
    claimed,
    is_finished,
    write_manifest,
    write_metrics,
)
from bfpo_bench.training.prepare import arguments_of, lora_of, margin_model_of, model_of
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.show import Silent, Ui, data_lines, log_line
from bfpo_bench.training.training_data import TrainingData, load_data

_TRAINERS = ("trl", "accelerate")


@dataclass(frozen=True)
class Trained:
    """`already`: the folder held the finished training, and nothing was done."""

    folder: Path
    manifest: TrainingManifest
    already: bool = False


def train(recipe: Recipe, command: Sequence[str], ui: Ui) -> Trained:
    """Train by the recipe, or go on where its output folder stopped; the model lies there at the end.

    Raises UserError for what the user must change; whole checkpoints survive everything.
    """
    from accelerate import PartialState
    from datasets import disable_progress_bars

    # They would break into the one bar that is shown
    disable_progress_bars()
    # Before anything asks for the processes: transformers finds out what they run on
    arguments = arguments_of(recipe)
    if is_finished(recipe):
        _inputs(recipe, ui, write=False)
        return Trained(recipe.output, finished(recipe.output), already=True)
    if not PartialState().is_main_process:
        return _train(recipe, arguments, command, Silent())
    with claimed(recipe):
        return _train(recipe, arguments, command, ui)


def _train(recipe: Recipe, arguments: Any, command: Sequence[str], ui: Ui) -> Trained:
    from accelerate import PartialState

    processes = PartialState()
    # The first process fetches, and the others find it all there
    with processes.main_process_first():
        models, data = _inputs(recipe, ui, write=processes.is_main_process)
    for line in data_lines(data):
        ui.note(line)
    checkpoint = last_checkpoint(recipe.output / CHECKPOINTS)
    began = time.monotonic()
    with ui.stage("train") as report:
        trainer = _trainer(recipe, arguments, models, data, report)
        for line in (str(trainer.parameters), *_changes(trainer)):
            ui.note(line)
        if checkpoint is not None:
            ui.note(f"going on from {checkpoint}")
        _listen(trainer, report, ui)
        go_on(trainer, checkpoint)
    save_final(trainer, recipe.output)
    seconds = None if checkpoint else time.monotonic() - began
    manifest = _manifest(recipe, models, data, trainer, command, seconds)
    if processes.is_main_process:
        write_metrics(recipe.output, trainer.state.log_history)
        write_atomically(recipe.output / "README.md", model_card(recipe, manifest))
        write_manifest(recipe.output, manifest)
    processes.wait_for_everyone()
    return Trained(recipe.output, manifest)


def _inputs(recipe: Recipe, ui: Ui, write: bool) -> tuple[Models, TrainingData]:
    """The same as when the training in the folder began."""
    models, data = models_of(recipe, ui.note), load_data(recipe)
    check_inputs(recipe.output, identities(models, data), write)
    return models, data


def _trainer(
    recipe: Recipe, arguments: Any, models: Models, data: TrainingData, report: Report
) -> Any:
    from datasets import Dataset

    # DeepSpeed's stage 3 partitions weights as they are loaded, as it learnt from the arguments
    model, tokenizer, routing = model_of(recipe, models.base), models.tokenizer, models.routing
    adapter = lora_of(recipe, models.base, model)
    if recipe.stage == "sft":
        from bfpo_bench.training.freeze import train_only
        from bfpo_bench.training.sft import GuardedSFTTrainer, sft_rows

        if recipe.train_only:
            train_only(model, recipe.train_only)
        rows = sft_rows(data, tokenizer, recipe.max_length)
        return GuardedSFTTrainer(
            rows.changed,
            rows.cells,
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(rows.columns),
            processing_class=tokenizer,
            peft_config=adapter,
        )
    from bfpo_bench.training.encode import pair_columns
    from bfpo_bench.training.trainer import BFPOTrainer

    return BFPOTrainer(
        model if routing is None else routed_model(model, routing),
        args=arguments,
        train_dataset=Dataset.from_dict(pair_columns(data.pairs)),
        buffer_dataset=Dataset.from_dict(pair_columns(data.buffer)) if data.buffer else None,
        processing_class=tokenizer,
        peft_config=adapter,
        margin_model=margin_model_of(recipe, models.margin),
        margin_beta=recipe.margin.beta if recipe.margin else 0.1,
        routing=routing,
        progress=lambda phase, done, total: report(Progress(phase, done, total)),
    )


def _changes(trainer: Any) -> list[str]:
    return [f"{reason}: {count:,}" for reason, count in trainer.changed.items()]


def _listen(trainer: Any, report: Report, ui: Ui) -> None:
    """Steps to the progress bar, log entries to lines."""
    from transformers import PrinterCallback, TrainerCallback

    class Listener(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            report(Progress("steps", state.global_step, state.max_steps))

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
        ) -> None:
            if "loss" in logs:
                ui.note(log_line(logs, state.global_step, state.max_steps))

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Listener)


def finished(folder: Path) -> TrainingManifest:
    """The manifest of a finished training."""
    return read_training_manifest(folder / TrainingManifest.FILE, str(folder))


def _manifest(
    recipe: Recipe,
    models: Models,
    data: TrainingData,
    trainer: Any,
    command: Sequence[str],
    seconds: float | None,
) -> TrainingManifest:
    """`seconds` and `tokens` are told of trainings that ran in one go."""
    tokens = getattr(trainer, "tokens_seen", None)
    objective = getattr(trainer, "objective", None)
    cells = getattr(trainer, "cells", {})
    base, margin = models.base, models.margin
    return TrainingManifest(
        format=1,
        stage=recipe.stage,
        recipe=recipe.dump(),
        objective=objective.name if objective else None,
        objective_args=objective.parameters if objective else {},
        base=Base(name=base.name, commit=base.base.commit, weights=base.identity.weights),
        data=tuple(r.dump() for r in data.reports),
        buffer=tuple(r.dump() for r in data.buffer_reports),
        policy={
            "name": recipe.pair_policy,
            "flipped": data.flipped,
            "dropped": dict(data.dropped),
        }
        if recipe.stage == "preference"
        else None,
        experts={
            role: Base(name=one.name, weights=one.weights)
            for role, one in experts_in(models.routing).items()
        }
        or None,
        margin=MarginModel(
            name=margin.name,
            commit=margin.base.commit,
            weights=margin.identity.weights,
            adapter=margin.identity.adapter,
        )
        if margin is not None
        else None,
        mixture=tuple(one.dump() for one in data.drawn),
        levels=TrainedLevels(
            count=recipe.levels, cells={str(levels): n for levels, n in sorted(cells.items())}
        )
        if recipe.levels is not None
        else None,
        changed=dict(trainer.changed),
        data_sha256=data.sha256,
        parameters=Parameters(trained=trainer.parameters.trained, all=trainer.parameters.all),
        steps=trainer.state.global_step,
        tokens=int(tokens) if tokens is not None and seconds is not None else None,
        seconds=seconds,
        versions=versions() | {name: importlib.metadata.version(name) for name in _TRAINERS},
        bfpo_bench_commit=git_commit(),
        command=tuple(command),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
