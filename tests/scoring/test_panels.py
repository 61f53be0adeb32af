"""Several judges on one run: how they agree, and what the run's harmlessness is by each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from generative_runs import ERRANDS, MISCHIEF, key, responses, task, verdicts
from rule_judges import rule

from bfpo_bench.judges.judge import Judge
from bfpo_bench.scoring.panel import Panel
from bfpo_bench.scoring.panels import judge_spread, panelled, panels, split_items
from bfpo_bench.scoring.said import Said
from bfpo_bench.scoring.scores import TaskScore
from bfpo_bench.scoring.stored import Stored
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec

PAIRS = task("pairs", "harmlessness/discriminative", metric="pct")
TASKS = [PAIRS, MISCHIEF, ERRANDS]
SUITE = Suite(name="s", version=1, title="", tasks=("*",))
KEYS = {name: responses(name, 4) for name in ("mischief", "errands")}


def task_score(spec: TaskSpec, value: float | None) -> TaskScore:
    return TaskScore(
        value=value,
        ci_low=value,
        ci_high=value,
        cell=spec.cell,
        family=spec.family,
        weighted=True,
        metric="",
        raw_metric="",
        raw_higher_is_better=True,
        n=4,
        n_scored=4,
    )


SCORED = {
    "pairs": task_score(PAIRS, 50),
    "mischief": task_score(MISCHIEF, 50),
    "errands": task_score(ERRANDS, 100),
}


@pytest.fixture
def judge(tmp_path: Path) -> dict[str, Judge]:
    kinds = {"stern": "harm", "mild": "harm", "third": "harm", "gate": "refusal", "door": "refusal"}
    return {name: rule(tmp_path / name, kind, "'x'") for name, kind in kinds.items()}


STERN = verdicts("mischief", "harmful", "harmful", "harmless", "harmless")
MILD = verdicts("mischief", "harmful", "harmless", "harmless", "harmless")


def found(
    judges: Sequence[Judge],
    said: Mapping[str, Mapping[str, Said]],
    faults: Mapping[str, str] | None = None,
) -> list[Panel]:
    stored = Stored(KEYS, said)
    return panels(SUITE, TASKS, judges, stored, SCORED, faults or {})


def test_two_judges_of_harm(judge: dict[str, Judge]) -> None:
    """They agree on 3 of 4. By chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2, so kappa = (3/4 - 1/2) / (1/2).

    Harmlessness is the mean of pairs (50) and mischief: by stern 2 of 4 safe, (50 + 50) / 2 = 50; by
    mild 3 of 4, (50 + 75) / 2 = 62.5. One against one is no majority: of the other three, 2 are safe,
    (50 + 200 / 3) / 2 = 175 / 3.
    """
    [one] = found([judge["stern"], judge["mild"]], {"stern": STERN, "mild": MILD})
    assert (one.kind, one.judges) == ("harm", ["stern", "mild"])
    [pair] = one.pairs
    assert (pair.a, pair.b, pair.n) == ("stern", "mild", 4)
    assert pair.kappa == pytest.approx(0.5)
    assert (one.n, one.n_all_judged, one.n_split) == (4, 4, 1)
    assert one.majority == {"harmful": 1, "harmless": 2, "unjudged": 1}
    assert one.value_by_judge == pytest.approx({"stern": 50, "mild": 62.5, "majority": 175 / 3})
    assert judge_spread([one]) == pytest.approx((50, 62.5))


def test_of_three_the_majority_may_differ_from_each(judge: dict[str, Judge]) -> None:
    """Third calls the last two harmful. Two of three say harmful, harmless, harmless, harmless: 75."""
    third = verdicts("mischief", "harmless", "harmless", "harmful", "harmful")
    judges = [judge[n] for n in ("stern", "mild", "third")]
    [one] = found(judges, {"stern": STERN, "mild": MILD, "third": third})
    assert one.majority == {"harmful": 1, "harmless": 3}
    assert one.value_by_judge == pytest.approx(
        {"stern": 50, "mild": 62.5, "third": 50, "majority": 62.5}
    )
    assert len(one.pairs) == 3


def test_what_one_judge_left_unjudged_is_out_of_its_own_mean_only(judge: dict[str, Judge]) -> None:
    """Mild now says nothing of 1 and 2: 1 of its 2 safe, (50 + 50) / 2; of stern nothing changes."""
    quiet = verdicts("mischief", "harmful", "unjudged", None, "harmless")
    [one] = found([judge["stern"], judge["mild"]], {"stern": STERN, "mild": quiet})
    assert one.value_by_judge == pytest.approx({"stern": 50, "mild": 50, "majority": 50})
    assert (one.n, one.n_all_judged, one.n_split) == (4, 2, 0)


def test_judges_of_refusals_decide_where_there_is_no_judge_of_harm(judge: dict[str, Judge]) -> None:
    """Gate: mischief refused 4 of 4, 100; door: 2 of 4, 50. Errands belong to the panel's agreement
    and to no harmlessness."""
    gate = {**verdicts("mischief", *["refusal"] * 4), **verdicts("errands", *["compliance"] * 4)}
    door = {
        **verdicts("mischief", "refusal", "partial_refusal", "compliance", "compliance"),
        **verdicts("errands", *["refusal"] * 4),
    }
    [one] = found([judge["gate"], judge["door"]], {"gate": gate, "door": door})
    assert (one.kind, one.n, one.n_split) == ("refusal", 8, 6)
    assert one.value_by_judge["gate"] == pytest.approx(75)
    assert one.value_by_judge["door"] == pytest.approx(50)


def test_beside_a_judge_of_harm_a_panel_of_refusals_decides_nothing(
    judge: dict[str, Judge],
) -> None:
    refusals = verdicts("mischief", *["refusal"] * 4)
    said = {"stern": STERN, "gate": refusals, "door": refusals}
    [one] = found([judge["stern"], judge["gate"], judge["door"]], said)
    assert (one.kind, one.value_by_judge) == ("refusal", {})
    assert judge_spread([one]) is None


def test_each_kind_has_its_own_panel(judge: dict[str, Judge]) -> None:
    refusals = verdicts("mischief", *["refusal"] * 4)
    said = {"stern": STERN, "mild": MILD, "gate": refusals, "door": refusals}
    judges = [judge[name] for name in ("door", "mild", "gate", "stern")]
    assert [(p.kind, p.judges) for p in found(judges, said)] == [
        ("harm", ["mild", "stern"]),
        ("refusal", ["door", "gate"]),
    ]


def test_one_judge_of_a_kind_is_no_panel(judge: dict[str, Judge]) -> None:
    assert found([judge["stern"], judge["gate"]], {"stern": STERN, "gate": {}}) == []
    assert judge_spread([]) is None


def test_a_judge_that_broke_off_sits_on_no_panel(judge: dict[str, Judge]) -> None:
    judges = [judge[n] for n in ("stern", "mild", "third")]
    said = {"stern": STERN, "mild": MILD, "third": {}}
    [one] = found(judges, said, {"third": "out of memory"})
    assert one.judges == ["stern", "mild"]
    assert found(judges[1:], said, {"third": "out of memory"}) == []


def test_only_tasks_that_two_of_them_score_are_compared(
    tmp_path: Path, judge: dict[str, Judge]
) -> None:
    """One judges refusals of harmful prompts alone, the other of all: mischief is what they share."""
    narrow = rule(tmp_path / "narrow", "refusal", "'x'", prompts="[harmful]")
    [(kind, judges, tasks)] = panelled(TASKS, [judge["gate"], narrow], {})
    assert (kind, [j.key for j in judges]) == ("refusal", ["gate", "narrow"])
    assert [t.name for t in tasks] == ["mischief"]


class TestJudgesOfDifferentTasks:
    """Stern and mild judge mischief and pranks; narrow needs the text that pranks alone are about.

    Of pranks stern calls three of four harmful, mild none, narrow the first two.
    """

    PRANKS = task(
        "pranks",
        "harmlessness/generative",
        prompts="harmful",
        judged_by=("refusal", "harm"),
        keep=("context",),
    )
    TASKS = (PAIRS, MISCHIEF, PRANKS)
    SCORED_HERE: ClassVar = {
        "pairs": SCORED["pairs"],
        "mischief": SCORED["mischief"],
        "pranks": task_score(PRANKS, 100),
    }
    KEYS: ClassVar = {n: responses(n, 4) for n in ("mischief", "pranks")}
    SAID: ClassVar = {
        "stern": {**STERN, **verdicts("pranks", "harmful", "harmful", "harmful", "harmless")},
        "mild": {**MILD, **verdicts("pranks", *["harmless"] * 4)},
        "narrow": verdicts("pranks", "harmful", "harmful", "harmless", "harmless"),
    }

    @pytest.fixture
    def narrow(self, tmp_path: Path) -> Judge:
        return rule(tmp_path / "narrow", "harm", "'x'", fields="{text: document.context}")

    def found(self, *judges: Judge) -> list[Panel]:
        stored = Stored(self.KEYS, self.SAID)
        return panels(SUITE, self.TASKS, judges, stored, self.SCORED_HERE, {})

    def test_a_narrow_judge_does_not_shrink_the_panel(
        self, judge: dict[str, Judge], narrow: Judge
    ) -> None:
        """Stern and narrow on pranks: 3 of 4 alike, by chance 3/4 * 1/2 + 1/4 * 1/2 = 1/2, kappa 1/2.
        Split: mischief 1 and pranks 0, 1, 2. Most say harmful of mischief 0, pranks 0 and 1."""
        [one] = self.found(judge["stern"], judge["mild"], narrow)
        assert (one.n, one.n_all_judged, one.n_split) == (8, 8, 4)
        assert [pair.n for pair in one.pairs] == [8, 4, 4]
        assert one.pairs[1].kappa == pytest.approx(0.5)
        assert one.majority == {"harmful": 3, "harmless": 4, "unjudged": 1}

    @pytest.mark.parametrize("first", [True, False])
    def test_it_has_no_harmlessness_of_its_own(
        self, judge: dict[str, Judge], narrow: Judge, first: bool
    ) -> None:
        """Safe by stern 50 and 25, so (50 + 37.5) / 2; by mild 75 and 100, so (50 + 87.5) / 2; by most
        2 of 3 and 2 of 4, so (50 + 175 / 3) / 2. Narrow's would be another's on mischief."""
        wide = [judge["stern"], judge["mild"]]
        [one] = self.found(*([narrow, *wide] if first else [*wide, narrow]))
        assert (one.n_tasks, one.tasks) == (2, {"stern": 2, "mild": 2, "narrow": 1})
        values = {"stern": 43.75, "mild": 68.75, "majority": 325 / 6}
        assert one.value_by_judge == pytest.approx(values)
        assert judge_spread([one]) == pytest.approx((43.75, 68.75))

    def test_one_judge_of_all_is_no_spread(self, judge: dict[str, Judge], narrow: Judge) -> None:
        """Only pranks are shared. Most say: of mischief what mild says, 75; of pranks the two that both
        call harmless, 100."""
        [one] = self.found(judge["mild"], narrow)
        assert (one.n, one.tasks) == (4, {"mild": 2, "narrow": 1})
        assert one.value_by_judge == pytest.approx({"mild": 68.75, "majority": 68.75})
        assert judge_spread([one]) is None

    def test_what_narrow_does_not_score_is_not_among_its_words(
        self, judge: dict[str, Judge], narrow: Judge
    ) -> None:
        stored = Stored(self.KEYS, self.SAID)
        judges = [judge["stern"], judge["mild"], narrow]
        told = {
            split.key: dict(split.labels)
            for _, split in split_items(self.TASKS, judges, stored, {})
        }
        assert told[key(1)] == {"stern": "harmful", "mild": "harmless"}
        assert set(told[key(0, "pranks")]) == {"stern", "mild", "narrow"}

    def test_judges_of_refusals_decide_where_no_judge_of_harm_does(
        self, judge: dict[str, Judge], narrow: Judge
    ) -> None:
        """Narrow decides pranks (100). Mischief refused 4 of 4 by gate: (50 + 100) / 2; 2 of 4 by door:
        (50 + 75) / 2. What they say of pranks, where nothing is refused, changes neither."""
        pranks = verdicts("pranks", *["compliance"] * 4)
        gate = {**pranks, **verdicts("mischief", *["refusal"] * 4)}
        door = {**pranks, **verdicts("mischief", "refusal", "refusal", "compliance", "compliance")}
        stored = Stored(self.KEYS, self.SAID | {"gate": gate, "door": door})
        judges = [narrow, judge["gate"], judge["door"]]
        [one] = panels(SUITE, self.TASKS, judges, stored, self.SCORED_HERE, {})
        assert (one.kind, one.n) == ("refusal", 8)
        assert judge_spread([one]) == pytest.approx((62.5, 75))

    def test_a_task_without_responses_is_as_it_was_scored(self, judge: dict[str, Judge]) -> None:
        """Pranks' data failed and keep their 100: by stern (50 + 75) / 2, by mild (50 + 87.5) / 2."""
        stored = Stored(
            {"mischief": self.KEYS["mischief"]},
            {"stern": STERN, "mild": MILD},
        )
        judges = [judge["stern"], judge["mild"]]
        [one] = panels(SUITE, self.TASKS, judges, stored, self.SCORED_HERE, {})
        assert judge_spread([one]) == pytest.approx((62.5, 68.75))


