"""The null engine: what it answers hangs on the request alone, and on nothing that is loaded."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Generation,
    GenerationRequest,
    ModelFiles,
    ScoringRequest,
)
from bfpo_bench.engines.null import ANSWER_TOKENS, NullEngine
from bfpo_bench.engines.select import choose_engine, load_engine
from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.runs.identity import digest

tokens = st.lists(st.integers(0, 50_000), min_size=1, max_size=60).map(tuple)


def test_it_needs_no_weights(tmp_path: Path) -> None:
    engine = load_engine("null", ModelFiles(str(tmp_path / "absent"), 512, (2,)))
    assert engine.describe()["engine"] == "null"


def test_an_answer_is_the_end_of_its_prompt() -> None:
    asked = [GenerationRequest((1, 2, 3), 2), GenerationRequest(tuple(range(100)), 100)]
    short, long = (answer for _, answer in NullEngine().generate(asked))
    assert short == Generation((2, 3), "stop")
    assert long.tokens == tuple(range(100 - ANSWER_TOKENS, 100))


@given(st.lists(tokens, min_size=1, max_size=8))
def test_no_number_hangs_on_the_others_of_its_batch(rows: list[tuple[int, ...]]) -> None:
    engine = NullEngine()
    asked = [ScoringRequest(row, 1) for row in rows]
    together = [found.logprob for _, found in engine.loglikelihoods(asked)]
    alone = [next(engine.loglikelihoods([one]))[1].logprob for one in asked]
    assert together == alone
    assert all(-64 <= logprob <= 0 for logprob in together)


def test_different_choices_have_different_numbers() -> None:
    [(_, found)] = NullEngine().choices([ChoiceRequest((7,), (1, 2, 3))])
    assert len(set(found)) == 3


def test_it_is_chosen_by_name_alone_and_says_what_it_is_worth() -> None:
    assert "measures nothing" in choose_engine("null", "m", {}, 512).reason


def test_another_name_is_another_identity(hub: str) -> None:
    """So that its answers never stand in a real model's run."""
    subject = resolve_subject("karpathy/stories260K")
    other = subject.renamed("x (null engine)")
    assert (other.name, other.base) == ("x (null engine)", subject.base)
    assert digest(other.identity.model_dump()) != digest(subject.identity.model_dump())
