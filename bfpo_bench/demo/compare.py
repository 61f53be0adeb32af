"""The five models of `bfpo-bench demo --compare`, trained once and kept in the cache.

A helpful-only model is trained from scratch; from it, on the same pairs and in equally many steps of
equally many pairs, DPO (arXiv 2305.18290) in three orders of the pairs, and BFPO (arXiv 2408.15313)
as its paper has it: safety pairs as main data, helpfulness pairs as the buffer, down_proj alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.demo import model
from bfpo_bench.demo.corpus import taught
from bfpo_bench.demo.kept import kept
from bfpo_bench.demo.pairs import helpfulness_pairs, safety_pairs
from bfpo_bench.progress import Progress, Report

if TYPE_CHECKING:
    from bfpo_bench.training.recipe import Recipe
    from bfpo_bench.training.show import Ui

# Raise it when the code changes what is trained: it is part of the folder's name
CODE_VERSION = 1
SFT = "sft"
SAFETY, HELPFULNESS = "safety.jsonl", "helpfulness.jsonl"


@dataclass(frozen=True)
class Method:
    """How one model follows from the supervised one. Without a policy, which is BFPO's case, the
    helpfulness pairs are the buffer and down_proj alone is trained.

    `learning_rate` is the best of 1e-4, 3e-4, 1e-3 and 3e-3 (benchmarks/compare_rates.py), each tried
    once, with seed 0, on requests that are neither taught nor asked: the mean of harmful ones refused
    and benign ones answered as taught.
    """

    name: str
    objective: dict[str, Any]
    learning_rate: float
    policy: str | None = None


# The supervised model prefers an answer to a refusal by 3 nats, and by 8 to one with its reason. With
# 1 / tau = 10 BFPO's targets, of 5 and 10 nats, can turn that round; answers of 10 to 20 tokens could
# not be drawn apart by the 100 nats of the paper's tau and still be language.
METHODS = (
    Method("dpo-helpful-only", {"name": "dpo", "beta": 0.1}, 1e-4, "helpful-only"),
    Method("dpo-safety-only", {"name": "dpo", "beta": 0.1}, 1e-4, "safety-only"),
    Method("dpo-mixed", {"name": "dpo", "beta": 0.1}, 3e-4, "mixed"),
    Method("bfpo", {"name": "bfpo", "tau": 0.1}, 1e-3),
)
BFPO = METHODS[-1].name


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how much of it is trained: the supervised recipe, and for each method
    `steps` of 2 * `pairs` pairs."""

    methods: tuple[Method, ...] = METHODS
    supervised: model.Recipe = field(default_factory=model.Recipe)
    steps: int = 210
    pairs: int = 8
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models, in the order in which they are trained and shown."""
        return (SFT, *(method.name for method in self.methods))

    def title(self, name: str) -> str:
        return f"{name} ({self.names.index(name) + 1} of {len(self.names)})"


def ensure_models(
    cache: Path, command: Sequence[str], ui: Ui, comparison: Comparison
) -> list[Path]:
    """The folders of the five models, in the order of their names; trained where they are not there.

    `command` is kept in their training manifests. One that was killed goes on from its last
    checkpoint. Raises UserError when `cache` cannot be written.
    """
    from bfpo_bench.runs.training_manifest import TrainingManifest
    from bfpo_bench.training.data.jsonl import write_pairs
    from bfpo_bench.training.train import train

    folder = cache.resolve() / folder_name(comparison)
    folders = [folder / name for name in comparison.names]
    kept(folders[0], lambda place: _supervised(place, comparison, command, ui))
    write_pairs(folder / SAFETY, safety_pairs())
    write_pairs(folder / HELPFULNESS, helpfulness_pairs())
    for recipe in recipes(folder, comparison):
        if (recipe.output / TrainingManifest.FILE).is_file():
            continue
        with model.few_threads():
            train(recipe, command, OneBar(ui, comparison.title(recipe.name)))
    return folders


def are_trained(cache: Path, comparison: Comparison) -> bool:
    """Whether all of them are in the cache already."""
    from bfpo_bench.runs.training_manifest import TrainingManifest

    folder = cache.resolve() / folder_name(comparison)
    methods = [folder / method.name / TrainingManifest.FILE for method in comparison.methods]
    return (folder / SFT).is_dir() and all(file.is_file() for file in methods)


def folder_name(comparison: Comparison) -> str:
    """It changes with all that determines the weights."""
    parts = [
        CODE_VERSION,
        model.CODE_VERSION,
        asdict(comparison),
        [asdict(example) for example in taught("helpful")],
        [[asdict(pair) for pair in pairs] for pairs in (safety_pairs(), helpfulness_pairs())],
        [recipe.dump() for recipe in recipes(Path(), comparison)],
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    return f"compare-{digest}"


def recipes(folder: Path, comparison: Comparison) -> list[Recipe]:
    """One for each method, with model, data and results in `folder`."""
    from bfpo_bench.training.recipe import Recipe

    return [
        Recipe.model_validate(recipe_values(method, folder, comparison))
        for method in comparison.methods
    ]


def recipe_values(method: Method, folder: Path, comparison: Comparison) -> dict[str, Any]:
    """The keys of one method's recipe."""
    safety = {"source": "jsonl", "path": str(folder / SAFETY)}
    helpfulness = {"source": "jsonl", "path": str(folder / HELPFULNESS)}
    data: dict[str, Any] = {"data": [safety, helpfulness], "policy": method.policy}
    batch = 2 * comparison.pairs
    if method.policy is None:
        buffer = [helpfulness | {"assume_safe": True}]
        data = {"data": [safety], "buffer": buffer, "train_only": ["down_proj"]}
        batch = comparison.pairs
    return {
        "name": method.name,
        "stage": "preference",
        "model": str(folder / SFT),
        "output": str(folder / method.name),
        **data,
        "objective": method.objective,
        "reference_cache": str(folder / "reference"),
        "max_length": 128,
        "max_prompt_length": 64,
        "seed": comparison.seed,
        "training": {
            "learning_rate": method.learning_rate,
            "warmup_steps": 0.1,
            "max_steps": comparison.steps,
            "per_device_train_batch_size": batch,
            "gradient_checkpointing": False,
            "logging_steps": 10,
            "save_steps": max(1, comparison.steps // 3),
            "save_total_limit": 1,
        },
    }


def _supervised(folder: Path, comparison: Comparison, command: Sequence[str], ui: Ui) -> None:
    from bfpo_bench.runs.manifest import git_commit, versions
    from bfpo_bench.runs.training_manifest import TrainingManifest
    from bfpo_bench.training.output import write_manifest

    examples = taught("helpful")
    with ui.stage(comparison.title(SFT)) as report:
        model.train(
            folder,
            examples,
            comparison.supervised,
            progress=lambda done, total: report(Progress("steps", done, total)),
        )
    told = json.dumps([asdict(example) for example in examples])
    manifest = TrainingManifest(
        format=1,
        stage="sft",
        recipe=asdict(comparison.supervised),
        data_sha256=hashlib.sha256(told.encode()).hexdigest(),
        steps=comparison.supervised.steps,
        versions=versions(),
        bfpo_bench_commit=git_commit(),
        command=tuple(command),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(folder, manifest)


class OneBar:
    """A training's Ui that shows its bars under `title`; its lines stay in the model's folder."""

    def __init__(self, ui: Ui, title: str) -> None:
        self._ui, self._title = ui, title

    def note(self, text: str) -> None:
        return

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        stage: AbstractContextManager[Report] = self._ui.stage(self._title)
        with stage as report:
            yield report
