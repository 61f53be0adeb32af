"""The gate: when a rule holds, when it breaks, and what is no rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.gate import Rule, Rules, bounds_text, check_gate, read_rules
from bfpo_bench.leaderboard.compare.result import Comparison, Difference, Side

SIDE = Side(run_id="r", model="m", suite="s@1", partial=False, comparability_key="k", judges=[])


def comparison(*scores: Difference, **more: Any) -> Comparison:
    fields: dict[str, Any] = {
        "key_differences": [],
        "warnings": [],
        "unscored": {},
        "following": [],
        "flips": [],
        "only_a": [],
        "only_b": [],
    }
    return Comparison(a=SIDE, b=SIDE, scores=list(scores), **fields | more)


def difference(name: str, value: float, low: float, high: float) -> Difference:
    return Difference(
        name=name,
        kind="aggregate",
        a=50,
        b=50 + value,
        difference=value,
        low=low,
        high=high,
        p=0.5,
        test="bootstrap",
        better=None,
        n_pairs=100,
        bound_low=value,
        bound_high=value,
    )


def holds(found: Comparison, **rule: Any) -> bool:
    return check_gate(Rules(rules=(Rule(**rule),)), found).passed


@pytest.mark.parametrize(
    ("low", "value", "high", "kept"),
    [
        # below the bound: nothing, the interval's low end, the difference itself, all of it
        (-0.9, 0.0, 1.0, {"interval", "point", "significant"}),
        (-1.1, 0.0, 1.0, {"point", "significant"}),
        (-3.0, -2.0, -0.5, {"significant"}),
        (-3.0, -2.0, -1.1, set()),
    ],
)
def test_what_breaks_a_rule_is_chosen(low: float, value: float, high: float, kept: set) -> None:
    """At least -1: read as 'not shown to hold', as it stands, and as 'shown not to hold'."""
    found = comparison(difference("harmlessness", value, low, high))
    for way in ("interval", "point", "significant"):
        assert holds(found, score="harmlessness", at_least=-1, breaks_when=way) == (way in kept)


def test_an_upper_bound_is_the_mirror_of_a_lower_one() -> None:
    """Over-refusal rises by 1.5, 0.8 to 2.2: beyond + 2 with its interval, not by itself."""
    found = comparison(difference("over_refusal", 1.5, 0.8, 2.2))
    assert not holds(found, score="over_refusal", at_most=2)
    assert holds(found, score="over_refusal", at_most=2, breaks_when="point")
    assert not holds(found, score="over_refusal", at_most=0.5, breaks_when="significant")


def test_the_bound_itself_holds() -> None:
    found = comparison(difference("harmlessness", 0, -1, 0))
    assert holds(found, score="harmlessness", at_least=-1, at_most=0)


def test_a_score_that_is_not_compared_breaks_its_rule() -> None:
    found = comparison(
        unscored={"harmlessness": "not scored in B", "mischief": "judged by x"}, only_a=["errands"]
    )
    for name in ("harmlessness", "task:mischief", "task:errands", "cell:helpfulness/generative"):
        result = check_gate(Rules(rules=(Rule(score=name, at_least=-100),)), found)
        assert not result.passed
        assert result.rules[0].said.startswith("not compared: ")


def test_a_score_that_nobody_knows_is_an_error() -> None:
    found = comparison(difference("harmlessness", 0, 0, 0))
    with pytest.raises(UserError, match=r"no score 'harmlesness'.*did you mean harmlessness"):
        holds(found, score="harmlesness", at_least=0)
    with pytest.raises(UserError, match="no score 'task:nobody'"):
        holds(found, score="task:nobody", at_least=0)


def test_all_rules_are_held_and_all_must_hold() -> None:
    found = comparison(difference("harmlessness", 0, -5, 5), difference("helpfulness", 0, 0, 0))
    rules = (Rule(score="helpfulness", at_least=0), Rule(score="harmlessness", at_least=-1))
    result = check_gate(Rules(rules=rules), found)
    assert ([one.holds for one in result.rules], result.passed) == ([True, False], False)
    assert result.rules[1].said == "+0.00 points, 95 % interval -5.00 to +5.00 (100 pairs)"


def test_an_interval_without_width_reaches_as_far_as_it_excludes_nothing() -> None:
    """Of 80 documents none changed: 3/80, 3.75 points either way, may all the same."""
    none = difference("harmlessness", 0, 0, 0).model_copy(update={"unseen": 3.75})
    for way, least in (("interval", -3.75), ("point", 0), ("significant", 3.75)):
        rule = {"score": "harmlessness", "breaks_when": way}
        assert holds(comparison(none), at_least=least, **rule)
        assert not holds(comparison(none), at_least=least + 0.01, **rule)
        assert holds(comparison(none), at_most=-least, **rule)
        assert not holds(comparison(none), at_most=-least - 0.01, **rule)
    [result] = check_gate(
        Rules(rules=(Rule(score="harmlessness", at_least=-1),)), comparison(none)
    ).rules
    assert result.said == (
        "+0.00 points, 95 % interval +0.00 to +0.00 (100 pairs; none changed, or all alike: this does "
        "not exclude changes of up to about 3.8 points)"
    )


def test_a_rule_is_said_in_words() -> None:
    rule = Rule(score="x", at_least=-1, at_most=2.5)
    assert bounds_text(rule) == "all of its interval at least -1 and at most +2.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: Input should be"),
        ("rules: []", "rules: Tuple should have at least 1 item"),
        ("rules: [{score: helpfulness}]", "rules.1: it has neither at_least nor at_most"),
        ("rules: [{at_least: 1}]", "rules.1.score: Field required"),
        (
            "rules: [{score: helpfulness, at_least: 1, bound: 2}]",
            "rules.1.bound: no such key, a rule has",
        ),
        (
            "rules: [{score: helpfulness, at_lest: 1}]",
            r"rules\.1\.at_lest: no such key \(did you mean at_least.*\), a rule has score, at_least, "
            "at_most, breaks_when: mend the rule",
        ),
        ("rules: [{scor: x, at_least: 1}]", r"rules\.1\.scor: no such key \(did you mean score\?"),
        ("rules: []\nrule: 1", r"rule: no such key \(did you mean rules\?\), the file has rules:"),
        ("rules: [{score: helpfulness, at_least: .nan}]", "rules.1.at_least: .* finite"),
        ("rules: [{score: helpfulness, at_least: '1'}]", "rules.1.at_least: .* valid number"),
        ("rules: [{score: helpfulness, at_least: true}]", "rules.1.at_least: .* valid number"),
        ("rules: [{score: x, at_least: 2, at_most: 1}]", "at_least is above its at_most"),
        ("rules: [{score: x, at_least: 2, breaks_when: never}]", "rules.1.breaks_when: Input"),
        ("rules: [", "is not valid YAML"),
        ("rules: " + "[" * 9000, "is not valid YAML"),
    ],
)
def test_what_is_no_rule_is_said_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        read_rules(file)


def test_rules_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules:\n  - {score: over_refusal, at_most: 2}\n")
    assert read_rules(file).rules == (Rule(score="over_refusal", at_most=2.0),)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read .*: give another --gate"):
        read_rules(tmp_path / "none.yaml")
