"""The judge of verifiable instructions: labels, what it keeps, and what it cannot say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sentences import sentence_model

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.load import load_judge

IFEVAL = Path(__file__).resolve().parents[2] / ".." / "shared/hub/datasets/google/IFEval/data"
REQUEST = "What the judge is not shown."
JUDGE = load_judge("ifeval")
KEEP = ("key", "prompt", "instruction_id_list", "kwargs")

DOC: dict[str, Any] = {
    "key": 7,
    "prompt": "Name two rivers, without commas and in lower case.",
    "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"],
    "kwargs": [{}, {}],
}
COUNTING = DOC | {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_sentences"],
    "kwargs": [{}, {"relation": "at least", "num_sentences": 2}],
}


def find(answer: str, document: dict[str, Any] | None = DOC) -> Finding:
    return JUDGE.finder()(Item(REQUEST, answer, document))


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("the rhine and the danube are two long rivers", "followed"),
        ("the rhine, the danube are two long rivers", "not_followed"),
        ("The Rhine and the Danube are two long rivers", "not_followed"),
        ("The Rhine, the Danube", "not_followed"),
        # Followed without the first line, but only strictly counts
        ("Sure!\nthe rhine and the danube are two long rivers", "not_followed"),
    ],
)
def test_followed_means_all_of_them_strictly(answer: str, label: str) -> None:
    assert find(answer).label == label


def test_upstreams_four_metrics_are_kept() -> None:
    found = find("Sure!\nthe rhine and the danube are two long rivers")
    assert found.error is None
    assert found.raw is not None
    assert json.loads(found.raw) == {
        "prompt_level_strict_acc": False,
        "inst_level_strict_acc": [True, False],
        "prompt_level_loose_acc": True,
        "inst_level_loose_acc": [True, True],
    }


def test_with_the_sentence_model_sentences_are_counted(tmp_path: Path) -> None:
    with sentence_model(tmp_path, there=True):
        assert find("It is one. It is two.", COUNTING).label == "followed"
        assert find("It is one.", COUNTING).label == "not_followed"


@pytest.mark.parametrize("answer", ["It is one. It is two.", "No, no, no."])
def test_without_it_the_document_is_unjudged_with_a_hint(tmp_path: Path, answer: str) -> None:
    """Whether or not its other instruction was followed."""
    with sentence_model(tmp_path, there=False):
        found = find(answer, COUNTING)
    assert (found.label, found.raw) == ("unjudged", None)
    assert found.error == (
        "length_constraints:number_sentences cannot be checked without NLTK's punkt_tab: fetch it "
        "with `bfpo-bench data pull` or `python -m nltk.downloader punkt_tab`"
    )


def test_a_response_that_was_stored_without_its_document_is_unjudged() -> None:
    found = find("the rhine and the danube", None)
    assert found == Finding("unjudged", error="the response was stored without its document")


@pytest.mark.skipif(not IFEVAL.is_dir(), reason="needs google/IFEval in ../shared/hub")
@pytest.mark.parametrize("there", [True, False])
def test_it_says_what_lm_evals_metric_says_of_every_real_document(
    tmp_path: Path, there: bool
) -> None:
    """As lm-eval would have it from a task that stores KEEP; 64 documents need the sentence model."""
    import random

    from lm_eval.tasks.ifeval.utils import process_results

    labels = {True: "followed", False: "not_followed"}
    answers = (
        "HERE IS AN ANSWER WITHOUT A SINGLE COMMA",
        "here is one in lower case. and one more.",
    )
    unjudged = 0
    with sentence_model(tmp_path, there=there):
        for row in pq.read_table(IFEVAL / "train.parquet").to_pylist():
            stored = json.loads(json.dumps({key: row[key] for key in KEEP}))
            for answer in answers:
                found = find(answer, stored)
                if found.label == "unjudged":
                    unjudged += 1
                    continue
                random.seed(0)  # upstream draws a letter where it understands none
                theirs = process_results(row, [answer])
                assert found.label == labels[theirs["prompt_level_strict_acc"]], row["key"]
                assert json.loads(found.raw or "") == theirs
    assert unjudged == (0 if there else 64 * len(answers))
