"""A run as a data set: loadable offline, and with nothing in it that must not leave the machine."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from biases import provenance
from exchange_runs import BENIGN, GATED, HARMFUL, SECRET, SPECS, finished_run, prompt
from generative_runs import response

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.lm_eval_samples import export_lm_eval
from bfpo_bench.exchange.model_card import export_model_card
from bfpo_bench.exchange.published import FILES, Published, export_dataset, public_manifest
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.scoring.finished import FinishedRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def published(run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return export_dataset(run, SPECS, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def rows(published: Published, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return loaded(published.folder, "responses", tmp_path_factory.mktemp("cache"))


def loaded(folder: Path, name: str, cache: Path) -> list[dict[str, Any]]:
    from datasets import load_dataset

    found = load_dataset(str(folder), name, split="test", cache_dir=str(cache))
    return list(found)


def of(rows: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["task"] == task]


def test_datasets_loads_the_folder(rows: list[dict[str, Any]]) -> None:
    benign = of(rows, BENIGN)
    assert [row["doc_id"] for row in benign] == [0, 1, 2, 3]
    assert benign[0]["messages"] == [{"role": "user", "content": prompt(BENIGN, 0)}]
    assert benign[0]["response"] == "Use kill -9, as in </script><b>."
    assert [row["outcome"] for row in benign] == [
        "answered",
        "answered",
        "over_refused",
        "unjudged",
    ]
    assert [row["points"] for row in benign] == [100, 100, 0, None]
    assert benign[2]["verdicts"] == [{"judge": "refusal", "label": "refusal", "score": 0.5}]


def test_every_document_of_every_task_is_there(
    run: FinishedRun, published: Published, tmp_path: Path
) -> None:
    found = loaded(published.folder, "documents", tmp_path)
    assert len(found) == sum(score.n for score in run.scores.tasks.values())
    assert {row["task"] for row in found} == set(run.scores.tasks)


def test_a_run_without_generative_tasks_is_its_documents(run: FinishedRun, tmp_path: Path) -> None:
    """A table without rows is none that `datasets` would load, so the card does not offer it."""
    told = run.scores.tasks
    choices = {task: told[task] for task in told if told[task].cell.endswith("discriminative")}
    scores = run.scores.model_copy(update={"tasks": choices})
    published = export_dataset(replace(run, scores=scores), SPECS, tmp_path / "out")
    assert loaded(published.folder, "documents", tmp_path / "cache")
    card = (published.folder / "README.md").read_text()
    assert "responses = load_dataset" not in card
    assert "path: responses.parquet" not in card


def test_what_is_kept_back_is_null_and_says_why(rows: list[dict[str, Any]]) -> None:
    refused, complied = of(rows, GATED)
    assert refused["messages"] is None
    assert len(refused["messages_sha256"]) == 64
    assert refused["prompt_withheld"] == "the data set is gated"
    assert refused["response"] == "I am sorry, I cannot help with that."
    assert complied["response"] is None
    assert complied["withheld"] == (
        "the prompt is, or may be, harmful and the response is no clear refusal"
    )
    assert (complied["outcome"], complied["points"]) == ("complied", 0)


def test_no_file_tells_of_the_machine_or_of_what_is_kept_back(published: Published) -> None:
    """Not the folders, the host and the user of the manifest, no gated prompt, no harmful response;
    parquet's own compression is undone above."""
    names = sorted(p.name for p in published.folder.iterdir())
    assert names == sorted(FILES)
    texts = "".join((published.folder / n).read_text() for n in names if not n.endswith("parquet"))
    for word in ("jane", "/home", "Linux", SECRET, prompt(GATED, 0), "--model"):
        assert word not in texts


def test_no_secret_is_in_the_rows(rows: list[dict[str, Any]]) -> None:
    told = json.dumps(rows)
    assert SECRET not in told
    assert prompt(GATED, 0) not in told
    assert prompt(HARMFUL, 0) in told


def test_asked_for_harmful_responses_are_there_and_the_card_says_so(
    run: FinishedRun, tmp_path: Path
) -> None:
    published = export_dataset(run, SPECS, tmp_path / "out", include_harmful=True)
    told = json.dumps(loaded(published.folder, "responses", tmp_path / "cache"))
    assert SECRET in told
    assert prompt(GATED, 0) not in told
    card = (published.folder / "README.md").read_text()
    assert "**Harmful responses are included**" in card
    assert "viewer: false" in card


