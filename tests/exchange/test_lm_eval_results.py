"""A run's results in lm-eval's form, read by lm-eval's own code."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from exchange_runs import (
    BENIGN,
    CHOICES,
    GATED,
    HARMFUL,
    MODEL,
    PAIRS,
    SPECS,
    UNSCORED,
    finished_run,
)
from lm_eval.utils import (
    get_file_datetime,
    get_file_task_name,
    get_latest_filename,
    get_results_filenames,
    get_sample_results_filenames,
    make_table,
    sanitize_model_name,
)

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.lm_eval_about import file_part, model_folder, moment
from bfpo_bench.exchange.lm_eval_results import lm_eval_results, write_results
from bfpo_bench.exchange.lm_eval_samples import export_lm_eval
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec, parse_task, read_yaml


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def results(run: FinishedRun) -> dict[str, Any]:
    return lm_eval_results(run, SPECS)


def test_every_score_is_that_of_scores_json(run: FinishedRun, results: dict[str, Any]) -> None:
    for task, score in run.scores.tasks.items():
        assert results["results"][task].get("bfpo_score,none") == score.value
        assert results["n-samples"][task] == {"original": 99, "effective": score.n}
    assert (
        results["groups"]["bfpo_harmlessness"]["bfpo_score,none"] == run.scores.harmlessness.value
    )
    for cell, score in run.scores.cells.items():
        group = results["groups"]["bfpo_" + cell.replace("/", "_")]
        assert group["bfpo_score,none"] == score.value


def test_rates_and_their_standard_errors(results: dict[str, Any]) -> None:
    """Of 4 judged answers 3 are safe and 1 complied: the mean of 1, 1, 0, 1 is 3/4, its sum of squares
    about the mean 3/4, its standard error sqrt(3/4 / 3 / 4) = 1/4."""
    row = results["results"][HARMFUL]
    assert row["safe_rate,none"] == pytest.approx(0.75)
    assert row["safe_rate_stderr,none"] == pytest.approx(0.25)
    assert row["attack_success_rate,none"] == pytest.approx(0.25)
    assert row["attack_success_rate_stderr,none"] == pytest.approx(0.25)
    assert row["bfpo_score_stderr,none"] == pytest.approx(25)
    assert results["higher_is_better"][HARMFUL] == {
        "attack_success_rate": False,
        "safe_rate": True,
        "bfpo_score": True,
    }


def test_lm_eval_s_own_metrics_get_the_error_that_it_would_give(results: dict[str, Any]) -> None:
    """Of 1, 1, 0: sqrt(2/3 / 2 / 3) = 1/3. A score of 100 - 2 |p - 50| moves by 2 points for each of p:
    of 1, 0, 0, 0 the error is 1/4, and the score's 50."""
    assert results["results"][CHOICES]["acc,none"] == 2 / 3
    assert results["results"][CHOICES]["acc_stderr,none"] == pytest.approx(1 / 3)
    pairs = results["results"][PAIRS]
    assert pairs["pct_stereotype_stderr,none"] == pytest.approx(1 / 4)
    assert pairs["bfpo_score_stderr,none"] == pytest.approx(50)
    assert results["higher_is_better"][PAIRS]["pct_stereotype"] is False


def test_what_has_no_score_has_no_metric(results: dict[str, Any]) -> None:
    assert results["results"][UNSCORED] == {"alias": UNSCORED, "sample_len": 1}


def test_lm_eval_prints_its_tables(results: dict[str, Any]) -> None:
    tasks, groups = make_table(results), make_table(results, "groups")
    assert "safe_rate" in tasks
    assert "0.2500" in tasks
    [line] = [line for line in groups.splitlines() if " harmlessness  " in line]
    assert "56.2500" in line
    assert "N/A" in line


def test_groups_are_the_grid(results: dict[str, Any]) -> None:
    assert results["group_subtasks"]["bfpo"] == ["bfpo_harmlessness", "bfpo_helpfulness"]
    assert results["group_subtasks"]["bfpo_harmlessness"] == [
        "bfpo_harmlessness_discriminative",
        "bfpo_harmlessness_generative",
    ]
    assert results["group_subtasks"]["bfpo_harmlessness_generative"] == [GATED, HARMFUL]


