"""Scores through two vLLM workers on a Ray of a stage's own, against transformers: the same numbers, each
at its own request's place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from reward_models import (
    END,
    PAD,
    ScoreJob,
    beaver_model,
    encoded,
    files_of,
    score_on_ray,
    scores_of,
    vocabulary,
)
from serving import need_vllm

from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.stages.process import run_stage

pytest.importorskip("ray")

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


def texts_of(folder: Path) -> tuple[tuple[int, ...], ...]:
    """Twenty of them, neither sorted nor of one length; one ends in padding."""
    words = ("kind", "tea kettle", "cruel cruel tea", "USER: tea ASSISTANT: kind", "kettle kind")
    texts = encoded(folder, *(f"{word} {' '.join(words[:i])}" for i in range(4) for word in words))
    known = vocabulary()
    return (*texts, (*texts[1], known[END]), (*texts[1], known[PAD], known[PAD]))


def test_the_numbers_agree(tmp_path: Path) -> None:
    """Of one of Beaver's, whose folder is made anew for vLLM."""
    need_vllm()
    folder = beaver_model(tmp_path / "beaver", {"cruel": 1.0, "kind": -1.0}, 0.25)
    job, log = ScoreJob(folder, texts_of(folder)), tmp_path / "ray.log"
    cache = {"BFPO_BENCH_CACHE": str(tmp_path / "cache")}
    try:
        mine = run_stage(
            "score", score_on_ray, job, log=log, report=lambda _: None, environment=cache
        )
    except Exception as error:
        error.add_note(log.read_text()[-3000:])
        raise
    other = scores_of(TransformersScorer.load(files_of(folder)), job.texts)
    assert torch.tensor(mine) == pytest.approx(torch.tensor(other), abs=1e-3)
    assert len({tuple(round(x, 2) for x in scores) for scores in other}) > 8, "an order shows"
