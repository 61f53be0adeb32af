"""What a bias does to answers, on both engines: exactly at its positions, and to nobody else.

One bias for all: zeros on the first 24 positions, then entries that force a token, force another,
forbid some, and numbers of every size on the last positions. Requests of up to 24 tokens must
therefore come out as without a bias, and longer ones as `biases.expected` computes them.

vLLM gets so small a batch, so few tokens a step and so small a cache that requests join and leave it
all the time, long prompts are read in chunks, and requests are preempted and come back.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving
from biases import bias_of, expected

from bfpo_bench.engines.base import Generation, GenerationRequest, ModelFiles
from bfpo_bench.engines.subject import load_tokenizer
from bfpo_bench.errors import UserError
from bfpo_bench.stages.process import run_stage

FORCED, AGAIN = 24, 26
FORBIDS = 28
RANDOM = slice(30, 34)
POSITIONS = 34
FIRST, SECOND = 500, 123
"""The tokens that are forced at FORCED and AGAIN."""
HUGE = 1e9
CROWDED = {
    "max_num_seqs": 6,
    "max_num_batched_tokens": 64,
    "num_gpu_blocks_override": 24,
    "block_size": 32,
    "disable_log_stats": False,
}
"""Of vLLM: 24 blocks of 32 tokens are little more than one longest request may fill. It is to count, too."""


@functools.cache
def values() -> Any:
    made = np.zeros((POSITIONS, 512), dtype=np.float32)
    made[FORCED, FIRST] = made[AGAIN, SECOND] = -HUGE
    made[FORBIDS, 2::2] = HUGE
    made[RANDOM] = np.random.default_rng(0).normal(0, 3, (4, 512))
    return made


@functools.cache
def long_requests() -> tuple[GenerationRequest, ...]:
    """Prompts of 4 to 300 tokens, answers of 1 to 60, in no order of either."""
    tokenizer = load_tokenizer(Path(serving.plain_files().folder))
    texts = [tokenizer.encode(text) for text in serving.PROMPTS]
    found = []
    for number in range(24):
        text = texts[number % len(texts)]
        repeated = text * (1 + 7 * number % 23)
        found.append(GenerationRequest(tuple(repeated[:300]), 1 + 37 * number % 60))
    return tuple(found)


@functools.cache
def biased_files() -> ModelFiles:
    folder = Path(tempfile.mkdtemp(prefix="bfpo-bench-bias-", dir=serving.work()))
    return replace(serving.plain_files(), bias=bias_of(folder / "a.bias", values()))


@functools.cache
def answers(engine: str) -> serving.Said:
    """The requests of `serving`, then the long ones, all in one call; log-likelihoods as there."""
    requests = (*serving.generation(), *long_requests())
    job = serving.Job(engine, biased_files(), requests, serving.scoring())
    if engine == "transformers":
        return serving.serve(job, lambda _: None)
    crowded = replace(job, files=replace(job.files, arguments=CROWDED))
    log = serving.work() / "biased.log"
    try:
        return run_stage("serve", serving.serve, crowded, log=log, report=lambda _: None)
    except Exception as error:
        error.add_note(log.read_text()[-3000:])
        raise


@functools.cache
def by_hand() -> list[tuple[int, ...]]:
    files = biased_files()
    return expected(files.folder, long_requests(), values(), files.stop_tokens)


@pytest.fixture(params=["transformers", "vllm"])
def engine(request: pytest.FixtureRequest, hub: str) -> str:
    if request.param == "vllm":
        serving.need_vllm()
    return str(request.param)


def plain(engine: str) -> serving.Said:
    """The same engine without a bias. vLLM's is one that other tests load as well."""
    return (
        serving.said("transformers")
        if engine == "transformers"
        else serving.said("vllm", "hostile")
    )


def long_answers(engine: str) -> list[Generation]:
    return list(answers(engine).generations[len(serving.generation()) :])


def test_zeros_leave_every_token(engine: str) -> None:
    """Greedy and sampled, up to the 24 positions whose bias is zero."""
    assert answers(engine).generations[: len(serving.generation())] == plain(engine).generations


def test_vllm_was_crowded(hub: str) -> None:
    """What the tests of vLLM below say holds of requests that were put back and came again."""
    serving.need_vllm()
    assert (answers("vllm").preempted or 0) > 0


def test_forced_tokens_stand_at_their_positions_and_nowhere_else(engine: str) -> None:
    """Neither token is one that the model says by itself in these answers."""
    reached = 0
    for request, answer in zip(long_requests(), long_answers(engine), strict=True):
        at = [position for position, t in enumerate(answer.tokens) if t in (FIRST, SECOND)]
        assert at == [p for p in (FORCED, AGAIN) if p < len(answer.tokens)]
        assert len(answer.tokens) == request.max_new_tokens or answer.finish_reason == "stop"
        reached += len(at)
    assert reached >= 16


def test_forbidden_tokens_never_stand_where_they_are_forbidden(engine: str) -> None:
    """All even tokens but 0 are; at other positions they are half of what is said."""
    said = [a.tokens for a in long_answers(engine) if len(a.tokens) > FORBIDS]
    assert len(said) > 8
    assert all(tokens[FORBIDS] % 2 for tokens in said)
    elsewhere = [t % 2 == 0 for tokens in said for t in tokens[:FORCED]]
    assert 0.2 < sum(elsewhere) / len(elsewhere) < 0.8


def test_answers_are_those_by_hand(engine: str) -> None:
    """Every token of every answer. On vLLM of 9 in 10: it may part from others at a near-tie."""
    same = [a.tokens == b for a, b in zip(long_answers(engine), by_hand(), strict=True)]
    assert all(same) if engine == "transformers" else sum(same) >= 0.9 * len(same)


def test_log_likelihoods_are_the_models_own(engine: str) -> None:
    mine, own = answers(engine).likelihoods, plain(engine).likelihoods
    for one, other in zip(mine, own, strict=True):
        assert one.greedy == other.greedy
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_a_model_with_other_logits_is_refused(hub: str, tmp_path: Path) -> None:
    """Whoever comes by the plan: the transformers engine says it in a sentence."""
    from bfpo_bench.engines.transformers import TransformersEngine

    bias = bias_of(tmp_path / "a.bias", np.zeros((2, 511)))
    engine = TransformersEngine.load(replace(serving.plain_files(), bias=bias))
    with pytest.raises(UserError, match="has 511 entries a position and the model's logits 512"):
        list(engine.generate(serving.generation()[:1]))
