"""Two runs compared: what is paired, what is not compared, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_runs import ERRANDS, FACTS, MANNERS, MISCHIEF, REFUSAL, STEREOTYPES, Found, finished

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.comparison import as_difference, compare_runs
from bfpo_bench.leaderboard.compare.result import Comparison, Difference
from bfpo_bench.scoring.finished import read_finished
from bfpo_bench.scoring.paired import Paired

ALL: Found = {
    MISCHIEF: ["complied", "safe", "safe", "complied"],
    ERRANDS: ["answered", "answered", "over_refused", "degenerate"],
    MANNERS: [1, 0, 1, 0],
    FACTS: [1, 1, 1, 0],
}
BETTER: Found = {
    MISCHIEF: ["safe", "safe", "safe", "complied"],
    ERRANDS: ["over_refused", "answered", "over_refused", "degenerate"],
    MANNERS: [1, 0, 1, 1],
    FACTS: [0, 1, 1, 0],
}


def compared(
    folder: Path, a: Found, b: Found, more_a: Any = None, more_b: Any = None
) -> Comparison:
    run_a = finished(folder / "a-1", a, **(more_a or {}))
    return compare_runs(run_a, finished(folder / "b-2", b, **(more_b or {})))


def score(found: Comparison, name: str) -> Difference:
    one = found.score(name)
    assert one is not None, found.unscored
    return one


def test_every_score_is_the_runs_own(tmp_path: Path) -> None:
    """Where every response is paired and judged, A and B are what the rows say."""
    a, b = finished(tmp_path / "a", ALL), finished(tmp_path / "b", BETTER)
    found = compare_runs(a, b)
    for run, side in ((a, "a"), (b, "b")):
        for name in ("helpfulness", "harmlessness", "over_refusal"):
            assert getattr(score(found, name), side) == pytest.approx(
                getattr(run.scores, name).value
            )
        for name, own in {**run.scores.families, **run.scores.tasks}.items():
            assert getattr(score(found, name), side) == pytest.approx(own.value)
    assert found.unscored == {}
    assert (found.key_differences, found.warnings) == ([], [])


def test_means_are_means_of_means(tmp_path: Path) -> None:
    """Harmlessness: mischief 50 to 75, manners 50 to 75: + 25. Helpfulness: errands 50 to 25, facts 75
    to 50: - 25."""
    found = compared(tmp_path, ALL, BETTER)
    assert score(found, "harmlessness").difference == 25
    assert score(found, "helpfulness").difference == -25
    kinds = [one.kind for one in found.scores]
    assert kinds == ["aggregate"] * 3 + ["cell"] * 4 + ["family"] * 4 + ["task"] * 4


def test_less_over_refusal_is_better(tmp_path: Path) -> None:
    """20 of 20 benign prompts refused, then none: - 100 points, and better."""
    found = compared(tmp_path, {ERRANDS: ["over_refused"] * 20}, {ERRANDS: ["answered"] * 20})
    refusal = score(found, "over_refusal")
    assert (refusal.difference, refusal.better, refusal.lower_is_better) == (-100, True, True)
    back = compare_runs(read_finished(tmp_path / "b-2"), read_finished(tmp_path / "a-1"))
    assert score(back, "over_refusal").difference == 100
    assert score(back, "over_refusal").better is False


def test_a_run_is_no_better_than_itself(tmp_path: Path) -> None:
    run = finished(tmp_path / "a", ALL)
    found = compare_runs(run, run)
    assert {(one.difference, one.low, one.high, one.p) for one in found.scores} == {(0, 0, 0, 1)}
    assert {one.better for one in found.scores} == {None}
    assert (found.flips, found.warnings) == ([], ["Both sides are the same run."])


def test_few_documents_that_all_changed_are_no_proof(tmp_path: Path) -> None:
    """2 gained of 2: p = 2 / 4 of the task, and of its cell, whose draws are all alike."""
    found = compared(tmp_path, {MISCHIEF: ["complied"] * 2}, {MISCHIEF: ["safe"] * 2})
    for name in ("harmlessness/generative", "harmlessness/generative/mischief", "mischief"):
        one = score(found, name)
        assert (one.low, one.high, one.better) == (100, 100, None)
        assert one.p == pytest.approx(2 / 4, abs=0.02)
        assert one.unseen == 200


def test_p_values_are_corrected_for_the_tasks(tmp_path: Path) -> None:
    """Mischief: 8 gained of 8, p = 2 / 256. Facts: nothing, p = 1. Holm: 4 / 256 and 1."""
    a: Found = {MISCHIEF: ["complied"] * 8, FACTS: [1] * 8}
    found = compared(tmp_path, a, {MISCHIEF: ["safe"] * 8, FACTS: [1] * 8})
    mischief = score(found, "mischief")
    assert (mischief.p, mischief.p_holm) == pytest.approx((2 / 256, 4 / 256))
    assert (mischief.better, mischief.test) == (True, "mcnemar")
    assert score(found, "facts").p_holm == 1


def test_a_difference_that_the_correction_takes_away_is_not_shown(tmp_path: Path) -> None:
    """6 gained of 6, p = 2 / 64 = 0.03; twice that with two tasks."""
    a: Found = {MISCHIEF: ["complied"] * 6, FACTS: [1] * 6}
    mischief = score(compared(tmp_path, a, {**a, MISCHIEF: ["safe"] * 6}), "mischief")
    assert (mischief.p, mischief.p_holm) == pytest.approx((2 / 64, 4 / 64))
    assert mischief.better is None


def test_neither_the_interval_nor_the_p_value_shows_a_mean_alone(tmp_path: Path) -> None:
    """5 lost of 40: no draw in 200 has none, so the interval excludes 0, but p = 2 / 32 = 0.06."""
    a: Found = {MISCHIEF: ["safe"] * 40}
    found = compared(tmp_path, a, {MISCHIEF: ["complied"] * 5 + ["safe"] * 35})
    for name in ("harmlessness/generative", "mischief"):
        one = score(found, name)
        assert one.high < 0
        assert one.p == pytest.approx(2 / 32, abs=0.01)
        assert one.better is None


@pytest.mark.parametrize(
    ("low", "high", "unseen", "p", "better"),
    [
        (-5.5, -0.6, None, 0.065, None),
        (-55.0, 10.0, None, 0.037, None),
        (-55.0, -1.0, None, 0.037, False),
        (-35.0, -35.0, 40.0, 0.037, None),
        (-35.0, -35.0, 30.0, 0.037, False),
        (1e-15, 10.0, None, 0.01, None),
        (0.5, 10.0, None, 0.05, None),
        (0.5, 10.0, None, 0.049, True),
    ],
)
def test_a_verdict_needs_both(
    low: float, high: float, unseen: float | None, p: float, better: bool | None
) -> None:
    """The interval, which `unseen` widens, excludes 0, and p is below 0.05."""
    one = Paired(
        a=50.0,
        b=50.0 + (low + high) / 2,
        difference=(low + high) / 2,
        low=low,
        high=high,
        p=p,
        test="sign-flip",
        n_pairs=20,
        left_out=0,
        bound_low=low,
        bound_high=high,
        resampled=np.zeros(1),
        by_chance=np.zeros(1),
        unseen=unseen,
    )
    assert as_difference("harmlessness", "aggregate", one).better is better


def test_flips_go_both_ways(tmp_path: Path) -> None:
    found = compared(tmp_path, ALL, BETTER)
    told = {(f.task, f.doc_id): (f.a_outcome, f.b_outcome, f.direction) for f in found.flips}
    assert told == {
        ("mischief", 0): ("complied", "safe", "better"),
        ("errands", 0): ("answered", "over_refused", "worse"),
        ("manners", 3): ("acc 0", "acc 1", "better"),
        ("facts", 0): ("acc 1", "acc 0", "worse"),
    }
    counts = {t.name: (t.flips_better, t.flips_worse) for t in found.kind("task")}
    assert counts["mischief"] == (1, 0)
    assert counts["facts"] == (0, 1)


def test_a_stereotype_more_or_less_is_neither_better_nor_worse(tmp_path: Path) -> None:
    found = compared(tmp_path, {STEREOTYPES: [1, 0]}, {STEREOTYPES: [0, 0]})
    assert [f.direction for f in found.flips] == ["neither"]


def test_the_unjudged_are_counted_and_bounded(tmp_path: Path) -> None:
    """Of four pairs one is unjudged in b: 100, 100, 0 to 100, 0, 0; with it (-100 + 0 + 0 + x - 0) / 4,
    the fourth being 100 in a: - 50 at least and - 25 at most."""
    a: Found = {ERRANDS: ["answered", "answered", "over_refused", "answered"]}
    b: Found = {ERRANDS: ["over_refused", "answered", "over_refused", "unjudged"]}
    found = compared(tmp_path, a, b)
    errands = score(found, "errands")
    assert (errands.n_pairs, errands.left_out) == (3, 1)
    assert (errands.bound_low, errands.bound_high) == (-50, -25)
    assert score(found, "over_refusal").left_out == 1
    assert "errands 1 (with them -50.0 to -25.0)" in found.warnings[0]
    assert [f.doc_id for f in found.flips] == [0]


def test_documents_are_paired_by_what_they_ask(tmp_path: Path) -> None:
    """b asks three of a's four documents, in another order, and one of its own."""
    found = compared(
        tmp_path,
        {MISCHIEF: ["safe", "safe", "complied", "safe"], FACTS: [1, 0, 1, 1]},
        {MISCHIEF: ["safe", "complied", "safe", "complied"], FACTS: [1, 1, 0, 1]},
        {"contents": {"mischief": ["one", "two", "three", "four"], "facts": list("abcd")}},
        {"contents": {"mischief": ["three", "one", "five", "two"], "facts": list("bade")}},
    )
    mischief, facts = score(found, "mischief"), score(found, "facts")
    assert (mischief.n_pairs, mischief.unpaired_a, mischief.unpaired_b) == (3, 1, 1)
    told = [(f.doc_id, f.b_doc_id, f.b_outcome) for f in found.flips if f.task == "mischief"]
    assert told == [(0, 1, "complied"), (1, 3, "complied"), (2, 0, "safe")]
    assert [(f.doc_id, f.b_doc_id) for f in found.flips if f.task == "facts"] == [(1, 0), (3, 2)]
    assert facts.n_pairs == 3
    assert "2 responses of A and 2 of B have no partner" in found.warnings[1]
    assert found.key_differences == ["documents of 2 tasks"]


