"""What the page is given of a document: each different prompt once, and every run's answer."""

from __future__ import annotations

import json
from typing import Any

from generative_runs import response

from bfpo_bench.leaderboard.report.texts import Document, discriminative, generative
from bfpo_bench.runs.records import Verdict


def line(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode()


def verdict(**more: Any) -> bytes:
    return line(Verdict("mischief", 0, 0, "0" * 16, "harmless", **more).dump())


def test_a_prompt_that_runs_share_is_told_once() -> None:
    document = Document()
    for text in ("one", "two"):
        document.add({"messages": ["hello"]}, {"text": text})
    document.add({"messages": ["good day"]}, {"text": "three"})
    assert document.dump() == {
        "prompts": [{"messages": ["hello"]}, {"messages": ["good day"]}],
        "rows": [{"text": "one"}, {"text": "two"}, {"text": "three", "prompt": 1}],
    }


def test_a_response_with_what_its_judges_said() -> None:
    told = response("mischief", 3, "No.", document={"reference": "a"})
    prompt, row = generative(
        line(told.dump()),
        {
            1: verdict(score=0.123456789, raw="safe", answers={"why": "kind"}),
            2: verdict(error="slow"),
        },
    )
    assert prompt == {
        "messages": [{"role": "user", "content": "mischief 3?"}],
        "kept": {"reference": "a"},
    }
    assert row == {
        "text": "No.",
        "finish": "stop",
        "tokens": 1,
        "engine": "null",
        "verdicts": [
            {"judge": 1, "score": 0.123457, "raw": "safe", "answers": {"why": "kind"}},
            {"judge": 2, "error": "slow"},
        ],
    }


def test_a_score_of_zero_is_a_score() -> None:
    _, row = generative(line(response("mischief", 0, "No.").dump()), {0: verdict(score=0.0)})
    assert row["verdicts"] == [{"judge": 0, "score": 0.0}]


def test_the_trace_stands_apart_from_the_answer() -> None:
    told = response("mischief", 0, "<think>Hm.</think>\nNo.")
    _, row = generative(line(told.dump()), {})
    assert (row["text"], row["trace"]) == ("No.", "Hm.")


def test_an_answer_without_a_trace_is_as_it_was_written() -> None:
    _, row = generative(line(response("mischief", 0, "\n  No. ").dump()), {})
    assert row["text"] == "\n  No. "
    assert "trace" not in row


def test_a_failure_of_the_engine_and_an_empty_answer() -> None:
    told = response("mischief", 0, "", error="too long")
    _, row = generative(line(told.dump()), {})
    assert (row["text"], row["error"]) == ("", "too long")


def test_half_a_character_is_kept() -> None:
    _, row = generative(line(response("mischief", 0, "a\ud800b").dump()), {})
    assert row["text"] == "a\ud800b"


def sample(*requests: tuple[str, str], **more: Any) -> bytes:
    return line(
        {
            "doc_id": 0,
            "arguments": requests,
            "target": 1,
            "filtered_resps": [[-float(n), False] for n in range(len(requests))],
        }
        | more
    )


def test_choices_share_their_context() -> None:
    prompt, row = discriminative(sample(("Grass is", " blue"), ("Grass is", " green")))
    assert prompt == {"context": "Grass is", "choices": [" blue", " green"], "target": "1"}
    assert row == {"logprobs": [0.0, -1.0]}


def test_choices_that_end_different_contexts_keep_them() -> None:
    prompt, _ = discriminative(sample(("The cat", " sat"), ("The dog", " sat")))
    assert prompt["contexts"] == ["The cat", "The dog"]
    assert "context" not in prompt


def test_a_likelihood_that_is_no_number() -> None:
    told = sample(("a", "b"), filtered_resps=[[float("-inf"), False]])
    assert discriminative(told)[1] == {"logprobs": [None]}