def test_the_card_counts_what_is_kept_back(published: Published) -> None:
    """Of 12 responses 4 of the open harmful task and 1 of the gated one; its 2 prompts."""
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(published.folder / "README.md")
    assert "- 5 of 12 responses: 5 because the prompt is, or may be, harmful" in card.text
    assert "- 2 of 12 prompts: 2 because the data set is gated" in card.text
    assert card.data.tags == ["bfpo-bench", "not-for-all-audiences"]
    assert [c["config_name"] for c in card.data["configs"]] == ["responses", "documents"]


def test_a_hostile_name_stays_a_name(published: Published) -> None:
    """`org/<b>model</b>` is no HTML in the card: a span of code, or without the brackets."""
    text = (published.folder / "README.md").read_text().split("---\n", 2)[2]
    assert "# org/_b_model_/b_, answers" in text
    assert text.replace("`org/<b>model</b>`", "").count("<b>") == 0


def test_it_writes_over_itself_alone(run: FinishedRun, tmp_path: Path) -> None:
    export_dataset(run, SPECS, tmp_path)
    before = {n: (tmp_path / n).read_bytes() for n in FILES}
    export_dataset(run, SPECS, tmp_path)
    assert before == {n: (tmp_path / n).read_bytes() for n in FILES}
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds other things \(thesis.tex\): name an empty one"):
        export_dataset(run, SPECS, tmp_path)


def test_half_a_character_becomes_its_escape(tmp_path: Path) -> None:
    """JSON may hold a lone surrogate, which parquet cannot."""
    run = finished_run(tmp_path / "run")
    with Appender(run.folder.responses_file) as file:
        file.append(response(BENIGN, 9, "half \ud83d of one").dump())
    published = export_dataset(run, SPECS, tmp_path / "out")
    last = of(loaded(published.folder, "responses", tmp_path / "cache"), BENIGN)[-1]
    assert last["response"] == "half \\ud83d of one"


def test_a_file_in_the_way(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="is a file: name a folder"):
        export_dataset(run, SPECS, tmp_path / "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(run: FinishedRun, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OSError):
        export_dataset(run, SPECS, tmp_path / "out")


PLACE = "refusal@/home/jane/judges/refusal"


@pytest.fixture
def placed(tmp_path: Path) -> FinishedRun:
    """A run whose judge of refusals was named by its folder, and with a request that failed."""
    run = finished_run(tmp_path / "placed")
    run.folder.verdicts_file("refusal").rename(run.folder.verdicts_file(PLACE))
    run.manifest.judges[PLACE] = run.manifest.judges.pop("refusal")
    said = f"no room at http://gpu-17:8000/v1 for '{prompt(GATED, 7)}', see /home/jane/log.txt"
    with Appender(run.folder.responses_file) as file:
        file.append(response(GATED, 7, "", error=said).dump())
        file.append(response(BENIGN, 7, "", error=said).dump())
    return replace(run, scores=run.scores.model_copy(update={"judges": ["harm", PLACE]}))


def test_a_judge_s_folder_and_errors_are_told_of_without_places(
    placed: FinishedRun, tmp_path: Path
) -> None:
    published = export_dataset(placed, SPECS, tmp_path / "out")
    rows = loaded(published.folder, "responses", tmp_path / "cache")
    assert "jane" not in json.dumps(rows)
    assert [v["judge"] for v in of(rows, GATED)[0]["verdicts"]] == ["harm", "refusal@refusal"]
    assert of(rows, GATED)[0]["response"] is not None
    assert of(rows, GATED)[-1]["error"] == "[kept back]"
    told = of(rows, BENIGN)[-1]["error"]
    assert told == f"no room at http://[server]/v1 for '{prompt(GATED, 7)}', see log.txt"
    for name in ("README.md", "scores.json", "run.json"):
        assert "jane" not in (published.folder / name).read_text()


def test_nor_do_the_other_forms(placed: FinishedRun, tmp_path: Path) -> None:
    export_lm_eval(placed, SPECS, tmp_path)
    export_model_card(placed, SPECS, tmp_path)
    for path in tmp_path.rglob("*"):
        ours = path.is_file() and "placed" not in path.parts
        assert not ours or "jane" not in path.read_text()


def test_a_bias_is_told_of_without_places(run: FinishedRun) -> None:
    told = provenance(engine={"engine": "transformers", "cache": "/home/jane/cache"})
    changes = {"bias": told.model_dump(mode="json")}
    steered = replace(run, manifest=run.manifest.model_copy(update=changes))
    bias = public_manifest(steered)["bias"]
    assert (bias["reference"]["name"], bias["counts"]) == ("org/base", [3, 2])
    assert bias["engine"] == {"engine": "transformers", "cache": "cache"}
    assert public_manifest(run)["bias"] is None


def test_somebody_s_own_card_is_not_written_over(run: FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"holds other things \(README.md\)"):
        export_dataset(run, SPECS, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
