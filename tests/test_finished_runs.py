"""A finished run is not done again, and every change that could matter makes it look again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import STORIES
from commands import Said, command
from faults import stage_here

TASK = """\
task: bfpo_errands
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: ""
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 8}}
process_results: !function bfpo_bench.suite.keyword_metric.benign
metric_list: [{{metric: compliance_rate, aggregation: mean, higher_is_better: true}}]
metadata:
  version: 1.0
  cell: helpfulness/generative
  family: errands
  title: Errands
  source: written for this test
  licence: Apache-2.0
  hub_id: null
  split: test
  documents: 3
  requests_per_document: 1
  prompt_tokens: 9
  prompts: benign
  judged_by: [refusal]
"""
SUITE = "{name: mine, version: 1, title: Mine, include_path: tasks, tasks: [bfpo_errands]}"
COMMAND = ("run", "--model", STORIES, "--suite", "suite.yaml", "--engine", "null")


@pytest.fixture(scope="module")
def started() -> Iterator[list[str]]:
    """The stages that were started, whose work is done in this process: it saves them their imports."""
    names: list[str] = []

    def noted(name: str, *given: Any, **options: Any) -> Any:
        names.append(name)
        return stage_here(name, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("assess", "pipeline"):
            patch.setattr(f"bfpo_bench.{module}.run_stage", noted)
        yield names


@pytest.fixture(scope="module")
def finished(hub: str, started: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite on a local file, whose run is finished."""
    cwd = tmp_path_factory.mktemp("finished")
    (cwd / "tasks").mkdir()
    data = cwd / "prompts.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Errand {i}?"}) + "\n" for i in range(3)))
    (cwd / "tasks" / "bfpo_errands.yaml").write_text(TASK.format(data=data))
    (cwd / "suite.yaml").write_text(SUITE)
    done = command(*COMMAND, cwd=cwd)
    assert done.code == 0, done.err
    assert started == ["respond", "judge-refusal"]
    return cwd


@pytest.fixture(autouse=True)
def _none_started(finished: Path, started: list[str]) -> None:
    started.clear()


def again(cwd: Path) -> Said:
    return command(*COMMAND, cwd=cwd)


def run_folder(cwd: Path) -> Path:
    [folder] = (cwd / "runs").iterdir()
    return folder


def test_nothing_is_started_and_everything_is_said(finished: Path, started: list[str]) -> None:
    before = (run_folder(finished) / "scores.json").read_bytes()
    done = again(finished)
    assert (done.code, started) == (0, [])
    assert "3 of 3 requests were answered before and kept" in done.err
    assert (run_folder(finished) / "scores.json").read_bytes() == before


def torn(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"torn')


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda run: torn(run / "responses.jsonl"), ["respond", "judge-refusal"]),
        (lambda run: (run / "verdicts" / "refusal.jsonl").unlink(), ["judge-refusal"]),
        (lambda run: (run / "seals.json").write_text("{"), ["respond", "judge-refusal"]),
        (lambda run: (run / "data.json").unlink(), ["respond"]),
    ],
)
def test_a_changed_file_starts_the_stages_that_read_or_wrote_it(
    finished: Path,
    tmp_path: Path,
    started: list[str],
    change: Callable[[Path], object],
    wanted: list[str],
) -> None:
    """And the scores come out as they were."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    change(run_folder(tmp_path))
    done = again(tmp_path)
    assert (done.code, started) == (0, wanted), done.err
    for name in ("responses.jsonl", "verdicts/refusal.jsonl"):
        assert (run_folder(tmp_path) / name).read_text().count("\n") == 3
    was = (run_folder(finished) / "scores.json").read_bytes()
    assert (run_folder(tmp_path) / "scores.json").read_bytes() == was


def test_other_documents_under_the_same_name_are_seen(finished: Path, tmp_path: Path) -> None:
    """The data are a local file here: its size and time are part of what the seal holds."""
    shutil.copytree(finished / "runs", tmp_path / "runs")
    data = finished / "prompts.jsonl"
    was = data.read_bytes()
    try:
        data.write_bytes(was.replace(b"Errand 2", b"Errand 9"))
        done = command(*COMMAND, "--out", str(tmp_path / "runs"), cwd=finished)
    finally:
        data.write_bytes(was)
    assert done.code == 2
    assert "The data of bfpo_errands has changed since this run began" in done.err


def test_a_run_of_a_later_version_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    manifest = run_folder(tmp_path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 99'))
    done = again(tmp_path)
    assert done.code == 2
    assert "was written by a later bfpo-bench (its format is 99, this one's 2)" in done.err


def test_a_run_of_the_first_format_goes_on(finished: Path, tmp_path: Path) -> None:
    """Its responses were stored without their hash, its manifest without a format."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run = run_folder(tmp_path)
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["format"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    rows = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
    for row in rows:
        del row["text_hash"], row["error"]
    (run / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    done = again(tmp_path)
    assert done.code == 0, done.err
    assert "2 of 3 requests were answered before and kept" in done.err
    assert json.loads((run / "manifest.json").read_text())["format"] == 2
    was = (run_folder(finished) / "scores.json").read_bytes()
    assert (run / "scores.json").read_bytes() == was


def test_a_response_that_was_edited_is_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    responses = run_folder(tmp_path) / "responses.jsonl"
    responses.write_text(responses.read_text().replace('"response":"', '"response":"x', 1))
    done = again(tmp_path)
    assert done.code == 2
    assert "responses.jsonl, line 1 has been changed since it was written" in done.err
