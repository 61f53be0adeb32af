"""A report's responses as the page finds them: an index of all, and texts where it points."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hostile import CORPUS
from report_data import read_index, read_texts

from benchmarks.made_runs import answer, write_run
from bfpo_bench.leaderboard.report import index
from bfpo_bench.leaderboard.report.chunks import ChunkWriter
from bfpo_bench.leaderboard.report.index import SCRIPTS, STYLES, write_responses
from bfpo_bench.leaderboard.report.merged import FAILED, FOLDED
from bfpo_bench.scoring.finished import FinishedRun, read_finished

STATIC = Path(index.__file__).parent / "static"
HARMFUL, BENIGN = "bfpo_advbench", "bfpo_xstest_safe"
UNHEARD: Callable[[int, int], None] = lambda done, total: None  # noqa: E731


def harm(label: str) -> dict[str, Any]:
    return {"harm": {"label": label}}


@pytest.fixture
def runs(tmp_path: Path) -> list[FinishedRun]:
    """Of document 1 both have an answer, of 0 and 2 one each."""
    a = [
        (answer(HARMFUL, 1, "one?", "a1"), harm("harmful")),
        (answer(HARMFUL, 0, "zero?", "a0"), harm("harmless")),
        (answer(BENIGN, 0, "hello?", "a"), {"refusal": {"label": "compliance"}}),
    ]
    b = [
        (answer(HARMFUL, 2, "two?", "b2", error="no memory"), {}),
        (answer(HARMFUL, 1, "one?", "b1"), harm("harmless")),
    ]
    return [
        write_run(tmp_path / "a", "org/a", [HARMFUL, BENIGN], a),
        write_run(tmp_path / "b", "org/b", [HARMFUL], b),
    ]


def test_rows_lie_by_task_document_and_run(runs: list[FinishedRun], tmp_path: Path) -> None:
    """Documents 0, 1, 2 of the first task and 0 of the second begin at rows 0, 1, 3 and 4."""
    manifest = write_responses(runs, tmp_path / "out", UNHEARD).manifest
    found = read_index(tmp_path / "out", manifest)
    assert found["doc_id"] == [0, 1, 2, 0]
    assert found["first"] == [0, 1, 3, 4]
    assert found["run"] == [0, 0, 1, 1, 0]
    assert [manifest["tasks"][t]["name"] for t in found["task"]] == [HARMFUL] * 3 + [BENIGN]
    assert (manifest["rows"], manifest["documents"]) == (5, 4)
    texts = read_texts(tmp_path / "out", manifest)
    assert [[r["text"] for r in d["rows"]] for d in texts] == [["a0"], ["a1", "b1"], ["b2"], ["a"]]
    assert [len(d["prompts"]) for d in texts] == [1, 1, 1, 1]


def test_samples_of_a_document_lie_together_and_runs_within_them(tmp_path: Path) -> None:
    """Two samples of each of two documents, of two runs: document, then sample, then run."""
    keys = [(doc_id, sample) for doc_id in (1, 0) for sample in (1, 0)]
    runs = [
        write_run(
            tmp_path / name,
            name,
            [BENIGN],
            [(answer(BENIGN, d, "?", f"{d}{s}{name}", sample=s), {}) for d, s in keys],
        )
        for name in "ab"
    ]
    manifest = write_responses(runs, tmp_path / "out", UNHEARD).manifest
    assert read_index(tmp_path / "out", manifest)["sample"] == [0, 0, 1, 1] * 2
    texts = [[r["text"] for r in d["rows"]] for d in read_texts(tmp_path / "out", manifest)]
    assert texts == [["00a", "00b", "01a", "01b"], ["10a", "10b", "11a", "11b"]]


def test_the_index_says_what_the_runs_say(runs: list[FinishedRun], tmp_path: Path) -> None:
    manifest = write_responses(runs, tmp_path / "out", UNHEARD).manifest
    found = read_index(tmp_path / "out", manifest)
    names, absent = manifest["outcomes"], manifest["absent"]
    assert [names[o] for o in found["outcome"]] == [
        "safe",
        "complied",
        "safe",
        "unjudged",
        "answered",
    ]
    assert manifest["judges"] == ["harm", "refusal"]
    labels = manifest["labels"]
    assert [labels[c] if c != absent else None for c in found["label_0"]] == [
        "harmless",
        "harmful",
        "harmless",
        None,
        None,
    ]
    assert [labels[c] if c != absent else None for c in found["label_1"]][4] == "compliance"
    assert found["value"][:3] == [100.0, 0.0, 100.0]


def test_what_may_do_harm_is_marked(runs: list[FinishedRun], tmp_path: Path) -> None:
    """An answer that a judge calls harmful, and an unjudged one to a harmful prompt."""
    manifest = write_responses(runs, tmp_path / "out", UNHEARD).manifest
    assert read_index(tmp_path / "out", manifest)["flags"] == [0, FOLDED, 0, FAILED + FOLDED, 0]


def test_a_benign_answer_that_a_judge_calls_harmful_is_marked(tmp_path: Path) -> None:
    said = {"refusal": {"label": "compliance"}, **harm("harmful")}
    run = write_run(tmp_path / "a", "m", [BENIGN], [(answer(BENIGN, 0, "?", "Hm."), said)])
    manifest = write_responses([run], tmp_path / "out", UNHEARD).manifest
    assert read_index(tmp_path / "out", manifest)["flags"] == [FOLDED]


def test_texts_lie_in_the_chunk_that_the_index_names(
    runs: list[FinishedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "ChunkWriter", partial(ChunkWriter, limit=1))
    data = write_responses(runs, tmp_path / "out", UNHEARD)
    assert read_index(tmp_path / "out", data.manifest)["chunk"] == [0, 1, 2, 3]
    assert len(read_texts(tmp_path / "out", data.manifest)) == 4
    assert data.files == tuple(
        f"data/{name}.js" for name in (*(f"chunk-0000{n}" for n in range(4)), "index")
    )


def test_progress_is_told_to_the_end(runs: list[FinishedRun], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_responses(runs, tmp_path / "out", lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)


def test_runs_of_one_model_are_called_by_their_ids(runs: list[FinishedRun], tmp_path: Path) -> None:
    """And two folders of one run by a number besides, for one cannot be filtered without it."""
    again = [runs[0], read_finished(runs[0].folder.path), runs[1]]
    named = write_responses(again, tmp_path / "out", UNHEARD).manifest["runs"]
    short = runs[0].run_id[-8:]
    assert [run["name"] for run in named] == [f"org/a ({short})", f"org/a ({short}-2)", "org/b"]
    assert len({run["id"] for run in named}) == 3


def test_a_folder_that_is_there_already_is_left_alone(
    runs: list[FinishedRun], tmp_path: Path
) -> None:
    (tmp_path / "out" / "data").mkdir(parents=True)
    with pytest.raises(FileExistsError):
        write_responses(runs, tmp_path / "out", UNHEARD)


def test_no_responses_are_an_empty_index(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "m", [BENIGN], [])
    data = write_responses([run], tmp_path / "out", UNHEARD)
    assert (data.manifest["rows"], data.manifest["chunks"]) == (0, 0)
    assert read_index(tmp_path / "out", data.manifest)["first"] == []


def test_hostile_texts_come_through_and_no_file_holds_them_bare(tmp_path: Path) -> None:
    """Scripts are base64 alone: no text can end them, or be read as code."""
    texts = [text for text in CORPUS if len(text) < 5000]
    answers = [
        (answer(BENIGN, n, text, text), {"refusal": {"label": "compliance", "raw": text}})
        for n, text in enumerate(texts)
    ]
    run = write_run(tmp_path / "a", "m", [BENIGN], answers)
    manifest = write_responses([run], tmp_path / "out", UNHEARD).manifest
    found = read_texts(tmp_path / "out", manifest)
    assert len(found) == len(texts)
    for document, text in zip(found, texts, strict=True):
        told = document["prompts"][0]["messages"][0]["content"]
        assert told == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_scripts_and_styles_are_there_and_none_other() -> None:
    found = {f"responses/{file.name}" for file in (STATIC / "responses").iterdir()}
    assert found == {*SCRIPTS, *STYLES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_of_data(name: str) -> None:
    text = (STATIC / name).read_text()
    makers = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b"
    )
    assert not re.search(makers, text)
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|^import ", text, re.M)
