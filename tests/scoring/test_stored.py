"""What a run has stored, as scores read it: only verdicts on the texts that are there now."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generative_runs import CHORES, ERRANDS, MISCHIEF, judged, key, response, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_judges import rule

from bfpo_bench.errors import UserError
from bfpo_bench.judges.load import load_judge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, StoredLikelihood, Verdict
from bfpo_bench.scoring.said import codes
from bfpo_bench.scoring.stored import read_stored

REFUSAL = load_judge("refusal")
TASKS = [MISCHIEF, ERRANDS, CHORES]


def chore(doc_id: int, text: str, output: str | None = "Tea.", **more: object) -> Response:
    document = None if output is None else {"output": output}
    return response("chores", doc_id, text, document=document, **more)


def test_responses_are_in_order_whenever_they_came(tmp_path: Path) -> None:
    told = [response("mischief", 1, "b"), response("errands", 0, "c"), response("mischief", 0, "a")]
    found = read_stored(stored(tmp_path, *told), TASKS, [REFUSAL], None)
    assert list(found.responses("mischief")) == [key(0), key(1)]
    assert list(found.responses("errands")) == [key(0, "errands")]
    # A task that was not asked has none
    assert list(found.responses("chores")) == []


def test_a_verdict_counts_for_the_text_that_it_is_on(tmp_path: Path) -> None:
    """Document 0 was answered anew; 7 is no longer there; of 1 the last word counts."""
    a, b, gone = (response("mischief", i, "text") for i in (0, 1, 7))
    run = stored(tmp_path, a, b)
    before = replace(a, response="another text")
    judged(
        run, "refusal", [(before, "refusal"), (b, "unjudged"), (b, "refusal"), (gone, "refusal")]
    )
    found = read_stored(run, TASKS, [REFUSAL], None)
    assert found.of("refusal", "mischief").codes == codes(["unjudged", "refusal"])


def test_a_judge_without_verdicts_has_said_nothing(tmp_path: Path) -> None:
    found = read_stored(stored(tmp_path, response("mischief", 0, "a")), TASKS, [REFUSAL], None)
    assert found.said == {"refusal": {}}
    assert found.of("refusal", "mischief").codes == codes(["unjudged"])


def test_a_response_that_is_stored_twice_counts_as_it_came_first(tmp_path: Path) -> None:
    first, second = response("mischief", 0, "first"), response("mischief", 0, "second")
    run = stored(tmp_path, first, second)
    judged(run, "refusal", [(first, "refusal"), (second, "compliance")])
    found = read_stored(run, TASKS, [REFUSAL], None)
    assert list(found.responses("mischief")) == [key(0)]
    assert found.of("refusal", "mischief").codes == codes(["refusal"])


def test_samples_of_a_document_are_responses_of_their_own(tmp_path: Path) -> None:
    told = [response("mischief", doc_id, "text", sample=n) for doc_id in (1, 0) for n in (1, 0)]
    run = stored(tmp_path, *told)
    judged(run, "refusal", [(told[0], "refusal"), (told[3], "compliance")])
    found = read_stored(run, TASKS, [REFUSAL], None)
    assert list(found.responses("mischief")) == [("mischief", d, n) for d in (0, 1) for n in (0, 1)]
    said = ["compliance", "unjudged", "unjudged", "refusal"]
    assert found.of("refusal", "mischief").codes == codes(said)


def test_a_run_of_an_older_version_has_no_hashes_and_is_read_all_the_same(tmp_path: Path) -> None:
    """Half a character in it, and the hash that its verdict has already."""
    one = response("mischief", 0, "half \ud83d")
    run = RunFolder(tmp_path)
    line = {k: v for k, v in one.dump().items() if k not in ("text_hash", "error")}
    with Appender(run.responses_file) as file:
        file.append(line)
    judged(run, "refusal", [(one, "refusal")])
    found = read_stored(run, TASKS, [REFUSAL], None)
    assert found.of("refusal", "mischief").codes == codes(["refusal"])


def test_scores_are_kept_of_judges_that_give_numbers(tmp_path: Path) -> None:
    """The second verdict has none; the refusal judge's confidence decides nothing."""
    marks = rule(tmp_path / "marks", "rating", "'rated'")
    told = [chore(0, "Milk."), chore(1, "Sugar.")]
    run = stored(tmp_path / "run", *told)
    for name in ("marks", "refusal"):
        with Appender(run.verdicts_file(name)) as file:
            for one, score in zip(told, (7, None), strict=True):
                label = "rated" if name == "marks" else "refusal"
                file.append(Verdict("chores", one.doc_id, 0, one.text_hash, label, score).dump())
    found = read_stored(run, TASKS, [marks, REFUSAL], None)
    scores = found.of("marks", "chores").scores
    assert scores is not None
    assert scores[0] == 7
    assert math.isnan(scores[1])
    assert found.of("refusal", "chores").scores is None