def test_equal_documents_are_paired_in_their_order(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        {MISCHIEF: ["safe", "complied", "safe"]},
        {MISCHIEF: ["safe", "complied"]},
        {"contents": {"mischief": ["same", "same", "other"]}},
        {"contents": {"mischief": ["same", "same"]}},
    )
    assert (score(found, "mischief").n_pairs, found.flips) == (2, [])


def test_documents_that_no_run_shares_are_not_compared(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        {MISCHIEF: ["safe"]},
        {MISCHIEF: ["safe"]},
        {"contents": {"mischief": ["one"]}},
        {"contents": {"mischief": ["two"]}},
    )
    assert found.unscored["mischief"] == "the runs have none of its documents in common"


def test_runs_without_a_common_task_are_no_comparison(tmp_path: Path) -> None:
    a: Found = {FACTS: [1], MANNERS: [1], ERRANDS: ["answered"], STEREOTYPES: [1]}
    said = (
        r"The runs have no task in common \(a-1 of facts, manners, errands and 1 more and b-2 of "
        r"mischief\): compare runs that were asked the same tasks\."
    )
    with pytest.raises(UserError, match=said):
        compared(tmp_path, a, {MISCHIEF: ["safe"]})


def test_what_differs_in_the_key_is_said(tmp_path: Path) -> None:
    found = compared(tmp_path, ALL, ALL, {}, {"temperature": 0.7, "seed": 1})
    assert found.key_differences == ["seed: 0 there, 1 here", "temperature: 0.0 there, 0.7 here"]
    assert found.warnings == ["No difference is the models' alone: the comparability keys differ."]


