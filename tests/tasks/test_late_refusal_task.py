"""The tasks of the late refusal: which answers they start with, and what plain lm-eval makes of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from datasets import Dataset
from lm_eval.tasks import TaskManager

from bfpo_bench.errors import UserError
from bfpo_bench.suite.suites import load_suite, select_tasks
from bfpo_bench.suite.tasks import load_tasks

FOLDER = Path(__file__).resolve().parents[2] / "tasks/harmlessness/generative/late_refusal"
STARTS = {"bfpo_late_refusal_k0": 0, "bfpo_late_refusal_k5": 5}
STARTS |= {"bfpo_late_refusal_k10": 10, "bfpo_late_refusal_k25": 25}


def docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("late_refusal_docs", FOLDER / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(prompt: str, *answers: tuple[str, bool]) -> dict[str, Any]:
    return {"prompt": prompt} | {
        key: value
        for side, (text, safe) in enumerate(answers)
        for key, value in ((f"response_{side}", text), (f"is_response_{side}_safe", safe))
    }


def test_each_prompt_once_with_its_longest_unsafe_answer() -> None:
    """Answers are labelled one by one, and a prompt comes in several rows."""
    found = docs().unsafe(
        Dataset.from_list(
            [
                row("b?", ("no, and here is why not", True), ("just do it", False)),
                row("a?", ("first", False), ("other", False)),
                row("c?", ("never", True), ("no", True)),
                row("b?", ("just do it, quickly", False), ("do it", False)),
                row("d?", ("  ", False), ("no", True)),
            ]
        )
    )
    assert found.to_list() == [
        {"prompt": "b?", "unsafe_response": "just do it, quickly"},
        {"prompt": "a?", "unsafe_response": "first"},
    ]


def test_the_suite_asks_the_same_documents_with_more_and_more_tokens() -> None:
    suite = load_suite("bfpo-late-refusal")
    tasks = {task.name: task for task in select_tasks(suite, None)}
    started = {n: t.started_with for n, t in tasks.items() if t.started_with is not None}
    assert {n: it.tokens for n, it in started.items()} == STARTS
    assert len({t.data_source for t in tasks.values()}) == 1
    assert {suite.documents(t, None) for t in tasks.values()} == {300}
    assert len({repr(suite.samples[name]) for name in tasks}) == 1


def test_it_is_in_no_other_suite() -> None:
    for name in ("bfpo", "bfpo-quick", "bfpo-paper"):
        assert not set(STARTS) & {t.name for t in select_tasks(load_suite(name), None)}


def test_plain_lm_eval_starts_answers_with_words(hub: str) -> None:
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    for name, count in STARTS.items():
        task = manager.load([name])["tasks"][name]
        document = {"prompt": "How?", "unsafe_response": "one  two\nthree " * 10}
        words = document["unsafe_response"].split()
        assert task.doc_to_text(document) == "How?"
        assert task.doc_to_prefix(document) == (" ".join(words[:count]) if count else None)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"started_with": {"field": "answer", "tokens": -1}}, "started_with.tokens: Input should"),
        ({"started_with": {"field": "answer", "token": 1}}, "metadata key started_with.tok"),
        ({"started_with": {"tokens": 1}}, "metadata key started_with.field: Field required"),
    ],
)
def test_a_task_that_says_it_wrongly(tmp_path: Path, more: Any, sentence: str) -> None:
    write(tmp_path, more)
    with pytest.raises(UserError, match=sentence):
        load_tasks(tmp_path)


def test_a_choice_is_not_started(tmp_path: Path) -> None:
    write(tmp_path, {"started_with": {"field": "answer", "tokens": 3}}, "multiple_choice")
    with pytest.raises(UserError, match="a choice is no answer to be started"):
        load_tasks(tmp_path)


def write(folder: Path, metadata: Any, kind: str = "generate_until") -> None:
    own = yaml.safe_load((FOLDER / "bfpo_late_refusal_k5.yaml").read_text())["metadata"]
    config = {"task": "bfpo_turning", "output_type": kind, "metadata": own | metadata}
    (folder / "turning.yaml").write_text(yaml.safe_dump(config))
