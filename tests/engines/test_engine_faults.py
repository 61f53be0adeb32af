"""Requests that the transformers engine fails on, memory that runs out, and models that answer nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import serving
import torch
from serving import GREEDY, said

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Failure,
    GenerationRequest,
    ScoringRequest,
)
from bfpo_bench.engines.transformers import TransformersEngine

UNKNOWN = Failure("ValueError: token 9999 is none of the 512 that the model knows")
EMPTY = Failure("ValueError: the prompt has no tokens")


@pytest.fixture
def engine(hub: str) -> TransformersEngine:
    return TransformersEngine.load(serving.plain_files())


def with_memory_for(
    engine: TransformersEngine, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that has no room for more than so many tokens at once."""
    forward = engine.model.forward

    def small(*args: Any, input_ids: torch.Tensor, **rest: Any) -> Any:
        if input_ids.numel() > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args, input_ids=input_ids, **rest)

    monkeypatch.setattr(engine.model, "forward", small)


def in_order(results: Iterator[tuple[int, Any]]) -> list[Any]:
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]


class TestOneRequest:
    """One that the model cannot be fed, among those that it can."""

    def test_scored(self, engine: TransformersEngine) -> None:
        good = serving.scoring()
        found = in_order(engine.loglikelihoods([*good, ScoringRequest((5, 9999, 7), 1)]))
        assert found.pop() == UNKNOWN
        expected = [f.logprob for f in said("transformers").likelihoods]
        assert [f.logprob for f in found] == pytest.approx(expected, abs=1e-4)

    def test_scored_from_the_very_first_token(self, engine: TransformersEngine) -> None:
        good = ScoringRequest((5, 6, 7), 2)
        asked = [good, ScoringRequest((5, 6, 7), 3), ScoringRequest((5, 6, 7), 9)]
        found = in_order(engine.loglikelihoods(asked))
        assert found[0] == dict(engine.loglikelihoods([good]))[0]
        assert found[1:] == [Failure("ValueError: the continuation has nothing before it")] * 2

    def test_asked_to_choose(self, engine: TransformersEngine) -> None:
        good = serving.choosing(serving.plain_files())[:4]
        found = in_order(engine.choices([ChoiceRequest((), (5,)), *good]))
        assert found.pop(0) == EMPTY
        for mine, other in zip(found, said("transformers").choices[:4], strict=True):
            assert mine == pytest.approx(other, abs=1e-4)

    def test_continued(self, engine: TransformersEngine) -> None:
        good = serving.generation()[GREEDY]
        found = in_order(engine.generate([*good, GenerationRequest((9999,), 8)]))
        assert found.pop() == UNKNOWN
        assert found == list(said("transformers").generations[GREEDY])

    def test_an_option_that_does_not_exist(self, engine: TransformersEngine) -> None:
        good = ChoiceRequest((5, 6), (7, 8))
        found = in_order(engine.choices([good, ChoiceRequest((5, 6), (7, 9999))]))
        assert found[1] == UNKNOWN
        assert len(found[0]) == 2


class TestMemory:
    def test_batches_of_trees_are_halved_and_it_is_said(
        self, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three rows of up to 30 tokens take 90 where 60 fit, and any two of them do."""
        before = engine.describe()["batch"]
        with_memory_for(engine, 60, monkeypatch)
        asked, told = serving.scoring(), said("transformers").likelihoods
        short = [i for i, request in enumerate(asked) if len(request.tokens) < 60]
        assert len(short) == len(asked) - 1
        found = in_order(engine.loglikelihoods([asked[i] for i in short] * 3))
        expected = [told[i].logprob for i in short] * 3
        assert [f.logprob for f in found] == pytest.approx(expected, abs=1e-4)
        after = engine.describe()["batch"]
        assert before["halved"] == 0
        assert after["halved"] >= 1
        assert after["tokens"] < before["tokens"]

    def test_a_tree_too_large_becomes_smaller_ones(
        self, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ten choices of 12 tokens on 20: one row of 20 + 10 x 11 = 130 where 60 fit."""
        context = tuple(range(40, 60))
        asked = [ScoringRequest((*context, *range(n, n + 12)), 12) for n in range(100, 220, 12)]
        expected = in_order(engine.loglikelihoods(asked))
        with_memory_for(engine, 60, monkeypatch)
        found = in_order(engine.loglikelihoods(asked))
        assert [f.logprob for f in found] == pytest.approx([f.logprob for f in expected], abs=1e-4)
        batch = engine.describe()["batch"]
        assert batch["halved"] >= 1
        assert batch["tokens"] <= 65

    def test_one_too_large_alone_is_a_failure(
        self, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_memory_for(engine, 30, monkeypatch)
        short, long = ScoringRequest((5, 6, 7), 1), ScoringRequest(tuple(range(5, 105)), 1)
        found = in_order(engine.loglikelihoods([short, long, short]))
        assert isinstance(found[1], Failure)
        assert found[1].reason.startswith("OutOfMemoryError: CUDA out of memory")
        assert found[0] == found[2]

    def test_halved_while_generating(
        self, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_memory_for(engine, 60, monkeypatch)
        requests = serving.generation()[GREEDY]
        assert in_order(engine.generate(requests)) == list(said("transformers").generations[GREEDY])
        batch = engine.describe()["batch"]
        assert batch["halved"] >= 1
        assert batch["rows"] < len(requests)


def test_a_model_that_answers_nothing_is_no_list_of_failures(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **rest: Any) -> Any:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(engine.model, "forward", broken)
    for results in (
        engine.loglikelihoods(serving.scoring()),
        engine.generate(serving.generation()),
        engine.choices(serving.choosing(serving.plain_files())),
    ):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            list(results)


def test_what_is_shared_is_said(engine: TransformersEngine) -> None:
    assert engine.describe()["shared_prefix"] == "yes"


def test_the_keys_and_values_of_a_stem_are_let_go(hub: str) -> None:
    """40 tokens that 70 requests of 40 more begin with; afterwards the engine holds none of them."""
    files = dataclasses.replace(serving.plain_files(), arguments={"batch_size": 8})
    engine = TransformersEngine.load(files)
    begin = tuple(range(100, 140))
    asked = [ScoringRequest((*begin, n, *range(200, 240)), 2) for n in range(10, 80)]
    stems = []
    for _ in engine.loglikelihoods(asked):
        stems.append(len(engine._reader._stem[0]))
    assert set(stems) == {40}
    assert engine._reader._stem == ((), [])
