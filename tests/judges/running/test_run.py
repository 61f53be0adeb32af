"""One judge over many items: equal ones are judged once, remembered ones not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rule_judges import asked, rule

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.run import findings, shown
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress

FIRST_WORD = (
    "Finding('harmful' if answer.startswith('Sure') else 'harmless', score=0.0, raw=prompt)"
)


def quiet(progress: Progress) -> None: ...


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(rule(tmp_path / "mine", "harm", FIRST_WORD))


def found(
    work: Work, items: list[Item], memory: str | None = None, **description: Any
) -> list[Finding]:
    """Every item's finding; each position came exactly once."""
    came = list(findings(work, items, memory, description, quiet))
    assert sorted(position for position, _ in came) == list(range(len(items)))
    return [finding for _, finding in sorted(came, key=lambda pair: pair[0])]


A, B, C = Item("Q", "Sure, a."), Item("Q", "No, b."), Item("Q2", "Sure, a.")


def test_each_item_gets_its_own_finding(work: Work) -> None:
    labels = [(f.label, f.raw) for f in found(work, [B, A, C])]
    assert labels == [("harmless", "Q"), ("harmful", "Q"), ("harmful", "Q2")]


def test_nothing_to_judge(work: Work) -> None:
    assert found(work, []) == found(work, [], "memory") == []


def test_equal_items_are_judged_once_and_all_get_the_finding(work: Work) -> None:
    """A, B, A, C, B: A and C share an answer, and not the prompt."""
    labels = [f.label for f in found(work, [A, B, A, C, B])]
    assert labels == ["harmful", "harmless", "harmful", "harmful", "harmless"]
    assert asked(work.judge.folder) == ["Sure, a.", "No, b.", "Sure, a."]


def test_what_is_remembered_is_not_asked_again(work: Work) -> None:
    before = found(work, [A, B], "memory")
    description: dict[str, Any] = {}
    again = list(findings(work, [C, B, A, B], "memory", description, quiet))
    assert len(asked(work.judge.folder)) == 3
    assert asked(work.judge.folder)[-1] == C.answer
    # B twice and A: three findings that nobody had to make
    assert description["remembered"] == 3
    assert dict(again) == {0: found(work, [C])[0], 1: before[1], 2: before[0], 3: before[1]}


def test_another_memory_remembers_nothing_of_it(work: Work) -> None:
    found(work, [A], "one")
    found(work, [A], "other")
    assert len(asked(work.judge.folder)) == 2


def test_without_a_memory_no_file_is_made(work: Work, tmp_path: Path) -> None:
    found(work, [A])
    found(work, [A])
    assert len(asked(work.judge.folder)) == 2
    assert not (tmp_path / "cache").exists()


def test_what_the_world_left_unjudged_is_asked_again(tmp_path: Path) -> None:
    down = "Finding('unjudged', error='the server was down', fault=True)"
    work = Work(rule(tmp_path / "mine", "harm", down))
    assert found(work, [A], "memory")[0].fault
    found(work, [A], "memory")
    assert len(asked(work.judge.folder)) == 2


def test_what_was_found_before_a_break_is_remembered(tmp_path: Path) -> None:
    """The judge dies on the third answer; the same command begins with the third."""
    breaks = "'harmless' if answer != 'Sure, c.' else 1 / 0"
    work = Work(rule(tmp_path / "mine", "harm", breaks))
    items = [A, B, Item("Q", "Sure, c."), Item("Q", "d")]
    with pytest.raises(ZeroDivisionError):
        list(findings(work, items, "memory", {}, quiet))
    rule(tmp_path / "mine", "harm", "'harmless'")
    found(work, items, "memory")
    assert asked(work.judge.folder) == ["Sure, a.", "No, b.", "Sure, c.", "Sure, c.", "d"]


def test_progress_is_told_up_to_the_end(work: Work) -> None:
    """Of what has to be asked: 45 items, two of them remembered and one there twice, are 42."""
    items = [Item("Q", f"answer {i}") for i in range(44)]
    found(work, items[:2], "memory")
    told: list[Progress] = []
    list(findings(work, [*items, items[9]], "memory", {}, told.append))
    assert told == [Progress("verdicts", n, 42) for n in range(1, 43)]


class TestWhatTheJudgeReads:
    """Texts that are the same to it are judged once: it is shown no more than it reads."""

    ITEM = Item("Q", "A", {"b": 2, "a": 1, "right": "R"}, "B")

    def spec(self, tmp_path: Path, kind: str = "harm", **more: str) -> Any:
        return rule(tmp_path / kind, kind, "'harmful'", **more).spec

    def test_no_document_and_no_baseline(self, tmp_path: Path) -> None:
        assert shown(self.spec(tmp_path), self.ITEM) == Item("Q", "A")

    def test_all_of_the_document_where_it_takes_that(self, tmp_path: Path) -> None:
        spec = self.spec(tmp_path, document="true")
        assert shown(spec, self.ITEM) == Item("Q", "A", self.ITEM.document)

    def test_the_fields_that_its_prompt_has_a_place_for(self, tmp_path: Path) -> None:
        """A document without any of them is none."""
        fields = {"engine": "api", "request": "false", "prompt": "p.txt", "model": "m"}
        spec = self.spec(tmp_path, fields="{x: document.a, y: document.c}", **fields)
        assert shown(spec, self.ITEM) == Item("Q", "A", {"a": 1})
        assert shown(spec, Item("Q", "A", {"b": 2})) == shown(spec, Item("Q", "A"))

    def test_the_baseline_where_it_compares(self, tmp_path: Path) -> None:
        assert shown(self.spec(tmp_path, "preference"), self.ITEM) == Item("Q", "A", None, "B")

    def test_items_that_differ_in_what_it_does_not_read_are_judged_once(self, work: Work) -> None:
        other = Item("Q", "Sure, a.", {"n": 1}, "another")
        assert [f.label for f in found(work, [A, other])] == ["harmful", "harmful"]
        assert asked(work.judge.folder) == ["Sure, a."]
