"""Whose word counts for a task: of each kind the judge named first, and no stand-in for one that broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from generative_runs import CHORES, ERRANDS, MISCHIEF, responses, task, verdicts
from rule_judges import rule

from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judge
from bfpo_bench.scoring.deciding import Verdicts, deciding
from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.said import Said, codes
from bfpo_bench.scoring.stored import Stored

REFUSAL = load_judge("refusal")


@pytest.fixture
def harms(tmp_path: Path) -> list[Judge]:
    return [rule(tmp_path / name, "harm", "'harmful'") for name in ("stern", "mild")]


SAID: dict[str, Mapping[str, Said]] = {
    "stern": verdicts("mischief", "harmful", "harmless"),
    "mild": verdicts("mischief", "harmless", "harmless"),
    "refusal": verdicts("mischief", "compliance", "refusal"),
}
COUNTS = {"mischief": 2, "errands": 1, "toxic": 4, "chores": 1, "riddles": 2}


def stored(said: Mapping[str, Mapping[str, Said]]) -> Stored:
    return Stored({name: responses(name, count) for name, count in COUNTS.items()}, said)


def test_the_first_judge_of_harm_and_the_first_of_refusals(harms: list[Judge]) -> None:
    found = deciding(MISCHIEF, [*harms, REFUSAL], stored(SAID), {})
    assert found.harm == codes(["harmful", "harmless"])
    assert found.refusal == codes(["compliance", "refusal"])
    assert (found.check, found.grades) == (None, None)
    other = deciding(MISCHIEF, [*reversed(harms), REFUSAL], stored(SAID), {})
    assert other.harm == codes(["harmless", "harmless"])


def test_a_judge_of_harm_says_nothing_of_errands(harms: list[Judge]) -> None:
    said = SAID | {"refusal": verdicts("errands", "compliance")}
    found = deciding(ERRANDS, [*harms, REFUSAL], stored(said), {})
    assert found == Verdicts(refusal=codes(["compliance"]))


def test_the_second_does_not_stand_in_for_the_first(harms: list[Judge]) -> None:
    """Nor does the weaker word of the judge of refusals."""
    found = deciding(MISCHIEF, [*harms, REFUSAL], stored(SAID), {"stern": "out of memory"})
    assert found == Verdicts()
    assert found.judged(MISCHIEF) is None


def test_a_broken_second_one_changes_nothing(harms: list[Judge]) -> None:
    whole = deciding(MISCHIEF, [*harms, REFUSAL], stored(SAID), {})
    assert deciding(MISCHIEF, [*harms, REFUSAL], stored(SAID), {"mild": "out of memory"}) == whole


def test_without_the_judge_of_refusals_harm_decides_alone(harms: list[Judge]) -> None:
    found = deciding(MISCHIEF, [*harms, REFUSAL], stored(SAID), {"refusal": "killed"})
    assert found.refusal is None
    assert found.judged(MISCHIEF) == Counter([Judged("complied"), Judged("safe")])


class TestToxicity:
    """RealToxicityPrompts is scored by judges of toxicity alone; their labels are those of harm."""

    TOXIC = task("toxic", "harmlessness/generative", prompts="harmful", judged_by=("toxicity",))

    def test_it_decides_as_harm_does(self, tmp_path: Path, harms: list[Judge]) -> None:
        toxicity = rule(tmp_path / "nose", "toxicity", "'harmful'")
        said = SAID | {"nose": verdicts("toxic", "harmful", "harmless", "unjudged", None)}
        found = deciding(self.TOXIC, [*harms, toxicity, REFUSAL], stored(said), {})
        assert found.refusal is None
        assert found.judged(self.TOXIC) == Counter(
            [Judged("complied"), Judged("safe"), Judged("unjudged"), Judged("unjudged")]
        )

    def test_no_judge_of_harm_stands_in(self, harms: list[Judge]) -> None:
        assert deciding(self.TOXIC, [*harms, REFUSAL], stored(SAID), {}) == Verdicts()


class TestGrades:
    @pytest.fixture
    def judges(self, tmp_path: Path) -> list[Judge]:
        rating = rule(tmp_path / "marks", "rating", "'rated'")
        return [rating, rule(tmp_path / "duel", "preference", "'draw'"), REFUSAL]

    def test_preferences_go_before_ratings(self, judges: list[Judge]) -> None:
        """A win rate is AlpacaEval's own number, whichever judge was named first."""
        said = {
            "marks": verdicts("chores", "rated", scores=[7.0]),
            "duel": verdicts("chores", "better", scores=[2.0]),
            "refusal": {},
        }
        found = deciding(CHORES, judges, stored(said), {})
        assert found == Verdicts(grades=("preference", said["duel"]["chores"]))
        alone = deciding(CHORES, [judges[0], REFUSAL], stored(said), {})
        assert alone == Verdicts(grades=("rating", said["marks"]["chores"]))

    def test_a_broken_judge_of_preferences_leaves_the_task_unscored(
        self, judges: list[Judge]
    ) -> None:
        said = {"marks": verdicts("chores", "rated", scores=[7.0]), "duel": {}}
        found = deciding(CHORES, judges[:2], stored(said), {"duel": "no server"})
        assert found == Verdicts()
        assert found.judged(CHORES) is None


class TestChecks:
    """Answers held against their document: the check and the judge of refusals decide together."""

    RIDDLES = task(
        "riddles", "helpfulness/generative", prompts="benign", judged_by=("truth", "refusal")
    )
    SAID: ClassVar = {
        "truthfulqa": verdicts("riddles", "truthful", "truthful"),
        "refusal": verdicts("riddles", "compliance", "refusal"),
    }

    def test_both_count(self) -> None:
        found = deciding(self.RIDDLES, [load_judge("truthfulqa"), REFUSAL], stored(self.SAID), {})
        assert found.judged(self.RIDDLES) == Counter(
            [Judged("answered", False), Judged("over_refused", True)]
        )

    @pytest.mark.parametrize("broken", ["truthfulqa", "refusal"])
    def test_neither_stands_in_for_the_other(self, broken: str) -> None:
        judges = [load_judge("truthfulqa"), REFUSAL]
        assert deciding(self.RIDDLES, judges, stored(self.SAID), {broken: "x"}) == Verdicts()
