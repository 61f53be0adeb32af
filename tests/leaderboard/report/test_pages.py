"""The page's HTML: everything that strangers wrote stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from finished_runs import finished
from hypothesis import given
from hypothesis import strategies as st
from measured import block, measured

from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.report.charts import run_view, standing
from bfpo_bench.leaderboard.report.model import ComparisonView, Facts, Page
from bfpo_bench.leaderboard.report.pages import environment, render, visible
from bfpo_bench.leaderboard.report.tasks import by_cell
from bfpo_bench.scoring.scores import OutcomeCounts, TaskScore

SIXTY = (60.0, 50.0, 70.0)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028\u202e'\"&{{7*7}}"


def task(**more: object) -> TaskScore:
    fields: dict[str, object] = {
        "cell": "harmlessness/generative",
        "family": "advbench",
        "weighted": True,
        "metric": "safe rate",
        "raw_metric": "attack success rate",
        "raw_higher_is_better": False,
        "n": 10,
        "n_scored": 8,
        "value": 75.0,
        "ci_low": 50.0,
        "ci_high": 90.0,
        "bound_low": 60.0,
        "bound_high": 80.0,
        "outcomes": OutcomeCounts(complied=2, safe=6, unjudged=2),
    }
    return TaskScore.model_validate(fields | more)


def page(name: str = "mine", **more: object) -> Page:
    run = measured(name, SIXTY, SIXTY, tasks={"bfpo_advbench": task(**more)})
    found = block(run)
    [row] = found.rows
    view = run_view(1, run, row, [Facts(name, [(name, name)])])
    # The browser's own tests show the responses
    return Page(name, [standing(found)], [view], by_cell([view]), (), [name], name, None)


class Tags(HTMLParser):
    """Every element and attribute of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.data = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.data += data


def test_a_hostile_name_adds_no_element_and_ends_no_script() -> None:
    told, plain = Tags(render(page(HOSTILE))), Tags(render(page()))
    assert told.tags == plain.tags
    assert not [name for _, name, _ in told.attributes if name.startswith("on")]
    assert json.loads(told.data)["csv"] == HOSTILE


def curved(name: str) -> str:
    """The page of a run with a curve; model and tasks are called `name`."""
    counts = OutcomeCounts(complied=2, safe=6, safe_refused=6)
    tasks = {f"{name}_k{k}": task(started_tokens=k, outcomes=counts) for k in (0, 1)}
    run = measured(name, SIXTY, SIXTY, tasks=tasks)
    return render(replace(page(), standings=[standing(block(run), [run])]))


def test_a_curve_has_its_numbers_in_a_table_beside_it() -> None:
    told = curved("bfpo_late_refusal")
    assert '<h3>Late refusal: bfpo@2 <span class="key">key aaaa</span></h3>' in told
    for heading in ("0 tokens", "1 token"):
        assert f'<th scope="col" class="score">{heading}</th>' in told
    assert "Turned back, in percent, by the number of tokens" in told
    assert list(json.loads(Tags(told).data)["charts"])[-3] == "curve-block-1-1"
    assert "Late refusal" not in render(page())


def test_a_hostile_name_in_a_curve_is_text() -> None:
    assert Tags(curved(HOSTILE)).tags == Tags(curved("mine")).tags


def test_an_interval_without_width_is_marked_and_explained(tmp_path: Path) -> None:
    """None of 30 documents changed: 3/30 of 100 points."""
    a, b = (finished(tmp_path / name, {"facts": [1] * 30}) for name in "ab")
    view = ComparisonView("compare-1", "a", "b", compare_runs(a, b))
    told = render(replace(page(), comparisons=[view]))
    assert "0.0 [0.0, 0.0]°" in told
    assert "not excluded: helpfulness, discriminative 10.0, facts 10.0." in told
    assert told.count("rule of three") == 1


def test_a_comparison_states_its_rule_and_what_is_not_compared(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {"facts": [1] * 30, "manners": [1]})
    b = finished(tmp_path / "b", {"facts": [1] * 30})
    view = ComparisonView("compare-1", "base", "tuned", compare_runs(a, b))
    told = render(replace(page(), comparisons=[view]))
    assert "<summary>tuned (B) against base (A)</summary>" in told
    assert "Better or worse: p is below 0.05 and the interval excludes 0" in told
    assert "<dt>manners</dt><dd>asked in A and not in B</dd>" in told
    assert "1 cell, 1 family (for want of a task or a part)" in told
    assert '<span class="muted">not clear</span>' in told


def test_runs_without_a_baseline_are_told_how_to_name_one() -> None:
    one = page()
    told = render(replace(one, runs=one.runs * 3))
    assert '<a href="#compare">Compare</a>' in told
    assert "<code>bfpo-bench report --baseline RUN</code>" in told
    assert 'href="#compare"' not in render(one)


def test_no_text_of_a_stranger_turns_the_writing_round() -> None:
    assert "\u202e" not in render(page(HOSTILE))


@given(st.text())
def test_what_is_shown_can_be_seen(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text) == text or not text.isprintable()


def test_nothing_on_the_page_asks_a_network() -> None:
    """The policy forbids it, and nothing tries: every address is in the folder or the page."""
    told = Tags(render(page()))
    [policy] = [v for t, n, v in told.attributes if (t, n) == ("meta", "content") and "src" in v]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    addresses = [v for _, name, v in told.attributes if name in ("href", "src")]
    assert [a for a in addresses if not re.match(r"#|assets/|LICENCES.txt$|data:,$", a)] == []


def test_an_unscored_task_says_why_and_its_neighbours_keep_their_numbers() -> None:
    told = render(page(value=None, ci_low=None, ci_high=None, unscored="no judge of its kind"))
    assert "no judge of its kind" in told
    assert "not scored" in told


def test_bounds_and_counts_stand_where_responses_are_unjudged() -> None:
    """8 of 10 have a verdict: 75 of them, and 60 to 80 whatever the other two are."""
    told = render(page())
    assert "8 of 10" in told
    assert "60.0–80.0" in told
    assert 'href="#responses/run=mine-aaaa&amp;task=bfpo_advbench&amp;outcome=unjudged"' in told


def test_a_run_without_free_text_says_so_in_place_of_empty_tables() -> None:
    text = render(page(cell="harmlessness/discriminative", outcomes=None))
    assert "No free-text task of this run has outcomes." in text
    assert "No judge was asked." in text
    assert "Outcomes of mine" not in text


def test_a_page_without_rows_says_what_makes_the_first() -> None:
    told = render(replace(page(), standings=(), runs=(), cells=()))
    assert "There is no row yet" in told
    assert 'href="#tasks"' not in told


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("signed", 1.25, "+1.2"),
        ("signed", -0.04, "0.0"),
        ("signed", -3.0, "−3.0"),
        ("p", 0.0004, "< 0.001"),
        ("p", 0.05, "0.050"),
        ("p", None, ""),
        ("words", "over_refused", "over-refused"),
        ("words", "harmlessness/generative", "harmlessness, generative"),
        ("asked", {"run": "a&b", "task": None}, "#responses/run=a%26b"),
    ],
)
def test_how_numbers_and_names_read(name: str, value: object, said: str) -> None:
    assert environment().filters[name](value) == said
