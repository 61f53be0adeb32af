"""vLLM's pooling interface gives the numbers that transformers gives, for every kind of head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import serving
import torch
from reward_models import (
    END,
    PAD,
    ScoreJob,
    beaver_model,
    encoded,
    files_of,
    random_encoder,
    random_llama,
    score_with_vllm,
    scores_of,
    vocabulary,
)

from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.stages.process import run_stage

TEXTS = (
    "BEGINNING OF CONVERSATION: USER: tea ASSISTANT:kind kettle",
    "USER: tea ASSISTANT: cruel cruel",
    "kind",
    "tea kettle kind cruel tea kettle kind cruel tea tea tea tea tea tea",
)


MODELS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda folder: random_llama(folder, labels=2),
    "beaver": lambda folder: beaver_model(folder, {"cruel": 1.0, "kind": -1.0}, 0.25),
    # Sixteen tokens, the longest text here, are all that it can hold
    "roberta": lambda folder: random_encoder(folder, "roberta", positions=20),
}


def texts_of(folder: Path) -> tuple[tuple[int, ...], ...]:
    """The texts; one that an end token ends, and one that ends in padding."""
    texts = encoded(folder, *TEXTS)
    known = vocabulary()
    return (*texts, (*texts[1], known[END]), (*texts[1], known[PAD], known[PAD]))


@dataclass(frozen=True)
class Scored:
    """What both engines say of a model's texts."""

    mine: list[tuple[float, ...]]
    other: list[tuple[float, ...]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scored]:
    serving.need_vllm()
    here = tmp_path_factory.mktemp("scorers")
    folders = [make(here / name) for name, make in MODELS.items()]
    jobs = [ScoreJob(folder, texts_of(folder)) for folder in folders]
    log = here / "vllm.log"
    try:
        found = run_stage(
            "score",
            score_with_vllm,
            jobs,
            log=log,
            report=lambda _: None,
            environment={"BFPO_BENCH_CACHE": str(here / "cache")},
        )
    except Exception as error:
        error.add_note(log.read_text()[-3000:])
        raise
    others = [scores_of(TransformersScorer.load(files_of(j.folder)), j.texts) for j in jobs]
    return dict(zip(MODELS, map(Scored, found, others), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_agree(name: str, scored: dict[str, Scored]) -> None:
    """Raw outputs, no sigmoid or softmax: some are outside 0 to 1."""
    mine, other = scored[name].mine, scored[name].other
    assert torch.tensor(mine) == pytest.approx(torch.tensor(other), abs=1e-4)
    assert len({round(scores[0], 3) for scores in other}) > 3
    assert any(not 0 <= value <= 1 for scores in other for value in scores)