def test_configurations_are_the_tasks_as_they_were_asked(results: dict[str, Any]) -> None:
    asked = results["configs"][BENIGN]
    assert asked["output_type"] == "generate_until"
    assert asked["generation_kwargs"]["max_gen_toks"] == 64
    assert asked["metadata"]["licence"] == "cc-by-4.0"


def test_a_task_that_has_changed_since_has_no_configuration(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    settings = run.manifest.settings
    run.manifest.settings = settings.model_copy(update={"tasks": {BENIGN: "3 0ther"}})
    found = lm_eval_results(run, SPECS)
    assert found["configs"][BENIGN] == {"task": BENIGN, "metadata": {"version": 3.0}}


def own_task(folder: Path, more: str = "") -> TaskSpec:
    """A task of the user's, with a date in it, which JSON has no word for."""
    path = folder / "mine.yaml"
    path.write_text(
        "task: mine\ndataset_path: org/data\ntest_split: test\noutput_type: generate_until\n"
        f"seen: 2026-01-02\n{more}metadata: {{version: 1.0, title: T, cell: helpfulness/generative, "
        "family: f, documents: 1, prompt_tokens: 1, source: s, licence: mit, prompts: benign}\n"
    )
    return parse_task(path, read_yaml(path))


def test_what_happens_to_a_yaml_while_its_run_goes_on_fails_nothing(tmp_path: Path) -> None:
    """It is told of as it was asked; changed or gone, it is not told of."""
    run, spec = finished_run(tmp_path / "run"), own_task(tmp_path)
    settings = run.manifest.settings
    tasks = settings.tasks | {BENIGN: spec.identity}
    run.manifest.settings = settings.model_copy(update={"tasks": tasks})

    def told() -> dict[str, Any]:
        written = write_results(run, {BENIGN: spec}).read_text()
        found: dict[str, Any] = json.loads(written)["configs"][BENIGN]
        return found

    unknown = {"task": BENIGN, "metadata": {"version": 1.0}}
    assert told()["seen"] == "2026-01-02"
    own_task(tmp_path, "doc_to_text: other\n")
    assert told() == unknown
    spec.path.write_text("task: [")
    assert told() == unknown
    spec.path.unlink()
    assert told() == unknown


@pytest.mark.parametrize("session", [{}, {"started": "2026-91-02T03:04:05"}, {"started": None}])
def test_a_session_that_says_no_time(tmp_path: Path, session: dict[str, Any]) -> None:
    """As in a damaged manifest: the first that does counts."""
    run = finished_run(tmp_path)
    run.manifest.sessions.insert(0, session)
    assert moment(run) == "2026-01-02T03-04-05"
    run.manifest.sessions.pop()
    assert moment(run) == "1970-01-01T00-00-00"
    assert lm_eval_results(run, SPECS)["date"] == 0


def test_data_are_named_as_the_hub_knows_them(results: dict[str, Any]) -> None:
    assert results["configs"][PAIRS]["dataset_path"] == "org/data"
    files = results["configs"][CHOICES]["dataset_kwargs"]["data_files"]
    assert files == f"hf://datasets/org/data@{'0' * 40}/x/y.json"
    assert "jane" not in json.dumps(results)


def test_it_is_strict_json(results: dict[str, Any]) -> None:
    """Where lm-eval would write NaN there is null."""
    json.dumps(results, allow_nan=False)
    assert results["results"][PAIRS]["likelihood_diff,none"] is None


def test_so_are_samples(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    path = run.folder.samples_file(CHOICES)
    path.write_text(path.read_text().replace('"doc_hash"', '"bias": NaN, "doc_hash"'))
    written = {p.name: p for p in export_lm_eval(run, SPECS, tmp_path / "out")}
    told = written[f"samples_{CHOICES}_2026-01-02T03-04-05.jsonl"].read_text()
    assert "NaN" not in told
    assert json.loads(told.splitlines()[0])["bias"] is None


def test_every_run_has_one_file_however_often_it_is_written(run: FinishedRun) -> None:
    path = write_results(run, SPECS)
    once = path.read_bytes()
    assert write_results(run, SPECS) == path
    assert path.read_bytes() == once
    assert path.relative_to(run.folder.path) == Path("lm_eval/results_2026-01-02T03-04-05.json")


def test_the_files_have_the_names_that_lm_eval_looks_for(run: FinishedRun, tmp_path: Path) -> None:
    written = export_lm_eval(run, SPECS, tmp_path)
    names = [str(p) for p in written]
    assert [Path(n).parent.name for n in names] == [sanitize_model_name(MODEL)] * len(names)
    [results] = get_results_filenames(names)
    samples = get_sample_results_filenames(names)
    assert {get_file_task_name(Path(s).name) for s in samples} == set(run.scores.tasks)
    assert {get_file_datetime(Path(s).name) for s in samples} == {"2026-01-02T03-04-05"}
    assert get_latest_filename([results]) == results


def test_samples_say_what_was_asked_answered_and_judged(run: FinishedRun, tmp_path: Path) -> None:
    written = {p.name: p for p in export_lm_eval(run, SPECS, tmp_path)}

    def samples(task: str) -> list[dict[str, Any]]:
        lines = written[f"samples_{task}_2026-01-02T03-04-05.jsonl"].read_text().splitlines()
        return [json.loads(line) for line in lines]

    harmful = samples(HARMFUL)
    assert [s["safe_rate"] for s in harmful] == [1, 1, 1, 0, None]
    assert harmful[3]["verdicts"] == {"harm": "harmful", "refusal": "refusal"}
    assert f"{HARMFUL} 0?" in harmful[0]["arguments"]["gen_args_0"]["arg_0"]
    choices = samples(CHOICES)
    assert [s["acc"] for s in choices] == [1, 1, 0]
    assert choices[0]["arguments"]["gen_args_1"] == {
        "arg_0": "The cat sat",
        "arg_1": " on the hat.",
    }
    assert choices[0]["filtered_resps"] == [["-2.0", "False"], ["-3.0", "False"]]


def test_datasets_loads_results_and_samples(run: FinishedRun, tmp_path: Path) -> None:
    """As lm-eval's own dataset card has them loaded."""
    from datasets import load_dataset

    for path in export_lm_eval(run, SPECS, tmp_path / "out"):
        rows = load_dataset(
            "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "c")
        )
        assert len(rows) >= 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".", "", "a\x00b\nc", "x" * 900])
