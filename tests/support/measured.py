"""Runs and rows of made-up models, for tests of what is said and drawn of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manifests import settings

from bfpo_bench.leaderboard.report.model import BlockView
from bfpo_bench.leaderboard.report.rows import block_views, table
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import ModelIdentity
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.training_manifest import Base, TrainingManifest
from bfpo_bench.scoring.aggregate import CELLS
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import Score, Scores, TaskScore

Estimate = tuple[float, float, float]
"""Value, low, high."""


def measured(
    model: str,
    helpful: Estimate | None,
    harmless: Estimate | None,
    *,
    run_id: str = "",
    key: str = "aaaa",
    partial: bool = False,
    base: str = "",
    tasks: dict[str, TaskScore] | None = None,
    limit: int | None = None,
    **more: Any,
) -> FinishedRun:
    """A run that has these scores and nothing on disk; `more` goes into its scores."""
    run_id = run_id or f"{model.split('/')[-1]}-{key}"
    scores = Scores(
        model=model,
        suite="bfpo",
        suite_version=2,
        partial=partial,
        comparability_key=key,
        judges=["harm", "refusal"],
        helpfulness=score(helpful),
        harmlessness=score(harmless),
        over_refusal=Score(),
        cells={cell: Score() for cell in CELLS},
        families={},
        tasks=tasks or {},
        **more,
    )
    parts = {"settings": settings(limit=limit).model_dump(), "data": {}, "judges": {}}
    trained = TrainingManifest(format=1, stage="sft", base=Base(name=base)) if base else None
    manifest = Manifest(
        run_id=run_id,
        model=ModelIdentity(
            name=model, weights="0" * 40, adapter=None, tokenizer="0" * 40, chat_template=None
        ),
        model_source={},
        training=trained,
        settings=settings(limit=limit),
        partial=partial,
        suite_title="A suite",
        comparability=parts,
        comparability_key=key,
        sessions=[{"engine": "null", "finished": "2026-01-02T03:04:05+00:00"}],
    )
    return FinishedRun(RunFolder(Path("runs") / run_id), manifest, scores)


def score(given: Estimate | None) -> Score:
    return Score() if given is None else Score(value=given[0], ci_low=given[1], ci_high=given[2])


def block(*runs: FinishedRun) -> BlockView:
    """The one block that these runs make."""
    [found] = block_views(table(runs, read_leaderboard(Path("none.csv"))), {})
    return found
