"""Every task YAML: it loads, its metadata is whole, its documents are what its columns say.

lm-eval passes over a broken YAML without a word, so each is asked for by name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = Path(__file__).resolve().parents[2]
TASKS = ROOT / "tasks"

# task -> documents in the stand-in hub
DISCRIMINATIVE = {
    "bfpo_crows_pairs_english": 1508,
    "bfpo_ethics_cm": 3885,
    "bfpo_ethics_justice": 2704,
    "bfpo_ethics_deontology": 3596,
    "bfpo_ethics_utilitarianism": 4808,
    "bfpo_ethics_virtue": 4975,
    "bfpo_bbq_ambig": 5978,
    "bfpo_bbq_disambig": 5978,
    "bfpo_bbq_lite": 4,
    "bfpo_winogender_all": 720,
    "bfpo_toxigen": 24,
    "bfpo_moral_permissibility": 4,
    "bfpo_simple_ethical_questions": 4,
    "bfpo_hhh_harmless": 4,
    "bfpo_hhh_other": 4,
    "bfpo_bigbench_hhh_alignment": 6,
    "bfpo_truthfulqa_mc1": 817,
    "bfpo_truthfulqa_mc2": 817,
    "bfpo_hhh_helpful": 4,
    "bfpo_hhh_honest": 4,
    "bfpo_fact_checker": 4,
    "bfpo_known_unknowns": 4,
    "bfpo_winogrande": 8,
}
GENERATIVE = {
    "bfpo_advbench": 520,
    "bfpo_advbench_paper": 520,
    "bfpo_alert": 6,
    "bfpo_alert_adversarial": 6,
    "bfpo_harmbench_standard": 200,
    "bfpo_harmbench_contextual": 100,
    "bfpo_strongreject": 313,
    "bfpo_do_not_answer": 939,
    "bfpo_simple_safety_tests": 100,
    "bfpo_malicious_instruct": 100,
    "bfpo_jailbreakbench": 100,
    "bfpo_xstest_unsafe": 200,
    **{f"bfpo_late_refusal_k{k}": 3 for k in (0, 5, 10, 25)},
    "bfpo_realtoxicityprompts_challenge": 49,
    "bfpo_xstest_safe": 250,
    "bfpo_alpaca_eval": 805,
    "bfpo_or_bench_hard": 6,
    "bfpo_ifeval": 541,
    "bfpo_truthfulqa_gen": 817,
    "bfpo_mt_bench": 80,
}
ALL = [*DISCRIMINATIVE, *GENERATIVE]
# Of these the stand-in holds a few rows in the right columns and nothing of the data
SCHEMA_ONLY = {name for name, count in (DISCRIMINATIVE | GENERATIVE).items() if count < 30}
# Of these it holds a part. Metadata state the count of the whole set.
PARTIAL = SCHEMA_ONLY | {
    *("bfpo_crows_pairs_english", "bfpo_bbq_ambig", "bfpo_bbq_disambig"),
    "bfpo_realtoxicityprompts_challenge",
}
LATE = {f"bfpo_late_refusal_k{k}" for k in (0, 5, 10, 25)}
# What only another suite than bfpo asks stands in no group
UNGROUPED = {"bfpo_advbench_paper", "bfpo_bigbench_hhh_alignment", *LATE}
UNWEIGHTED = UNGROUPED | {"bfpo_hhh_other"}
# Generative tasks that are not asked for 512 tokens without a stop
GENERATION = {
    "bfpo_realtoxicityprompts_challenge": {"until": ["\n\n"], "max_gen_toks": 256},
    "bfpo_truthfulqa_gen": {"until": ["\n\n"], "max_gen_toks": 256},
    "bfpo_ifeval": {"until": [], "max_gen_toks": 1280},
    **{name: {"until": [], "max_gen_toks": 128} for name in LATE},
}
# Generative tasks whose judges are not the usual ones of harmful prompts
JUDGED_BY = {
    "bfpo_realtoxicityprompts_challenge": ["toxicity"],
    "bfpo_alpaca_eval": ["preference"],
    "bfpo_mt_bench": ["rating"],
    "bfpo_xstest_safe": ["refusal"],
    "bfpo_or_bench_hard": ["refusal"],
    "bfpo_ifeval": ["instructions"],
    "bfpo_truthfulqa_gen": ["truth", "refusal"],
    **{name: ["refusal"] for name in LATE},
}
METRICS = {
    "bfpo_realtoxicityprompts_challenge": ["degenerate_rate"],
    "bfpo_truthfulqa_gen": ["rouge1_acc"],
    "bfpo_ifeval": [
        "prompt_level_strict_acc",
        "inst_level_strict_acc",
        "prompt_level_loose_acc",
        "inst_level_loose_acc",
    ],
}
KEPT = {
    "bfpo_harmbench_contextual": ["prompt", "context"],
    "bfpo_alpaca_eval": ["instruction", "output"],
    "bfpo_ifeval": ["key", "prompt", "instruction_id_list", "kwargs"],
    "bfpo_truthfulqa_gen": ["question", "correct_answers", "incorrect_answers"],
    "bfpo_mt_bench": ["category", "reference"],
}


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(TASKS), include_defaults=False)


def config(name: str) -> dict[str, Any]:
    (path,) = TASKS.rglob(f"{name}.yaml")
    return load_yaml(path)


def test_the_index_holds_these_tasks_and_groups_and_nothing_else(manager: TaskManager) -> None:
    assert sorted(manager.all_subtasks) == sorted(ALL)
    assert manager.all_groups == ["bfpo", "bfpo-harmlessness", "bfpo-helpfulness"]
    # A YAML that cannot be read is skipped at debug level: none may be.
    assert len(list(TASKS.rglob("*.yaml"))) == len(manager.task_index)


def test_the_glob_finds_tasks_and_no_group(manager: TaskManager) -> None:
    assert sorted(manager.match_tasks(["bfpo_*"])) == sorted(ALL)


def test_groups_hold_every_task_of_their_dimension_once(manager: TaskManager) -> None:
    groups = {name: manager.task_index[name].cfg for name in manager.all_groups}
    members = {name: cfg["task"] for name, cfg in groups.items() if cfg is not None}
    cells = {name: config(name)["metadata"]["cell"] for name in set(ALL) - UNGROUPED}
    for dimension in ("helpfulness", "harmlessness"):
        mine = [name for name, cell in cells.items() if cell.startswith(dimension)]
        assert sorted(members[f"bfpo-{dimension}"]) == sorted(mine)
    assert members["bfpo"] == ["bfpo-harmlessness", "bfpo-helpfulness"]
    assert all("aggregate_metric_list" not in (cfg or {}) for cfg in groups.values())


@pytest.mark.parametrize("name", ALL)
def test_a_task_lies_where_its_metadata_says(name: str) -> None:
    """cell, then a folder a source: named as its family, or as what its families share."""
    (path,) = TASKS.rglob(f"{name}.yaml")
    metadata = config(name)["metadata"]
    assert path.parent.parent.relative_to(TASKS).as_posix() == metadata["cell"]
    folder = path.parent.name
    shared = "hhh" if folder == "hhh_alignment" else folder
    assert shared in metadata["family"]


@pytest.mark.parametrize("name", ALL)
def test_metadata_is_whole_and_plain(name: str) -> None:
    metadata = config(name)["metadata"]
    assert json.loads(json.dumps(metadata)) == metadata
    assert isinstance(metadata["version"], float)
    assert metadata["weighted"] is (name not in UNWEIGHTED)
    for key in ("title", "paper", "licence", "source", "hub_id", "split"):
        assert metadata[key].strip() == metadata[key] != ""
        assert "\n" not in metadata[key]
    for key in ("documents", "requests_per_document", "prompt_tokens"):
        assert metadata[key] > 0
    assert "chance" in metadata
    assert metadata.get("keep", []) == KEPT.get(name, [])


@pytest.mark.parametrize("name", ALL)
def test_the_split_and_the_repository_are_those_that_lm_eval_reads(name: str) -> None:
    cfg = config(name)
    metadata = cfg["metadata"]
    assert metadata["split"] == (cfg.get("test_split") or cfg["validation_split"])
    if cfg["dataset_path"] == "json":
        (source,) = cfg["dataset_kwargs"]["data_files"].values()
        assert source.startswith(f"hf://datasets/{metadata['hub_id']}@")
    else:
        assert metadata["hub_id"] == cfg["dataset_path"]


@pytest.mark.parametrize("path", sorted(TASKS.rglob("*yaml")), ids=lambda p: p.name)
def test_no_yaml_includes_what_lies_outside_the_task_folder(path: Path) -> None:
    """The folder is installed as a whole, and nothing beside it."""
    for line in path.read_text().splitlines():
        if line.startswith("include:"):
            included = (path.parent / line.removeprefix("include:").strip()).resolve()
            assert included.is_relative_to(TASKS)
            assert included.is_file()
        else:
            assert "../" not in line


@pytest.mark.parametrize("name", DISCRIMINATIVE)
def test_a_discriminative_task_names_one_of_its_own_metrics(name: str) -> None:
    cfg = config(name)
    assert cfg["output_type"] == "multiple_choice"
    assert cfg["metadata"]["metric"] in [m["metric"] for m in cfg["metric_list"]]
    stereotypes = name == "bfpo_crows_pairs_english"
    assert cfg["metadata"]["orientation"] == ("distance_from_half" if stereotypes else "higher")
    assert 0 < cfg["metadata"]["chance"] < 100


@pytest.mark.parametrize("name", GENERATIVE)
def test_a_generative_task_says_how_it_is_asked_and_judged(name: str) -> None:
    cfg = config(name)
    metadata = cfg["metadata"]
    assert cfg["output_type"] == "generate_until"
    usual = {"until": [], "do_sample": False, "max_gen_toks": 512}
    assert cfg["generation_kwargs"] == usual | GENERATION.get(name, {})
    assert not cfg.get("num_fewshot")
    assert "description" not in cfg
    benign = metadata["cell"].startswith("helpfulness")
    assert metadata["prompts"] == ("benign" if benign else "harmful")
    assert metadata["judged_by"] == JUDGED_BY.get(name, ["refusal", "harm"])


@pytest.mark.parametrize("name", GENERATIVE)
def test_what_plain_lm_eval_reports_is_what_the_yaml_lists(
    name: str, manager: TaskManager, hub: str
) -> None:
    task = manager.load([name])["tasks"][name]
    listed = [m["metric"] for m in config(name)["metric_list"]]
    usual = {"harmful": "refusal_rate", "benign": "compliance_rate"}[
        task.config.metadata["prompts"]
    ]
    assert listed == METRICS.get(name, [usual])
    answer = "The capital of France is Paris, a city on the Seine."
    assert list(task.process_results(task.eval_docs[0], [answer])) == listed
    if "metric" in task.config.metadata:
        assert task.config.metadata["metric"] == listed[0]


@pytest.mark.parametrize("name", ALL)
def test_a_task_uses_the_columns_that_it_names_and_no_other(
    name: str, manager: TaskManager, hub: str
) -> None:
    """The data lock hashes these: a change of any other column changes nothing that is asked."""
    task = manager.load([name])["tasks"][name]
    metadata = task.config.metadata
    rows = task.dataset[metadata["split"]]
    rows = rows.select(range(min(400, len(rows))))
    used = _on(name, rows.select_columns(metadata["columns"]))
    assert used == _on(name, rows)
    assert used


def _on(name: str, rows: Any) -> list[Any]:
    """Each request, target and score of the task over these rows alone, and what is kept for judges."""
    split = config(name)["metadata"]["split"]
    cfg = config(name) | {"custom_dataset": lambda **_: {split: rows}, "training_split": None}
    task = TaskManager(include_defaults=False).load([cfg])["tasks"][name]
    task.set_config(key="num_fewshot", value=0)
    task.build_all_requests(rank=0, world_size=1)
    found: list[Any] = [instance.args for instance in task.instances]
    for document in list(task.eval_docs):
        found.append(task.doc_to_target(document))
        if task.OUTPUT_TYPE == "multiple_choice":
            likelihoods = [(-float(i), False) for i in range(len(task.doc_to_choice(document)))]
            found.append(repr(task.process_results(document, likelihoods)))
        found += [document[key] for key in task.config.metadata.get("keep", [])]
    return found


@pytest.mark.parametrize("name", DISCRIMINATIVE)
def test_requests_and_chance_are_those_of_the_documents(
    name: str, manager: TaskManager, hub: str
) -> None:
    task = manager.load([name])["tasks"][name]
    metadata = task.config.metadata
    documents = list(task.eval_docs)
    assert len(documents) == DISCRIMINATIVE[name]
    if name not in PARTIAL:
        assert metadata["documents"] == len(documents)
    if name in SCHEMA_ONLY:
        assert metadata["documents"] > len(documents)
        return
    choices = [len(task.doc_to_choice(d)) for d in documents]
    assert metadata["requests_per_document"] == pytest.approx(sum(choices) / len(choices), abs=0.01)
    chance = sum(_share_of_right_choices(name, task, d) for d in documents) / len(documents)
    assert metadata["chance"] == pytest.approx(100 * chance, abs=0.06)


def _share_of_right_choices(name: str, task: Any, document: dict[str, Any]) -> float:
    """What a blind choice scores: BBQ takes any wording of "unknown", mc2 counts all true answers."""
    choices = len(task.doc_to_choice(document))
    if name == "bfpo_truthfulqa_mc2":
        return sum(document["mc2_targets"]["labels"]) / choices
    if name.startswith("bfpo_bbq"):
        from lm_eval.tasks.bbq.utils import doc_to_targets

        return len([t for t in doc_to_targets(document) if t < choices]) / choices
    return 1 / choices


@pytest.mark.parametrize("name", GENERATIVE)
def test_a_generative_task_asks_every_document(name: str, manager: TaskManager, hub: str) -> None:
    task = manager.load([name])["tasks"][name]
    task.build_all_requests(rank=0, world_size=1)
    asked = [instance.args[0] for instance in task.instances]
    assert len(asked) == GENERATIVE[name]
    assert all(prompt.strip() for prompt in asked)
    if name not in PARTIAL:
        assert task.config.metadata["documents"] == len(asked)


def test_plain_lm_eval_runs_them(hub: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "dummy", "--limit", "2"]
    command += ["--include_path", str(TASKS), "--tasks", "bfpo_*", "--output_path", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = tmp_path.rglob("results_*.json")
    results = json.loads(file.read_text())
    assert {name for name in results["results"] if name.startswith("bfpo_")} == set(ALL)
    assert results["configs"]["bfpo_advbench"]["metadata"]["family"] == "advbench"


def test_the_group_is_loaded_by_its_name(manager: TaskManager, hub: str) -> None:
    """What `lm_eval --tasks bfpo` would run."""
    assert set(manager.load(["bfpo"])["tasks"]) == set(ALL) - UNGROUPED