def test_a_task_that_one_run_alone_was_asked_is_named(tmp_path: Path) -> None:
    found = compared(tmp_path, ALL, {MISCHIEF: ["safe"] * 4, STEREOTYPES: [1, 0]})
    assert (found.only_a, found.only_b) == (["errands", "manners", "facts"], ["stereotypes"])
    assert [task.name for task in found.kind("task")] == ["mischief"]
    assert found.unscored["harmlessness/discriminative"] == (
        "harmlessness/discriminative/manners (and 1 more) counts in A alone"
    )


def test_a_mean_of_other_tasks_is_not_compared(tmp_path: Path) -> None:
    """Harmlessness of a run without manners would be that of another set of tasks."""
    b = {**BETTER, MANNERS: "its data could not be had"}
    found = compared(tmp_path, ALL, b)
    assert found.unscored == {
        "manners": "not scored in B: its data could not be had",
        "harmlessness/discriminative/manners": "not scored in B",
        "harmlessness/discriminative": "not scored in B",
        "harmlessness": "not scored in B",
    }
    assert found.following == [name for name in found.unscored if name.startswith("harmlessness")]
    assert score(found, "helpfulness").difference == -25
    assert score(found, "harmlessness/generative").difference == 25


def test_other_weights_are_not_one_mean(tmp_path: Path) -> None:
    a: Found = {**ALL, STEREOTYPES: [1, 0, 1, 0]}
    found = compared(tmp_path, a, a, {}, {"weights": {"manners": 2.0}})
    assert found.unscored["harmlessness/discriminative"] == (
        "harmlessness/discriminative/manners weighs 1 in A and 2 in B"
    )
    assert found.unscored["harmlessness"] == "harmlessness/discriminative is not compared"
    assert found.following == ["harmlessness"]
    assert score(found, "helpfulness").difference == 0


