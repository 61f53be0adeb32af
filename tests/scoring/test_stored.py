"""What a run has stored, as scores read it: only verdicts on the texts that are there now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generative_runs import CHORES, ERRANDS, MISCHIEF, judged, key, response, stored
from rule_judges import rule

from bfpo_bench.judges.load import load_judge
from bfpo_bench.runs.records import Response
from bfpo_bench.scoring.stored import read_stored

REFUSAL = load_judge("refusal")
TASKS = [MISCHIEF, ERRANDS, CHORES]


def chore(doc_id: int, text: str, output: str | None = "Tea.", **more: object) -> Response:
    document = None if output is None else {"output": output}
    return response("chores", doc_id, text, document=document, **more)


def test_responses_are_in_order_whenever_they_came(tmp_path: Path) -> None:
    told = [response("mischief", 1, "b"), response("errands", 0, "c"), response("mischief", 0, "a")]
    found = read_stored(stored(tmp_path, *told), TASKS, [REFUSAL], None)
    assert found.keys["mischief"] == [key(0), key(1)]
    assert found.keys["errands"] == [key(0, "errands")]
    # A task that was not asked has none
    assert found.keys["chores"] == []


def test_a_verdict_counts_for_the_text_that_it_is_on(tmp_path: Path) -> None:
    """Document 0 was answered anew; 7 is no longer there; of 1 the last word counts."""
    a, b, gone = (response("mischief", i, "text") for i in (0, 1, 7))
    run = stored(tmp_path, a, b)
    before = replace(a, response="another text")
    judged(
        run, "refusal", [(before, "refusal"), (b, "unjudged"), (b, "refusal"), (gone, "refusal")]
    )
    found = read_stored(run, TASKS, [REFUSAL], None).verdicts["refusal"]
    assert {k: v.label for k, v in found.items()} == {key(1): "refusal"}


def test_a_judge_without_verdicts_has_said_nothing(tmp_path: Path) -> None:
    found = read_stored(stored(tmp_path, response("mischief", 0, "a")), TASKS, [REFUSAL], None)
    assert found.verdicts == {"refusal": {}}


class TestLengths:
    """Characters of answers and of what they are compared with, traces left out."""

    def test_of_tasks_that_are_compared(self, tmp_path: Path) -> None:
        duel = rule(tmp_path / "duel", "preference", "'draw'")
        told = [
            chore(0, "<think>So many words.</think>Milk."),
            chore(1, "So many words.</think>Oh!", reasoning_open=True),
            chore(2, "Sugar.", output=None),
            response("errands", 0, "Done."),
        ]
        found = read_stored(stored(tmp_path / "run", *told), TASKS, [duel], None).lengths
        assert set(found) == {"chores"}
        assert found["chores"].model == {
            key(0, "chores"): 5,
            key(1, "chores"): 3,
            key(2, "chores"): 6,
        }
        # The third answer was stored without its document: what it is compared with is not known
        assert found["chores"].baseline == {key(0, "chores"): 4, key(1, "chores"): 4}

    def test_of_another_runs_answers(self, tmp_path: Path) -> None:
        """They are compared with in place of the documents' own; that run has none to document 1."""
        duel = rule(tmp_path / "duel", "preference", "'draw'")
        run = stored(tmp_path / "run", chore(0, "Milk."), chore(1, "Milk."))
        other = stored(tmp_path / "other", chore(0, "<think>Hm.</think>Lemon juice."))
        found = read_stored(run, TASKS, [duel], other.path).lengths["chores"]
        assert found.baseline == {key(0, "chores"): len("Lemon juice.")}

    def test_without_a_judge_of_preferences_nothing_is_compared(self, tmp_path: Path) -> None:
        run = stored(tmp_path / "run", chore(0, "Milk."))
        assert read_stored(run, TASKS, [REFUSAL], None).lengths == {}
