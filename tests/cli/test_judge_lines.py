"""`bfpo-bench judge --input`: what it says of a judge that dies, and of one that lines cannot serve."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands import Said, command
from rule_judges import rule_folder

from bfpo_bench.cli.judge import _check_lines
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.lines import Line
from bfpo_bench.judging import JudgeOptions, plan_judge


def judge(cwd: Path, *arguments: str) -> Said:
    options = ("--input", "in.jsonl", "--output", "out.jsonl")
    return command("judge", *options, *arguments, cwd=cwd, cache=cwd / "cache")


def lines(cwd: Path, *records: dict[str, Any]) -> None:
    (cwd / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


class TestAJudgeThatDies:
    def test_it_is_said_with_its_log_and_an_exit_code(self, tmp_path: Path) -> None:
        """Not 2: there is nothing in the command to change. What was written before stays."""
        rule_folder(tmp_path / "broken", "harm", "1 / 0")
        lines(tmp_path, {"prompt": "Q", "response": "Sure, the sea."})
        (tmp_path / "out.jsonl").write_text("before")
        done = judge(tmp_path, "--judge", "./broken")
        assert done.code == 3
        assert "judge broken broke off: stage judge-broken failed (ZeroDivisionError" in done.error
        [log] = (tmp_path / "cache" / "logs").iterdir()
        assert str(log) in done.error
        assert "ZeroDivisionError" in log.read_text()
        assert (tmp_path / "out.jsonl").read_text() == "before"


class TestWhatLinesDoNotHave:
    SERVER = ("--judge-url", "http://127.0.0.1:9/v1")
    """Where nobody listens: nobody is asked."""

    def test_the_document_of_a_task(self, tmp_path: Path) -> None:
        """`ifeval` takes all of it; `mine` has a place for one field in its prompt."""
        fields = {"engine": "api", "request": "false", "prompt": "prompt.txt", "model": "m"}
        fields["fields"] = "{c: document.context, a: response}"
        rule_folder(tmp_path / "mine", "harm", "'harmful'", **fields)
        (tmp_path / "mine" / "prompt.txt").write_text("{c} {a}?")
        lines(tmp_path, {"prompt": "Q", "response": "A", "document": {"context": "C"}})
        for name, asked in (("ifeval", "ifeval"), ("mine", "./mine")):
            done = judge(tmp_path, "--judge", asked, *self.SERVER)
            assert done.code == 2
            assert done.error == (
                f"error: Judge {name} reads the documents of a task, which lines do not have: judge a "
                "run by it."
            )

    def test_an_answer_to_compare_with(self, tmp_path: Path) -> None:
        lines(tmp_path, {"prompt": "Q", "response": "A"}, {"prompt": "Q", "response": "B"})
        done = judge(tmp_path, "--judge", "pairwise=m", *self.SERVER)
        assert done.code == 2
        assert done.error == (
            "error: Judge pairwise@m compares two responses: give the other one as `baseline` in each "
            "line."
        )

    def test_one_line_that_has_it_will_do(self) -> None:
        """The others become unjudged by themselves, with the reason; a reward model needs none."""
        pairwise = plan_judge("pairwise=m", JudgeOptions(url="http://127.0.0.1:9/v1"))
        plain = Line({}, Text("Q", "A"))
        _check_lines(pairwise, [plain, Line({}, Text("Q", "A", "B"))])
        spec = pairwise.judge.spec.model_copy(update={"engine": "score"})
        reward = pairwise.judge.model_copy(update={"spec": spec})
        _check_lines(replace(pairwise, judge=reward), [plain])
