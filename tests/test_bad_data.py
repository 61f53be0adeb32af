"""Data sets that are not as they should be: one sentence, and the other tasks go on."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Said, command
from shelf import use_hub

pytestmark = pytest.mark.usefixtures("stages_here")

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"
MODEL = SHARED / "hub" / "models" / "karpathy" / "stories260K"
GOOD = [{"prompt": f"Tell a story about {what}."} for what in ("a cat", "a dog", "the sea")]


@pytest.fixture
def own_hub(tmp_path: Path, hub: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub of the test's own: the folder of its data sets. `hub` only says that one can be.

    It is the hub of this process and of the stages that it starts, with caches of its own.
    """
    import datasets

    folder = tmp_path / "hub"
    (folder / "datasets").mkdir(parents=True)
    (folder / "models").mkdir()
    server, url = runpy.run_path(str(SHARED / "hub" / "serve.py"))["start"](folder)
    use_hub(url, tmp_path / "home" / "hub", monkeypatch)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home" / "datasets")
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    yield folder / "datasets"
    server.shutdown()


def put(folder: Path, name: str, rows: list[dict[str, Any]] | bytes) -> None:
    """Data set org/NAME with one split `test`: rows as JSON lines, or the bytes of a CSV file."""
    home = folder / "org" / name
    home.mkdir(parents=True)
    file = "test.csv" if isinstance(rows, bytes) else "test.jsonl"
    card = {
        "configs": [{"config_name": "default", "data_files": [{"split": "test", "path": file}]}]
    }
    (home / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")
    text = rows if isinstance(rows, bytes) else "\n".join(map(json.dumps, rows)).encode()
    (home / file).write_bytes(text)


def task(folder: Path, name: str, **metadata: Any) -> None:
    """Task bfpo_NAME over org/NAME, in the suite's folder."""
    config = {
        "task": f"bfpo_{name}",
        "dataset_path": f"org/{name}",
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "",
        "metadata": {
            "version": 1.0,
            "title": "A task",
            "cell": "helpfulness/generative",
            "family": name,
            "split": "test",
            "documents": 3,
            "prompt_tokens": 6,
            "source": "this test",
            "licence": "mit",
            "prompts": "benign",
            "judged_by": ["refusal"],
            "columns": ["prompt"],
            **metadata,
        },
    }
    (folder / "tasks").mkdir(exist_ok=True)
    (folder / "tasks" / f"bfpo_{name}.yaml").write_text(yaml.safe_dump(config))
    suite = {
        "name": "own",
        "version": 1,
        "title": "Own",
        "include_path": "tasks",
        "tasks": ["bfpo_*"],
        "decoding": {"max_new_tokens": 8},
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(suite))


def run(folder: Path, *more: str) -> Said:
    words = ("run", "--model", str(MODEL), "--suite", "own.yaml", "--engine", "transformers")
    return command(*words, *more, cwd=folder, cache=folder / "cache")


FAULTS: dict[str, tuple[Any, str]] = {
    "columns": ([{"question": "Why?"}], "prompt"),
    "rows": ([{"prompt": "", "id": 1}, {"prompt": "Why?", "id": 2}], "row 1 of 2"),
    "text": (b"prompt\nCaf\xe9 or tea?\n", "UTF-8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_alone_with_unusable_data_is_one_sentence(
    tmp_path: Path, own_hub: Path, fault: str
) -> None:
    rows, said = FAULTS[fault]
    put(own_hub, "bad", rows)
    task(tmp_path, "bad")
    done = run(tmp_path)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    sentence = done.err.strip().splitlines()[-1]
    assert "bfpo_bad" in sentence
    assert said in sentence


def test_a_data_set_that_is_gone_is_one_sentence(tmp_path: Path, own_hub: Path) -> None:
    task(tmp_path, "gone")
    done = run(tmp_path)
    assert done.code == 2
    assert "no data set org/gone on the hub" in done.err
    assert "renamed" in done.err


@pytest.mark.parametrize("fault", ["columns", "gone"])
def test_one_tasks_data_do_not_take_the_others_with_them(
    tmp_path: Path, own_hub: Path, fault: str
) -> None:
    """The good task is scored, the bad one named, the row partial, the exit code 3; once its data are
    mended the same command finishes the row."""
    put(own_hub, "good", GOOD)
    task(tmp_path, "good")
    task(tmp_path, "bad")
    if fault == "columns":
        put(own_hub, "bad", FAULTS["columns"][0])
    strict = run(tmp_path, "--strict")
    assert strict.code == 2
    assert "Traceback" not in strict.err
    done = run(tmp_path, "--json")
    assert done.code == 3, done.err
    scores = json.loads(done.out)[0]["scores"]
    assert (scores["faults"], scores["partial"]) == (["bfpo_bad"], True)
    assert scores["tasks"]["bfpo_good"]["value"] is not None
    assert scores["tasks"]["bfpo_bad"]["value"] is None
    assert "bfpo_bad is left out" in done.err
    if fault == "gone":
        put(own_hub, "bad", GOOD)
        mended = run(tmp_path, "--json")
        assert mended.code == 0, mended.err
        assert json.loads(mended.out)[0]["scores"]["partial"] is False


def lock(folder: Path) -> None:
    """Write a lock over the suite's data, mark it verified, and have the suite use it."""
    words = ("data", "lock", "--suite", "own.yaml", "--file", "data.lock.json")
    done = command(*words, cwd=folder, cache=folder / "cache")
    assert done.code == 0, done.err
    content = json.loads((folder / "data.lock.json").read_text())
    for entry in content["entries"].values():
        entry |= {"verified": True, "revision": None}
    (folder / "data.lock.json").write_text(json.dumps(content))
    suite = yaml.safe_load((folder / "own.yaml").read_text()) | {"data_lock": "data.lock.json"}
    (folder / "own.yaml").write_text(yaml.safe_dump(suite))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (GOOD[:2], "2 rows in place of 3"),
        (GOOD[::-1], "the same rows in another order"),
        ([*GOOD[:2], {"prompt": "Tell a story about a bear."}], "with other contents"),
    ],
)
def test_verified_data_that_changed_are_an_error_that_says_how(
    tmp_path: Path, own_hub: Path, rows: list[dict[str, str]], said: str
) -> None:
    """--allow-drift measures them all the same; the manifest and the key say so."""
    put(own_hub, "good", GOOD)
    task(tmp_path, "good")
    lock(tmp_path)
    assert run(tmp_path, "--out", "before").code == 0
    (own_hub / "org" / "good" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (own_hub / "org" / "good" / ".sha").write_text("b" * 40)
    refused = run(tmp_path)
    assert refused.code == 2, refused.out
    assert said in refused.err.replace("\n", " ")
    allowed = run(tmp_path, "--allow-drift", "--out", "after")
    assert allowed.code == 0, allowed.err
    manifests = [
        json.loads(next((tmp_path / out).glob("*/manifest.json")).read_text())
        for out in ("before", "after")
    ]
    assert said in manifests[1]["data"]["bfpo_good"]["drift"]
    assert manifests[0]["comparability_key"] != manifests[1]["comparability_key"]
    assert manifests[1]["comparability"]["data"]["bfpo_good"]["drift"]


def change(own_hub: Path, name: str, rows: list[dict[str, Any]], commit: str) -> None:
    (own_hub / "org" / name / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (own_hub / "org" / name / ".sha").write_text(commit * 40)


def test_a_task_that_failed_once_still_refuses_other_documents(
    tmp_path: Path, own_hub: Path
) -> None:
    """Answered; then its data were unusable; then they were others: the old answers are not passed off
    as answers to these."""
    put(own_hub, "good", GOOD)
    put(own_hub, "other", GOOD)
    task(tmp_path, "good")
    task(tmp_path, "other")
    assert run(tmp_path).code == 0
    change(own_hub, "other", [{"question": "Why?"}], "b")
    assert run(tmp_path).code == 3
    change(own_hub, "other", [{"prompt": f"Sing of {i}."} for i in range(3)], "c")
    done = run(tmp_path)
    assert done.code == 2
    assert "has changed since this run began" in done.err


def test_a_document_that_no_choice_answers_fails_its_task_alone(
    tmp_path: Path, own_hub: Path
) -> None:
    """The target of its second document is none of the choices, which lm-eval finds when it scores."""
    put(own_hub, "good", GOOD)
    task(tmp_path, "good")
    put(own_hub, "choice", [{"prompt": "Is it?", "answer": a} for a in ("yes", "perhaps")])
    task(tmp_path, "choice", cell="helpfulness/discriminative", metric="acc")
    file = tmp_path / "tasks" / "bfpo_choice.yaml"
    config = yaml.safe_load(file.read_text())
    config |= {
        "output_type": "multiple_choice",
        "doc_to_choice": ["yes", "no"],
        "doc_to_target": "{{['yes', 'no'].index(answer)}}",
        "metric_list": [{"metric": "acc"}],
    }
    file.write_text(yaml.safe_dump(config))
    done = run(tmp_path, "--json")
    assert done.code == 3, done.err
    scores = json.loads(done.out)[0]["scores"]
    assert scores["faults"] == ["bfpo_choice"]
    assert scores["tasks"]["bfpo_good"]["value"] is not None
