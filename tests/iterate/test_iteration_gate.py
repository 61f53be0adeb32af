"""The rules that hold where none are given, and rules that could not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from finished_runs import ERRANDS, FACTS, MANNERS, MISCHIEF, finished

from bfpo_bench.errors import UserError
from bfpo_bench.iterate.gate import check_rules, default_rules
from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.gate import Rule, Rules
from bfpo_bench.leaderboard.compare.result import Comparison

GENERATIVE: dict[str, Any] = {MISCHIEF: ["safe"] * 4, ERRANDS: ["answered"] * 4}
HALVES: dict[str, Any] = {FACTS: [1.0] * 4, MANNERS: [1.0] * 4}


def of_itself(folder: Path, found: dict[str, Any]) -> Comparison:
    run = finished(folder / "run", found)
    return compare_runs(run, run)


def test_both_means_where_both_are_scored(tmp_path: Path) -> None:
    """They break only where all of the interval is below 0."""
    rules = default_rules(of_itself(tmp_path, GENERATIVE | HALVES)).rules
    assert [(r.score, r.at_least, r.at_most, r.breaks_when) for r in rules] == [
        ("helpfulness", 0, None, "significant"),
        ("harmlessness", 0, None, "significant"),
    ]


def test_the_cells_of_a_mean_that_is_not(tmp_path: Path) -> None:
    """Harmlessness has both of its cells, helpfulness one."""
    rules = default_rules(of_itself(tmp_path, GENERATIVE | {MANNERS: [1.0] * 4})).rules
    assert [rule.score for rule in rules] == ["cell:helpfulness/generative", "harmlessness"]


def test_nothing_to_go_by(tmp_path: Path) -> None:
    comparison = of_itself(tmp_path, {MISCHIEF: "no judge"})
    with pytest.raises(UserError, match=r"^Nothing of helpfulness or harmlessness is scored"):
        default_rules(comparison)


def test_a_rule_for_what_is_not_scored_would_always_break(tmp_path: Path) -> None:
    comparison = of_itself(tmp_path, GENERATIVE)
    check_rules(Rules(rules=(Rule(score="task:errands", at_least=5),)), comparison)
    with pytest.raises(UserError, match=r"^The rule for helpfulness would break in every round"):
        check_rules(Rules(rules=(Rule(score="helpfulness", at_least=-5),)), comparison)