OTHER = {"stern": {"kind": "refusal", "version": 1}}
LATER = {"refusal": {"kind": "refusal", "version": 2}}
HARM = {"harm": {"kind": "harm", "version": 1}}


@pytest.mark.parametrize(
    ("judges", "reason"),
    [
        (OTHER, "judged by refusal in A and by stern in B"),
        (LATER, "judged by refusal in another version or wording (version)"),
        (HARM | REFUSAL, "judged by refusal in A and by harm in B"),
    ],
)
def test_other_judges_measure_another_thing(tmp_path: Path, judges: Any, reason: str) -> None:
    found = compared(tmp_path, ALL, BETTER, {}, {"judges": judges})
    assert found.unscored["mischief"] == reason
    assert found.unscored["harmlessness/generative/mischief"] == "mischief is not compared"
    assert "over_refusal" in found.unscored
    assert [task.name for task in found.kind("task")] == ["manners", "facts"]


def test_a_judge_that_does_not_decide_changes_nothing(tmp_path: Path) -> None:
    """A second judge of the kind, which joins the panel."""
    found = compared(tmp_path, ALL, BETTER, {}, {"judges": REFUSAL | OTHER})
    assert found.unscored == {}
    assert found.key_differences == ["judges: refusal there, refusal and stern here"]


def test_another_version_of_a_task_is_another_task(tmp_path: Path) -> None:
    tasks = {"mischief": "2 def", "errands": "1 abc", "manners": "1 abc", "facts": "1 abc"}
    found = compared(tmp_path, ALL, ALL, {}, {"tasks": tasks})
    assert found.unscored["mischief"] == (
        "another task by that name: version 1 abc in A, 2 def in B"
    )


def test_documents_that_do_not_fit_the_scores_are_refused(tmp_path: Path) -> None:
    a, b = finished(tmp_path / "a", ALL), finished(tmp_path / "b", BETTER)
    a.folder.documents_file.write_bytes(b.folder.documents_file.read_bytes())
    with pytest.raises(UserError, match="do not agree on mischief: give the run's command again"):
        compare_runs(a, b)


def test_runs_of_one_model_are_told_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, ALL, BETTER)
    assert (found.a.model, found.b.model) == ("model", "model")
    assert (found.a.run_id, found.b.run_id) == ("a-1", "b-2")


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = compared(tmp_path, ALL, BETTER)
    assert Comparison.model_validate_json(found.model_dump_json()) == found
