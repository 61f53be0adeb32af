"""Evaluation results in a model's card, read by huggingface_hub, and nothing else of it disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from exchange_runs import BENIGN, HARMFUL, PAIRS, SPECS, UNSCORED, finished_run
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.model_card import EVAL_RESULTS, export_model_card
from bfpo_bench.scoring.finished import FinishedRun

CARD = """\
---
license: mit
base_model: org/base
tags: [chat]
model-index:
- name: Mine
  results:
  - task: {type: text-generation, name: another benchmark}
    dataset: {type: org/data, name: data}
    metrics: [{type: accuracy, value: 3}]
---

# Mine

What I wrote, with <b>HTML</b> and `code`.
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("run"))


def results(folder: Path) -> list[EvalResult]:
    found = ModelCard.load(folder / "README.md").data.eval_results
    assert found is not None
    return found


def test_a_model_without_a_card_gets_one(run: FinishedRun, tmp_path: Path) -> None:
    export_model_card(run, SPECS, tmp_path)
    found = {(r.dataset_config, r.metric_type): r.metric_value for r in results(tmp_path)}
    assert found[None, "harmlessness"] == 56.25
    assert found[HARMFUL, "safe_rate"] == 75.0
    assert found[PAIRS, "bfpo_score"] == 50.0
    assert not any(task == UNSCORED for task, _ in found)
    text = (tmp_path / "README.md").read_text()
    assert "| harmlessness | 56.2 | [30.8, 83.7] |" in text
    assert f"| `{HARMFUL}` | safe rate | 75.0 |" in text


def test_the_hub_s_own_reader_reads_the_entries(run: FinishedRun, tmp_path: Path) -> None:
    export_model_card(run, SPECS, tmp_path)
    entries = parse_eval_result_entries(yaml.safe_load((tmp_path / EVAL_RESULTS).read_text()))
    by_task = {e.task_id: e for e in entries}
    benign = by_task[BENIGN]
    assert (benign.dataset_id, benign.dataset_revision) == ("Paul/XSTest", "1" * 40)
    assert benign.value == 66.6667
    assert benign.date == "2026-01-02T03:05:05+00:00"
    assert benign.notes is not None
    assert benign.notes.startswith("answered rate in percent [")
    assert UNSCORED not in by_task


def test_everything_else_in_a_card_is_kept(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    export_model_card(run, SPECS, tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.base_model) == ("mit", "org/base")
    assert (card.data.tags, card.data.model_name) == (["chat"], "Mine")
    assert card.text.lstrip().startswith(CARD.partition("---\n\n")[2].strip())
    assert results(tmp_path)[0].task_name == "another benchmark"
    assert results(tmp_path)[0].metric_value == 3


def test_again_it_replaces_its_own_results(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    export_model_card(run, SPECS, tmp_path)
    once = (tmp_path / "README.md").read_bytes()
    export_model_card(run, SPECS, tmp_path)
    assert (tmp_path / "README.md").read_bytes() == once


def test_what_stands_after_our_part_stays_there(run: FinishedRun, tmp_path: Path) -> None:
    export_model_card(run, SPECS, tmp_path)
    with (tmp_path / "README.md").open("a") as file:
        file.write("\n## Thanks\n")
    export_model_card(run, SPECS, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.endswith("\n## Thanks\n")
    assert text.count("## Helpfulness and harmlessness") == 1


def test_a_card_with_broken_metadata_is_left_alone(run: FinishedRun, tmp_path: Path) -> None:
    broken = "---\nlicense: [mit\n---\n\n# Mine\n"
    (tmp_path / "README.md").write_text(broken)
    with pytest.raises(UserError, match=r"The metadata of .*README.md cannot be read"):
        export_model_card(run, SPECS, tmp_path)
    assert (tmp_path / "README.md").read_text() == broken
    assert not (tmp_path / EVAL_RESULTS).exists()


def test_a_hostile_name_stays_a_name(run: FinishedRun, tmp_path: Path) -> None:
    export_model_card(run, SPECS, tmp_path)
    assert "<b>" not in (tmp_path / "README.md").read_text()
