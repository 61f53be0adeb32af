"""A request that the engine fails on: told as such, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from generative_runs import task

from bfpo_bench.engines.base import (
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ScoringRequest,
)
from bfpo_bench.judges.baseline import baseline_answers
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages import respond
from bfpo_bench.stages.asked import Asked
from bfpo_bench.stages.judge import JudgeJob, judge
from bfpo_bench.suite.discriminative import Choice

MISCHIEF = task("mischief", "harmlessness/generative", prompts="harmful", judged_by=("refusal",))


class Fails:
    """An engine that fails on every request that holds token 13, for a `fault` of the world or not."""

    name = "transformers"

    def __init__(self, *, fault: bool = False) -> None:
        self.failure = Failure("a bad kernel", fault)

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        for position, request in enumerate(requests):
            broken = 13 in request.prompt
            yield position, self.failure if broken else Generation((1, 2), "stop")

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        for position, request in enumerate(requests):
            broken = 13 in request.tokens
            yield position, self.failure if broken else Likelihood(-1.0, True)


class Words:
    def decode(self, tokens: Sequence[int], skip_special_tokens: bool) -> str:
        return "I will not help with that." if tokens else ""


def silent(progress: Progress) -> None:
    pass


def asked(doc_id: int, *tokens: int) -> Asked:
    messages = [{"role": "user", "content": f"Number {doc_id}?"}]
    return Asked("mischief", doc_id, messages, GenerationRequest(tokens, 8), 0, False, False)


def answered(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    engine: Any = Fails()
    respond.generate_responses(run, engine, Words(), [asked(0, 5), asked(1, 13)], silent)
    return run


def test_it_is_stored_with_the_reason_and_no_answer(tmp_path: Path) -> None:
    good, bad = answered(tmp_path).responses()
    assert (good.error, good.finish_reason) == (None, "stop")
    assert (bad.error, bad.finish_reason) == ("a bad kernel", "error")
    assert (bad.response, bad.response_tokens) == ("", 0)


def test_its_verdict_is_unjudged_and_not_degenerate(tmp_path: Path) -> None:
    """An empty answer of the model's would be degenerate and earn no points: this is none."""
    run = answered(tmp_path)
    job = JudgeJob(Work(load_judge("refusal")), (tmp_path,), frozenset({"mischief"}))
    result = judge(job, silent)
    verdicts = {v.doc_id: v for v in run.verdicts("refusal")}
    assert verdicts[0].label == "refusal"
    assert verdicts[1].label == "unjudged"
    assert verdicts[1].error == "the engine failed on the prompt: a bad kernel"
    assert result.unjudged == {"the engine failed on the prompt: a bad kernel": 1}


class TestFaultOfTheWorld:
    """A server that gives this prompt no answer, say: not what the model does."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> RunFolder:
        run, down = RunFolder(tmp_path), Fails(fault=True)
        todo = [asked(0, 5), asked(1, 13), asked(2, 6)]
        respond.generate_responses(run, down, Words(), todo, silent)  # type: ignore[arg-type]
        return run

    def test_it_is_stored_as_one(self, run: RunFolder) -> None:
        assert [(r.doc_id, r.fault) for r in run.responses()] == [(0, False), (1, True), (2, False)]

    def test_so_is_its_verdict_which_is_asked_again(self, run: RunFolder) -> None:
        job = JudgeJob(Work(load_judge("refusal")), (run.path,), frozenset({"mischief"}))
        assert judge(job, silent).again == 1
        assert [(v.doc_id, v.fault) for v in run.verdicts("refusal") if v.fault] == [(1, True)]
        assert judge(job, silent).made == 1

    def test_its_answer_takes_its_place(self, run: RunFolder) -> None:
        """The other lines stay as they were, byte for byte."""
        before = run.responses_file.read_bytes().splitlines()
        respond.generate_responses(run, Fails(), Words(), [asked(1, 7)], silent)  # type: ignore[arg-type]
        after = run.responses_file.read_bytes().splitlines()
        assert after[:2] == [before[0], before[2]]
        assert [(r.doc_id, r.error) for r in run.responses()] == [(0, None), (2, None), (1, None)]

    def test_it_stands_until_there_is_an_answer(self, run: RunFolder) -> None:
        """Failed at again, it is there once; a session that is killed in between takes nothing away."""
        down: Any = Fails(fault=True)
        respond.generate_responses(run, down, Words(), [asked(1, 13)], silent)
        run.forget_faults()
        told = [(r.doc_id, r.fault) for r in run.responses()]
        assert sorted(told) == [(0, False), (1, True), (2, False)]
        assert len(run.responses_file.read_bytes().splitlines()) == 3

    def test_a_file_without_one_is_left_alone(self, run: RunFolder) -> None:
        respond.generate_responses(run, Fails(), Words(), [asked(1, 7)], silent)  # type: ignore[arg-type]
        changed = run.responses_file.stat().st_mtime_ns
        run.forget_faults()
        assert run.responses_file.stat().st_mtime_ns == changed


def test_it_is_no_answer_to_compare_with(tmp_path: Path) -> None:
    assert set(baseline_answers(answered(tmp_path))) == {("mischief", 0)}


def test_a_task_with_such_a_choice_is_named_and_the_other_choices_are_stored(
    tmp_path: Path,
) -> None:
    run, engine = RunFolder(tmp_path), Fails()
    built = [Choice("a", 0, 0, "x", "y"), Choice("b", 4, 1, "x", "y"), Choice("b", 5, 0, "x", "y")]
    scoring = [(ScoringRequest(tokens, 1), 0) for tokens in [(1, 2), (1, 13), (1, 3)]]
    broken = respond._score(run, engine, built, scoring, [0, 1, 2], silent)  # type: ignore[arg-type]
    assert broken == {
        "b": "the engine failed on choice 1 of its document 4 (a bad kernel); the same command "
        "asks again"
    }
    assert [s.key for s in run.likelihoods()] == [("a", 0, 0), ("b", 5, 0)]


def test_a_judges_model_that_fails_has_not_judged() -> None:
    """A fault: no machine remembers it, and the same command asks again."""
    from bfpo_bench.judges.running.local import failed

    assert failed(Failure("a bad kernel")) == Finding(
        "unjudged", error="the judge's engine failed on it: a bad kernel", fault=True
    )
