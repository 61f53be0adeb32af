"""Whose answers a judge of preferences compares with, and when there is nothing to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bfpo_bench.judges.baseline import CUT_OFF, Reference, baseline_answers, baseline_of, finished
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judging import PlannedJudge, judge_texts
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response

TASK = "bfpo_alpaca_eval"


def response(
    text: str, doc_id: int = 0, prompt: str = "Why is the sea salty?", **more: Any
) -> Response:
    known: dict[str, Any] = {
        "sample": 0,
        "messages": [{"role": "user", "content": prompt}],
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "response_tokens": 5,
        "seed": 0,
        "engine": "transformers",
    }
    return Response(task=TASK, doc_id=doc_id, response=text, **known | more)


class TestAnotherRun:
    def answers(self, folder: Path, *of: Response) -> dict[tuple[str, int], Reference]:
        run = RunFolder(folder)
        with Appender(run.responses_file) as file:
            for one in of:
                file.append(one.dump())
        return baseline_answers(run)

    def test_its_first_answer_counts_without_its_reasoning(self, tmp_path: Path) -> None:
        found = self.answers(
            tmp_path, response("<think>Hm.</think>Rivers."), response("Rain.", sample=1)
        )
        assert found == {(TASK, 0): Reference("Why is the sea salty?", "Rivers.")}
        assert baseline_of(response("Salt."), found, {}) == "Rivers."

    @pytest.mark.parametrize(
        ("text", "more"),
        [("<think>let me see what", {}), ("let me see what", {"reasoning_open": True})],
    )
    def test_reasoning_that_was_cut_off_is_no_answer_to_win_against(
        self, tmp_path: Path, text: str, more: dict[str, Any]
    ) -> None:
        found = self.answers(tmp_path, response(text, **more))
        assert baseline_of(response("Salt."), found, {}) == CUT_OFF
        assert CUT_OFF.label == "unjudged"

    def test_an_answer_to_something_else_is_not_compared(self, tmp_path: Path) -> None:
        """Of the same number, in data that have changed."""
        found = self.answers(tmp_path, response("Rain.", prompt="Why is the sky grey?"))
        other = baseline_of(response("Salt."), found, {})
        assert other == Finding("unjudged", error="the baseline was asked something else")

    def test_a_document_that_it_was_not_asked_is_unjudged(self, tmp_path: Path) -> None:
        found = self.answers(tmp_path, response("Rain.", doc_id=1))
        other = baseline_of(response("Salt."), found, {})
        assert other == Finding("unjudged", error="the baseline has no answer to this document")


class TestTheDatasOwn:
    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ({"output": "Rivers."}, "Rivers."),
            ({"output": ""}, ""),
            ({}, Finding("unjudged", error="there is no answer to compare with")),
            (None, Finding("unjudged", error="there is no answer to compare with")),
        ],
    )
    def test_it_is_the_field_that_the_task_names(
        self, document: dict[str, str] | None, found: str | Finding
    ) -> None:
        one = response("Salt.", document=document)
        assert baseline_of(one, None, {TASK: "output"}) == found
        assert isinstance(baseline_of(one, None, {}), Finding)


def test_of_lines_from_anywhere_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line whose baseline never came to an answer is unjudged, and no judge is asked."""
    assert finished("<think>let me see what") is None

    class Quiet:
        def note(self, text: str) -> None: ...

        def stage(self, title: str) -> Any:
            from contextlib import nullcontext

            return nullcontext(lambda progress: None)

    from bfpo_bench.judges.load import load_judge

    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path))
    planned = PlannedJudge(load_judge("refusal"))
    cut, whole = judge_texts(
        planned,
        [
            Text("Say hi", "Hello there, friend.", "<think>let me see what"),
            Text("Say hi", "Hello there, friend.", "<think>Hm.</think>Hi."),
        ],
        Quiet(),
    )
    assert cut == CUT_OFF
    assert whole.label == "compliance"
