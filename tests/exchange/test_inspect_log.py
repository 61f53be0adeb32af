"""A run as Inspect's logs, read back by inspect_ai's own reader."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange_runs import BENIGN, CHOICES, GATED, HARMFUL, MODEL, SPECS, UNSCORED, finished_run
from generative_runs import response

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.inspect_log import export_inspect
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.scoring.finished import FinishedRun

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    found = finished_run(tmp_path_factory.mktemp("run"))
    with Appender(found.folder.responses_file) as file:
        file.append(response(UNSCORED, 1, "half \ud83d of one", error="out of memory").dump())
    return found


@pytest.fixture(scope="module")
def folder(run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("logs")
    export_inspect(run, SPECS, out)
    return out


def log(folder: Path, task: str) -> Any:
    from inspect_ai.log import read_eval_log

    [path] = folder.glob(f"*_{task.replace('_', '-')}_*.eval")
    return read_eval_log(str(path))


def test_one_log_a_task(run: FinishedRun, folder: Path) -> None:
    from inspect_ai.log import list_eval_logs

    logs = list_eval_logs(str(folder))
    assert {found.task for found in logs} == {t.replace("_", "-") for t in run.scores.tasks}
    assert {log(folder, t).eval.task for t in run.scores.tasks} == set(run.scores.tasks)


def test_a_sample_is_a_conversation_with_what_was_said_of_it(folder: Path) -> None:
    found = log(folder, HARMFUL)
    assert (found.status, found.eval.model) == ("success", MODEL)
    sample = found.samples[3]
    assert (sample.id, sample.epoch) == (3, 1)
    assert (sample.messages[0].role, sample.messages[0].text) == ("user", f"{HARMFUL} 3?")
    assert sample.output.completion.startswith("I am sorry")
    assert sample.scores["refusal"].value == "refusal"
    assert sample.scores["harm"].value == "harmful"
    assert (sample.scores["outcome"].value, sample.scores["outcome"].answer) == (0, "complied")
    assert (sample.metadata["outcome"], sample.metadata["points"]) == ("complied", 0)


def test_what_nobody_could_judge_is_unscored(folder: Path) -> None:
    """And not wrong: Inspect leaves it out of its means."""
    found = log(folder, HARMFUL)
    unjudged = found.samples[4].scores["outcome"]
    assert math.isnan(unjudged.value)
    assert (unjudged.reason, unjudged.answer) == ("unjudged", "unjudged")
    [outcome, *_] = found.results.scores
    assert (outcome.scored_samples, outcome.unscored_samples) == (4, 1)


def test_results_are_those_of_the_scores(run: FinishedRun, folder: Path) -> None:
    for task in (HARMFUL, BENIGN, GATED, CHOICES):
        score = run.scores.tasks[task]
        metrics = log(folder, task).results.scores[0].metrics
        assert metrics["bfpo_score"].value == score.value
    assert log(folder, HARMFUL).results.scores[0].metrics["safe_rate"].value == 0.75
    shares = log(folder, HARMFUL).results.scores[1].metrics
    assert {name: m.value for name, m in shares.items()} == {
        "harmful": 0.2,
        "harmless": 0.6,
        "unjudged": 0.2,
    }


def test_choices_are_samples_too(folder: Path) -> None:
    found = log(folder, CHOICES)
    assert [s.scores["acc"].value for s in found.samples] == [1, 1, 0]
    sample = found.samples[0]
    assert sample.input == "The cat sat"
    assert sample.choices == [" on the mat.", " on the hat."]
    assert sample.output.completion == " on the mat."
    assert sample.metadata["loglikelihoods"] == [-2.0, -3.0]


def test_a_failed_request_is_a_sample_with_an_error(folder: Path) -> None:
    sample = log(folder, UNSCORED).samples[1]
    assert sample.error.message == "out of memory"
    assert sample.output.completion == "half \\ud83d of one"


def test_hostile_text_stays_as_it_is(folder: Path) -> None:
    """And the viewer is told to take it for plain text."""
    assert log(folder, BENIGN).eval.viewer.trust_content is False
    assert log(folder, BENIGN).samples[0].output.completion.endswith("</script><b>.")


def test_written_again_it_has_the_same_names(run: FinishedRun, folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    export_inspect(run, SPECS, folder)
    assert sorted(p.name for p in folder.iterdir()) == before


def test_nothing_tells_of_the_machine(folder: Path) -> None:
    for task in (HARMFUL, CHOICES):
        assert "jane" not in log(folder, task).model_dump_json()


def test_nor_do_errors_and_judges_named_by_their_folders(tmp_path: Path) -> None:
    run, judge = finished_run(tmp_path / "run"), "refusal@/home/jane/judges/refusal"
    with Appender(run.folder.responses_file) as file:
        file.append(response(BENIGN, 9, "", error="see /home/jane/log.txt").dump())
    run.folder.verdicts_file("refusal").rename(run.folder.verdicts_file(judge))
    scores = run.scores.model_copy(update={"judges": [judge]})
    export_inspect(replace(run, scores=scores), SPECS, tmp_path / "logs")
    found = log(tmp_path / "logs", BENIGN)
    assert "jane" not in found.model_dump_json()
    assert found.samples[-1].error.message == "see log.txt"
    assert found.samples[0].scores["refusal@refusal"].value == "compliance"
    assert [score.name for score in found.results.scores] == ["outcome", "refusal@refusal"]


def test_without_inspect_ai(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(UserError, match=r"not installed: pip install inspect_ai"):
        export_inspect(run, SPECS, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