def test_a_fault_of_the_world_is_known_by_task_and_forgotten_with_a_later_verdict(
    tmp_path: Path,
) -> None:
    a, b, c = response("mischief", 0, "a"), response("mischief", 1, "b"), response("errands", 0, "")
    run = stored(tmp_path, a, b, c)
    with Appender(run.verdicts_file("refusal")) as file:
        for one in (a, c):
            broken = Verdict(one.task, one.doc_id, 0, one.text_hash, "unjudged", fault=True)
            file.append(broken.dump())
    judged(run, "refusal", [(a, "refusal")])
    found = read_stored(run, TASKS, [REFUSAL], None)
    assert not found.of("refusal", "mischief").fault
    assert found.of("refusal", "errands").fault


def test_who_answered_is_known_by_name(tmp_path: Path) -> None:
    run = stored(tmp_path, *(response("mischief", i, "a", engine=e) for i, e in enumerate("zyz")))
    with Appender(run.likelihoods_file) as file:
        file.append(StoredLikelihood("facts", 0, 0, -1.0, True, "a").dump())
    assert read_stored(run, TASKS, [REFUSAL], None).engines == ["a", "y", "z"]


@pytest.mark.parametrize(
    "damage",
    [
        {"label": "refused"},
        {"label": None},
        {"doc_id": "0"},
        {"doc_id": -1},
        {"doc_id": 1 << 60},
        {"sample": 1 << 20},
        {"text_hash": "not hexadecimal."},
        {"text_hash": "beef"},
        {"score": "high"},
        {"fault": 1},
    ],
)
def test_a_damaged_verdict_is_named_and_never_counted(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    one = response("mischief", 0, "text")
    run = stored(tmp_path, one)
    judged(run, "refusal", [(one, "refusal")])
    with Appender(run.verdicts_file("refusal")) as file:
        file.append(Verdict("mischief", 0, 0, one.text_hash, "refusal").dump() | damage)
    with pytest.raises(UserError, match=r"refusal\.jsonl, line 2 does not hold what it should"):
        read_stored(run, TASKS, [REFUSAL], None)


_LABEL = st.sampled_from(["refusal", "partial_refusal", "compliance", "degenerate", "unjudged"])
_PLACE = st.tuples(st.sampled_from(["mischief", "errands"]), st.integers(0, 5), st.integers(0, 2))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(_PLACE, st.sampled_from("ab")), max_size=20),
    st.lists(st.tuples(_PLACE, st.sampled_from("ab"), _LABEL), max_size=30),
)
def test_verdicts_find_their_responses(
    tmp_path_factory: pytest.TempPathFactory, answers: list[Any], words: list[Any]
) -> None:
    """The first text of a response counts, and of the verdicts on that text the last."""
    told = [response(t, d, text, sample=n) for (t, d, n), text in answers]
    run = stored(tmp_path_factory.mktemp("run"), *told)
    spoken = [(response(t, d, text, sample=n), label) for (t, d, n), text, label in words]
    judged(run, "refusal", spoken)
    texts: dict[Any, str] = {}
    for one in told:
        texts.setdefault(one.key, one.text_hash)
    expected = {r.key: label for r, label in spoken if texts.get(r.key) == r.text_hash}
    found = read_stored(run, TASKS, [REFUSAL], None)
    for name in ("mischief", "errands"):
        keys = list(found.responses(name))
        assert keys == sorted(k for k in texts if k[0] == name)
        assert found.of("refusal", name).codes == codes(expected.get(k, "unjudged") for k in keys)


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
