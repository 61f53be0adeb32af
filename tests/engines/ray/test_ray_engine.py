"""Two vLLM workers on a Ray of a stage's own, against transformers: the same model, the same numbers."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from serving import (
    GREEDY,
    NEW_TOKENS,
    SAMPLED,
    SAMPLED_AGAIN,
    Job,
    Said,
    choosing,
    generation,
    need_vllm,
    plain_files,
    said,
    scoring,
    serve,
)

from bfpo_bench.stages.process import run_stage

pytest.importorskip("ray")

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def _served(hub: str) -> None:
    need_vllm()


@functools.cache
def on_ray() -> Said:
    files = replace(plain_files(), arguments={"workers": 2, "max_num_seqs": 8})
    job = Job("ray", files, generation(), scoring(), choosing(files)[:3])
    log = Path(tempfile.mkdtemp()) / "ray.log"
    try:
        return run_stage("serve", serve, job, log=log, report=lambda _: None)
    except Exception as error:
        error.add_note(log.read_text()[-3000:])
        raise


def test_greedy_responses_agree() -> None:
    """The first 16 tokens of at least 9 in 10, and all 24 end the same way."""
    ours, theirs = on_ray().generations[GREEDY], said("transformers").generations[GREEDY]
    same = [a.tokens[:16] == b.tokens[:16] for a, b in zip(ours, theirs, strict=True)]
    assert sum(same) >= 0.9 * len(same)
    for a, b in zip(ours, theirs, strict=True):
        assert len(a.tokens) <= NEW_TOKENS
        assert a.tokens != b.tokens or a.finish_reason == b.finish_reason


def test_a_seed_gives_the_same_again() -> None:
    assert on_ray().generations[SAMPLED] == on_ray().generations[SAMPLED_AGAIN]


def test_log_probabilities_agree() -> None:
    for a, b in zip(on_ray().likelihoods, said("transformers").likelihoods, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
        assert a.greedy == b.greedy


def test_choices_agree() -> None:
    theirs = said("transformers").choices
    for a, b in zip(on_ray().choices, theirs, strict=False):
        assert a == pytest.approx(b, abs=1e-3)


def test_it_says_what_worked() -> None:
    told = on_ray().described
    assert (told["engine"], told["workers"], told["nodes"]) == ("ray", 2, 1)
    assert set(told["versions"]) == {"ray", "torch", "vllm"}
