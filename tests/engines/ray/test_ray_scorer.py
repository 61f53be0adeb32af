"""Scores through two vLLM workers on a Ray of a stage's own, against transformers: the same numbers, each
at its own request's place."""

from __future__ import annotations

from collections.abc import Callable
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
    random_llama,
    score_on_ray,
    scores_of,
    vocabulary,
)
from serving import need_vllm

from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.stages.process import run_stage

pytest.importorskip("ray")

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

MODELS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda folder: random_llama(folder, labels=2),
    "beaver": lambda folder: beaver_model(folder, {"cruel": 1.0, "kind": -1.0}, 0.25),
}


def texts_of(folder: Path) -> tuple[tuple[int, ...], ...]:
    """Twenty of them, neither sorted nor of one length; one ends in padding."""
    words = ("kind", "tea kettle", "cruel cruel tea", "USER: tea ASSISTANT: kind", "kettle kind")
    texts = encoded(folder, *(f"{word} {' '.join(words[:i])}" for i in range(4) for word in words))
    known = vocabulary()
    return (*texts, (*texts[1], known[END]), (*texts[1], known[PAD], known[PAD]))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_vllm()
    return tmp_path_factory.mktemp("scorers")


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_agree(name: str, here: Path) -> None:
    folder = MODELS[name](here / name)
    job, log = ScoreJob(folder, texts_of(folder)), here / f"{name}.log"
    cache = {"BFPO_BENCH_CACHE": str(here / "cache")}
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