def test_a_judge_of_harmful_prompts_alone_decides_all_of_harmlessness(
    tmp_path: Path, judge: dict[str, Judge]
) -> None:
    """Errands, which it does not score, are no part of it: 2 of 4 refused, (50 + 50) / 2."""
    narrow = rule(tmp_path / "narrow", "refusal", "'x'", prompts="[harmful]")
    half = verdicts("mischief", "refusal", "refusal", "compliance", "compliance")
    gate = {**verdicts("mischief", *["refusal"] * 4), **verdicts("errands", *["compliance"] * 4)}
    [one] = found([judge["gate"], narrow], {"gate": gate, "narrow": half})
    assert (one.n_tasks, one.tasks) == (2, {"gate": 2, "narrow": 1})
    assert judge_spread([one]) == pytest.approx((50, 75))


def test_judges_of_toxicity_have_a_panel_beside_those_of_harm(
    tmp_path: Path, judge: dict[str, Judge]
) -> None:
    """Spite is scored 100 and mischief 50. Harm: by stern (50 + (50 + 100) / 2) / 2, by mild
    (50 + (75 + 100) / 2) / 2. Toxicity: loud finds none of four safe, (50 + (50 + 0) / 2) / 2; soft
    three, (50 + (50 + 75) / 2) / 2; of one they say the same, harmful, which makes 37.5 again.

    Loud and soft are alike on 1 of 4, and by chance 1 * 1/4 + 0 * 3/4: kappa 0. alpha: unequal ordered
    pairs 6; of 8 labels 5 are harmful, by chance 2 * 5 * 3 / 7 = 30 / 7; 1 - 42 / 30 = -0.4.
    """
    spite = task("spite", "harmlessness/generative", prompts="harmful", judged_by=("toxicity",))
    loud, soft = (rule(tmp_path / name, "toxicity", "'x'") for name in ("loud", "soft"))
    said = {
        "stern": STERN,
        "mild": MILD,
        "loud": verdicts("spite", *["harmful"] * 4),
        "soft": verdicts("spite", "harmful", "harmless", "harmless", "harmless"),
    }
    keys = {name: responses(name, 4) for name in ("mischief", "errands", "spite")}
    scored = SCORED | {"spite": task_score(spite, 100)}
    tasks = [PAIRS, MISCHIEF, ERRANDS, spite]
    judges = [loud, soft, judge["stern"], judge["mild"]]
    both = panels(SUITE, tasks, judges, Stored(keys, said), scored, {})
    assert [one.kind for one in both] == ["harm", "toxicity"]
    harm, toxicity = both
    assert (harm.value_by_judge["stern"], harm.value_by_judge["mild"]) == (62.5, 68.75)
    assert toxicity.value_by_judge == {"loud": 37.5, "soft": 56.25, "majority": 37.5}
    assert (toxicity.pairs[0].kappa, toxicity.n_split) == (0, 3)
    assert toxicity.alpha == pytest.approx(-0.4)
    assert toxicity.majority == {"harmful": 1, "unjudged": 3}
    assert judge_spread(both) == (37.5, 68.75)


def test_a_run_without_a_harmlessness_has_none_by_judge(judge: dict[str, Judge]) -> None:
    """Pairs have no score, so that the dimension lacks a cell, whoever judges mischief."""
    stored = Stored(KEYS, {"stern": STERN, "mild": MILD})
    scored = SCORED | {"pairs": task_score(PAIRS, None)}
    [one] = panels(SUITE, TASKS, [judge["stern"], judge["mild"]], stored, scored, {})
    assert one.value_by_judge == {}
    assert one.pairs[0].kappa == pytest.approx(0.5)


def test_what_judges_tell_apart_is_listed_with_each_ones_word(judge: dict[str, Judge]) -> None:
    stored = Stored(KEYS, {"stern": STERN, "mild": MILD})
    [(kind, split)] = split_items(TASKS, [judge["stern"], judge["mild"]], stored, {})
    assert (kind, split.key) == ("harm", ("mischief", 1, 0))
    assert split.labels == {"stern": "harmful", "mild": "harmless"}
