"""Generative requests without a tokenizer: a hosted model's messages."""

from __future__ import annotations

from pathlib import Path

from generative_runs import task

from bfpo_bench.defences.load import load_defence
from bfpo_bench.stages.asked import Asking, generative_requests
from bfpo_bench.suite.suites import load_suite

LONG = "word " * 100_000


class Documents:
    """Two prompts, of which one is longer than any context."""

    spec = task("bfpo_errands", "helpfulness/generative")
    doc_ids = (3, 5)
    prompts = ("Name a tree.", LONG)

    def documents(self) -> list[dict[str, str]]:
        return [{}, {}]


def test_messages_go_out_whole(tmp_path: Path) -> None:
    """Nothing is cut or capped, since nobody here knows how long they are; the seeds are those of
    every engine."""
    suite = load_suite("bfpo").model_copy(update={"system_prompt": "Be kind."})
    how = Asking(suite, 0, chat_template=True, context=512)
    first, second = generative_requests(how, None, [Documents()])  # type: ignore[list-item]
    assert first.request.prompt == ()
    assert [m["role"] for m in first.request.messages] == ["system", "user"]
    assert second.request.messages[-1]["content"] == LONG
    assert (second.cut, second.capped, second.reasoning_open) == (0, False, False)
    assert second.request.max_new_tokens == suite.decoding.max_new_tokens
    assert first.request.seed != second.request.seed


def test_a_defence_is_in_the_request_and_not_in_what_is_stored() -> None:
    """Judges and comparisons see the user's messages, which are the bare model's."""
    how = Asking(load_suite("bfpo"), 0, True, 512, load_defence("instruction"))
    first, _ = generative_requests(how, None, [Documents()])  # type: ignore[list-item]
    assert [m["role"] for m in first.request.messages] == ["system", "user"]
    assert first.messages == [{"role": "user", "content": "Name a tree."}]
