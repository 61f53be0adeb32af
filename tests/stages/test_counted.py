"""How many tokens answers have: what nobody told is not 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from generative_runs import response, stored, task

from bfpo_bench.engines.base import Generation, GenerationRequest, Told
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages.asked import Asked
from bfpo_bench.stages.counted import counted, each_once
from bfpo_bench.stages.respond import generate_responses
from bfpo_bench.suite.documents import LoadedTask

MISCHIEF = task("mischief", "harmlessness/generative", prompts="harmful", judged_by=("refusal",))
MESSAGES = [{"role": "user", "content": "Number 0?"}]


class TestEachOnce:
    """A run with a hole would pass for a whole one."""

    def test_in_any_order(self) -> None:
        assert list(each_once([(1, "b"), (0, "a")], 2)) == [(1, "b"), (0, "a")]

    def test_one_is_missing(self) -> None:
        with pytest.raises(RuntimeError, match="gave no result for 1 of 3 requests"):
            list(each_once([(2, "c"), (0, "a")], 3))

    def test_one_comes_twice(self) -> None:
        with pytest.raises(RuntimeError, match="answered request 0 of 2 twice"):
            list(each_once([(0, "a"), (0, "a")], 2))

    def test_a_hole_is_no_end_of_the_stage(self, tmp_path: Path) -> None:
        """What came is stored, and nothing says that the stage has finished."""
        run, requests = RunFolder(tmp_path), [asked_by_tokens(i) for i in range(3)]
        with pytest.raises(RuntimeError, match="no result for 1 of 3"):
            generate_responses(
                run, cast(Any, Forgetful()), Words(), requests, lambda progress: None
            )
        assert [r.doc_id for r in run.responses()] == [0, 2]


class Forgetful:
    """An engine that gives no result for request 1."""

    name = "transformers"

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[int, Generation]]:
        said = Generation((), "stop", Told("I am fine", 2, 3))
        return ((i, said) for i in range(len(requests)) if i != 1)


def asked_by_tokens(doc_id: int) -> Asked:
    return Asked("mischief", doc_id, MESSAGES, GenerationRequest((1, 2), 8), 0, False, False)


class Untold:
    """An engine whose server counts no tokens."""

    name = "server"

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[int, Generation]]:
        for position, request in enumerate(requests):
            known = len(request.prompt) or None
            yield position, Generation((), "stop", Told("I am fine", known, None))


class Words:
    """One token a word, and one in front where special ones are wanted."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[str]:
        return ["<s>"] * add_special_tokens + text.split()


@pytest.mark.parametrize(
    ("request_", "tokenizer", "known"),
    [
        (GenerationRequest((1, 2), 8), Words(), (2, 3)),
        (GenerationRequest((), 8, messages=tuple(MESSAGES)), None, (None, None)),
    ],
    ids=["counted by the tokenizer", "a hosted model's are unknown"],
)
def test_of_a_server_that_does_not_tell(
    request_: GenerationRequest, tokenizer: Any, known: Any, tmp_path: Path
) -> None:
    run, engine = RunFolder(tmp_path), cast(Any, Untold())
    asked = Asked("mischief", 0, MESSAGES, request_, 0, False, False)
    generate_responses(run, engine, tokenizer, [asked], lambda _: None)
    [told] = run.responses()
    assert (told.prompt_tokens, told.response_tokens) == known


def test_those_that_are_not_known_are_counted_apart(tmp_path: Path) -> None:
    """Three answers, of 5 tokens, 0, and nobody knows how many."""
    run = stored(
        tmp_path,
        *(response("mischief", i, "x", response_tokens=n) for i, n in enumerate((5, 0, None))),
    )
    loaded = cast(LoadedTask, SimpleNamespace(spec=MISCHIEF, doc_ids=(0, 1, 2)))
    counts = counted(run, [loaded], Counter())["mischief"]
    assert (counts["requests"], counts["response_tokens"], counts["tokens_untold"]) == (3, 5, 1)
