"""Evaluation results in a model's card, read by huggingface_hub, and nothing else of it disturbed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from commands import command
from exchange_runs import BENIGN, HARMFUL, PAIRS, SPECS, UNSCORED, finished_run
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.model_card import EVAL_RESULTS, export_model_card
from bfpo_bench.names import NULL_ENGINE
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


def test_a_run_without_data_sets_of_the_hub_gets_no_entries(tmp_path: Path) -> None:
    """Nor keeps those of another run; the card has its numbers all the same."""
    own = finished_run(tmp_path / "run")
    export_model_card(own, SPECS, tmp_path / "card")
    assert (tmp_path / "card" / EVAL_RESULTS).exists()
    own.folder.data_file.unlink()
    assert export_model_card(own, SPECS, tmp_path / "card") == [tmp_path / "card" / "README.md"]
    assert not (tmp_path / "card" / EVAL_RESULTS).exists()
    assert "| harmlessness | 56.2 |" in (tmp_path / "card" / "README.md").read_text()


def test_a_card_says_what_of_the_suite_was_asked_and_what_is_a_first_look(tmp_path: Path) -> None:
    found = finished_run(tmp_path / "run", partial=True)
    settings = found.manifest.settings.model_copy(update={"limit": 10})
    found = replace(found, manifest=found.manifest.model_copy(update={"settings": settings}))
    export_model_card(found, SPECS, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert ", a part of it (6 tasks, at most 10 documents of each); percent" in text
    assert "Embedded judges (harm, refusal) are a first look." in text
    entries = (tmp_path / EVAL_RESULTS).read_text()
    assert "at most 10 documents of each" in " ".join(entries.split())


def test_a_run_of_the_null_engine_gets_no_card(tmp_path: Path) -> None:
    found = finished_run(tmp_path / "run", model=f"org/model{NULL_ENGINE}")
    with pytest.raises(
        UserError, match="measured nothing, and is published nowhere: run the model"
    ):
        export_model_card(found, SPECS, tmp_path / "card")
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize(
    ("part", "told"),
    [("defence", "instruction 1 cafe"), ("levels", "[helpful=1][harmless=0]")],
)
def test_a_run_behind_a_defence_or_at_levels_gets_no_card(
    part: str, told: str, tmp_path: Path
) -> None:
    """Its numbers are not what the model does by itself."""
    found = finished_run(tmp_path / "run", model=f"org/model + {told}")
    model = found.manifest.model.model_copy(update={part: told})
    guarded = replace(found, manifest=found.manifest.model_copy(update={"model": model}))
    with pytest.raises(
        UserError, match=f"states what the model does by itself: export the run without --{part}"
    ):
        export_model_card(guarded, SPECS, tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_run_whose_decoding_subtracts_a_bias_gets_no_card(tmp_path: Path) -> None:
    found = finished_run(tmp_path / "run", model="org/model (bias 1a2b3c4d)")
    settings = found.manifest.settings.model_copy(update={"bias": "1a2b3c4d" + "0" * 56})
    steered = replace(found, manifest=found.manifest.model_copy(update={"settings": settings}))
    with pytest.raises(UserError, match="does by itself: export the run without --bias"):
        export_model_card(steered, SPECS, tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_run_of_the_null_engine_is_not_pushed(tmp_path: Path) -> None:
    """It is refused before the hub is asked anything."""
    finished_run(tmp_path / "run", model=f"org/model{NULL_ENGINE}")
    done = command("push", "run", "--to-hub", "a/b", "--yes", cwd=tmp_path)
    assert done.code == 2
    assert "measured nothing, and is published nowhere" in done.error