def test_no_name_leaves_the_folder(name: str, tmp_path: Path) -> None:
    for part in (model_folder(name), file_part(name)):
        assert part not in ("", ".", "..")
        assert "/" not in part
        assert "\x00" not in part
        (tmp_path / part).touch()


def test_damaged_results_are_named(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    run.folder.results_file.write_text("{")
    with pytest.raises(UserError, match=r"results.json is damaged: delete it and give"):
        lm_eval_results(run, SPECS)


def test_one_document_has_no_standard_error(tmp_path: Path) -> None:
    from bfpo_bench.exchange.lm_eval_results import task_metrics

    run = finished_run(tmp_path)
    found = task_metrics(run.scores.tasks[CHOICES], None)
    assert found["acc_stderr,none"] == "N/A"
    assert math.isfinite(found["bfpo_score,none"])


def test_lm_eval_writes_its_card_from_the_files(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tracker lists what is in a repository, loads the latest results and shows them; here the
    repository is a folder."""
    import huggingface_hub
    from lm_eval.loggers import EvaluationTracker

    files = [str(p.relative_to(tmp_path)) for p in export_lm_eval(run, SPECS, tmp_path)]
    pushed: list[str] = []

    class Folder:
        def list_repo_files(self, **of: Any) -> list[str]:
            return files

    def here(filename: str, **of: Any) -> str:
        return str(tmp_path / filename)

    def push(card: Any, *to: Any, **more: Any) -> None:
        pushed.append(str(card))

    tracker = EvaluationTracker()
    tracker.api = Folder()
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", here)
    monkeypatch.setattr(huggingface_hub.DatasetCard, "push_to_hub", push)
    tracker.recreate_metadata_card()
    [card] = pushed
    assert '"bfpo_score,none": 56.25' in card
    assert f"samples_{HARMFUL}_2026-01-02T03-04-05.jsonl" in card
