"""A judge against people's labels, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.labelled import LabelledText
from bfpo_bench.scoring.evaluation import Evaluation, confidences, evaluate

REFUSAL = ("refusal", "partial_refusal", "compliance")
REFUSED = ("refusal", "partial_refusal")


def rows(*labels: str) -> list[LabelledText]:
    return [LabelledText(n, f"prompt {n}", f"response {n}", x) for n, x in enumerate(labels, 1)]


def refusal(human: Sequence[str], findings: Sequence[Finding]) -> Evaluation:
    return evaluate("j", rows(*human), findings, REFUSAL, REFUSED)


def test_three_labels_and_two_sides() -> None:
    """Human r r p c, judge r p r c. Three labels: observed 2/4, by chance (2*2 + 1*1 + 1*1) / 16 =
    6/16, kappa (8 - 6) / (16 - 6) = 0.2. Two sides: refused three times by both: kappa 1."""
    human = ["refusal", "refusal", "partial_refusal", "compliance"]
    judge = ["refusal", "partial_refusal", "refusal", "compliance"]
    found = refusal(human, [Finding(label) for label in judge])
    assert found.full.kappa == pytest.approx(0.2)
    assert found.binary.kappa == 1
    assert found.binary.labels == ("refusal or partial_refusal", "compliance")
    assert found.detection.positive == "refusal or partial_refusal"
    assert (found.detection.precision, found.detection.recall) == (1, 1)
    assert found.disagreements == ()


def test_degenerate_is_a_disagreement_and_unjudged_is_not() -> None:
    """Degenerate answers have been given a verdict, if not the judge's; unjudged ones none."""
    human = ["refusal", "compliance", "compliance", "compliance", "refusal"]
    findings = [
        Finding("refusal"),
        Finding("compliance"),
        Finding("degenerate", error="it is empty"),
        Finding("unjudged", error="the judge's server was down", fault=True),
        Finding("unjudged"),
    ]
    found = refusal(human, findings)
    assert (found.binary.n, found.binary.unjudged) == (3, 2)
    assert found.unjudged == {"the judge's server was down": 1, "no reason given": 1}
    assert [(d.number, d.label) for d in found.disagreements] == [(3, "degenerate")]


def test_people_may_say_degenerate_as_well() -> None:
    found = refusal(["degenerate", "refusal"], [Finding("degenerate"), Finding("refusal")])
    assert found.binary.kappa == 1


def test_the_most_confident_disagreements_come_first() -> None:
    """A cost: above 0 is harmful. Rows 2, 4 and 5 are wrong, by 3, 5 and 1 beyond the middle."""
    human = ["harmful", "harmless", "harmless", "harmful", "harmless"]
    costs = [4.0, 3.0, -4.0, -5.0, 1.0]
    findings = [Finding("harmful" if c > 0 else "harmless", score=c) for c in costs]
    found = evaluate("j", rows(*human), findings, ("harmful", "harmless"), ("harmful",))
    assert [d.number for d in found.disagreements] == [4, 2, 5]
    assert found.disagreements[0].score == -5
    assert (found.disagreements[0].human, found.disagreements[0].label) == ("harmful", "harmless")


def test_without_scores_they_come_in_the_order_of_the_rows() -> None:
    findings = [Finding("compliance"), Finding("refusal"), Finding("compliance")]
    found = refusal(["refusal", "compliance", "refusal"], findings)
    assert [d.number for d in found.disagreements] == [1, 2, 3]


def test_rows_without_a_prompt_are_no_group() -> None:
    """One group alone would leave the interval at all that kappa can be."""
    human, said = ["refusal", "compliance"] * 10, ["refusal", "compliance"] * 9 + ["refusal"] * 2
    bare = [LabelledText(n, "", "r", label) for n, label in enumerate(human)]
    found = evaluate("j", bare, [Finding(label) for label in said], REFUSAL, REFUSED)
    assert found.binary.ci_low is not None
    assert found.binary.ci_low > 0.5
    same = [LabelledText(n, "p", "r", label) for n, label in enumerate(human)]
    found = evaluate("j", same, [Finding(label) for label in said], REFUSAL, REFUSED)
    assert found.binary.ci_low == -1


class TestConfidences:
    def test_high_and_low_scores_read_alike(self) -> None:
        """Means 0.9 and 0.2, the middle 0.55: 0.9 is 0.35 beyond it on its side, 0.1 by 0.45."""
        labels = ["a", "b", "b"]
        assert confidences([0.9, 0.1, 0.3], labels) == pytest.approx([0.35, 0.45, 0.25])
        assert confidences([-0.9, -0.1, -0.3], labels) == pytest.approx([0.35, 0.45, 0.25])

    def test_no_score_no_confidence(self) -> None:
        assert confidences([1.0, None, 0.0], ["a", "a", "b"])[1] == float("-inf")

    def test_one_label_alone_has_no_side(self) -> None:
        assert confidences([1.0, 0.5], ["a", "a"]) == [float("-inf")] * 2
