"""What a user is told of the respond stage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from bfpo_bench.notes import respond_notes


def test_counts_that_no_server_told_are_said_to_be_missing() -> None:
    plan = SimpleNamespace(unverified=[], request=SimpleNamespace(num_fewshot=None))
    result = SimpleNamespace(warnings=[], counts={"one": {"tokens_untold": 7}}, engine={})
    assert list(respond_notes(cast(Any, plan), {}, {}, cast(Any, result))) == [
        "the server did not tell how many tokens 7 of its answers have: response_tokens is null there"
    ]


def test_answers_without_room_say_what_that_means_and_where_to_see_it() -> None:
    """Two tasks, 30 answers cut short by the context between them."""
    plan = SimpleNamespace(unverified=[], request=SimpleNamespace(num_fewshot=None))
    counts = {"one": {"answers_capped": 10}, "other": {"answers_capped": 20}}
    result = SimpleNamespace(warnings=[], counts=counts, engine={})
    [note] = respond_notes(cast(Any, plan), {}, {}, cast(Any, result))
    assert note.startswith("30 answers could not be as long as their task allows")
    assert note.endswith("`capped` marks them in responses.jsonl")


def test_checks_that_were_cut_are_told_beside_those_that_said_neither() -> None:
    plan = SimpleNamespace(unverified=[], request=SimpleNamespace(num_fewshot=None))
    counts = {"checks": 6, "blocked": 1, "checks_neither": 2}

    def told(cut: int) -> list[str]:
        found = {"one": counts | {"checks_cut": cut}}
        result = SimpleNamespace(warnings=[], counts=found, engine={})
        return list(respond_notes(cast(Any, plan), {}, {}, cast(Any, result)))

    whole = "the model's own checks blocked 1 of 6 responses; 2 said neither yes nor no, and blocked nothing"
    assert told(0) == [whole]
    assert told(3) == [f"{whole}; 3 were longer than its context and cut from the left"]
