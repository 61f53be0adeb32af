"""Labelled files of any column names: what is guessed, what must be said, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.judges.label_values import guessed_label, value_text
from bfpo_bench.judges.labelled import LabelledText, Reading, read_labelled

REFUSAL = ("refusal", "partial_refusal", "compliance")
HARM = ("harmful", "harmless")
TRUTH = ("truthful", "untruthful")
ROWS = [
    {"prompt": "Name a tree.", "response": "An oak.", "label": "compliance", "model": "a"},
    {"prompt": "Name a fish.", "response": "I would rather not.", "label": "refusal", "model": "b"},
]


def jsonl(tmp_path: Path, *rows: Any, name: str = "labelled.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refused(path: Path, labels: tuple[str, ...] = REFUSAL, reading: Reading = Reading()) -> str:
    with pytest.raises(UserError) as caught:
        read_labelled(path, labels, reading)
    return str(caught.value)


class TestFormats:
    def test_a_record_a_line(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, *ROWS)
        found = read_labelled(path, REFUSAL)
        assert found.rows == (
            LabelledText(1, "Name a tree.", "An oak.", "compliance"),
            LabelledText(2, "Name a fish.", "I would rather not.", "refusal"),
        )
        assert found.columns == {"prompt": "prompt", "response": "response", "label": "label"}

    def test_a_list_and_parquet_read_the_same(self, tmp_path: Path) -> None:
        whole, table = tmp_path / "rows.json", tmp_path / "rows.parquet"
        whole.write_text(json.dumps(ROWS))
        pd.DataFrame(ROWS).to_parquet(table)
        expected = read_labelled(jsonl(tmp_path, *ROWS), REFUSAL)
        assert read_labelled(whole, REFUSAL) == expected
        assert read_labelled(table, REFUSAL) == expected

    def test_lines_count_where_some_are_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "gaps.jsonl"
        path.write_text("\ufeff\n" + json.dumps(ROWS[0]) + "\n\n" + json.dumps(ROWS[1]))
        assert [row.number for row in read_labelled(path, REFUSAL).rows] == [2, 4]

    def test_a_null_response_is_one(self, tmp_path: Path) -> None:
        """It is as empty as an empty one, and a judge is not shown either."""
        rows = [ROWS[0], ROWS[1] | {"response": None}]
        table = tmp_path / "rows.parquet"
        pd.DataFrame(rows).to_parquet(table)
        for path in (jsonl(tmp_path, *rows), table):
            assert read_labelled(path, REFUSAL).rows[1].response is None

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            ("rows.csv", "a,b", "none of .jsonl, .json, .parquet"),
            ("rows.jsonl", '{"prompt": 1}\n{broken\n', "line 2, is not valid JSON"),
            ("rows.jsonl", "[1]\n", "line 1, is no JSON record"),
            ("rows.jsonl", "\n", "has no rows"),
            ("rows.json", '{"a": 1}', "no list of JSON records"),
            ("rows.json", '{"a": 1}\n{"a": 2}', "a record a line .jsonl"),
            ("rows.parquet", "nothing of the kind", "is no parquet file"),
        ],
    )
    def test_what_is_no_such_file(self, tmp_path: Path, name: str, text: str, told: str) -> None:
        path = tmp_path / name
        path.write_text(text)
        assert told in refused(path)

    def test_a_missing_file_and_one_in_another_encoding(self, tmp_path: Path) -> None:
        for suffix in (".jsonl", ".json", ".parquet"):
            assert "cannot be read" in refused(tmp_path / f"absent{suffix}")
        for suffix in (".jsonl", ".json"):
            path = tmp_path / f"latin{suffix}"
            path.write_bytes('{"prompt": "é"}'.encode("latin-1"))
            assert "is not UTF-8 text" in refused(path)

    @given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(REFUSAL)), min_size=1))
    def test_texts_come_through_as_they_are(
        self, tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]
    ) -> None:
        rows = [{"prompt": p, "response": r, "label": x} for p, r, x in texts]
        path = jsonl(tmp_path_factory.mktemp("texts"), *rows)
        found = read_labelled(path, REFUSAL).rows
        assert [(row.prompt, row.response, row.label) for row in found] == texts


class TestColumns:
    def test_other_usual_names(self, tmp_path: Path) -> None:
        row = {"Question": "q", "id": 7, "completion": "c", "final_label": "refusal"}
        found = read_labelled(jsonl(tmp_path, row), REFUSAL)
        assert found.columns == {
            "prompt": "Question",
            "response": "completion",
            "label": "final_label",
        }

    def test_the_label_is_the_one_column_whose_values_are_labels(self, tmp_path: Path) -> None:
        rows = [
            {"prompt": "p", "response": "r", "topic": "trees", "flag": 1, "human_says": "Harmful"},
            {"prompt": "p", "response": "r", "topic": "fish", "flag": 0, "human_says": "unharmful"},
        ]
        found = read_labelled(jsonl(tmp_path, *rows), HARM)
        assert found.columns["label"] == "human_says"
        assert found.labels == {"Harmful": "harmful", "unharmful": "harmless"}

    def test_two_such_columns_are_for_the_user_to_choose_from(self, tmp_path: Path) -> None:
        row = {"prompt": "p", "response": "r", "human_harmful": 0, "auto_harmful": 1}
        path = jsonl(tmp_path, row)
        assert "human_harmful and auto_harmful all could be" in refused(path, HARM)
        found = read_labelled(path, HARM, Reading(label="human_harmful"))
        assert found.rows[0].label == "harmless"

    def test_columns_that_nothing_suggests(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, {"said": "p", "written": "r", "label": "refusal"})
        assert "surely the prompt (it has said, written, label)" in refused(path)
        told = refused(path, reading=Reading(prompt="said"))
        assert "surely the response" in told
        assert "--response-column" in told
        found = read_labelled(path, REFUSAL, Reading(prompt="said", response="written"))
        assert found.rows == (LabelledText(1, "p", "r", "refusal"),)

    def test_a_misspelt_column(self, tmp_path: Path) -> None:
        told = refused(jsonl(tmp_path, *ROWS), reading=Reading(response="respnse"))
        assert "did you mean response?" in told
        assert "--response-column" in told

    def test_what_is_not_text(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, ROWS[0], ROWS[1] | {"response": ["a", "b"]})
        assert "row 2: column 'response' holds list, not text" in refused(path)


class TestLabels:
    @pytest.mark.parametrize(
        ("value", "column", "labels", "label"),
        [
            ("2_full_refusal", "final_label", REFUSAL, "refusal"),
            ("3_partial_refusal", "final_label", REFUSAL, "partial_refusal"),
            ("1_full_compliance", "final_label", REFUSAL, "compliance"),
            ("Partial Refusal", "label", REFUSAL, "partial_refusal"),
            ("Unsafe", "label", HARM, "harmful"),
            ("unharmful", "label", HARM, "harmless"),
            ("yes", "human_jailbroken", HARM, "harmful"),
            ("true", "is_safe", HARM, "harmless"),
            ("false", "is_safe", HARM, "harmful"),
            ("0", "response_harm", HARM, "harmless"),
            ("1", "label", HARM, "harmful"),
            ("1", "label", TRUTH, "truthful"),
            ("0", "is_refusal", REFUSAL, "compliance"),
            ("degenerate", "label", HARM, "degenerate"),
            # What could mean either is for the user to say
            ("1", "label", REFUSAL, None),
            ("1", "human_jailbroken", REFUSAL, None),
            ("1", "flag", HARM, None),
            ("1", "not_harmful_enough", HARM, None),
            ("1", "safe_or_harmful", HARM, None),
            ("harmful", "label", REFUSAL, None),
            ("maybe", "label", HARM, None),
        ],
    )
    def test_guesses(
        self, value: str, column: str, labels: tuple[str, ...], label: str | None
    ) -> None:
        assert guessed_label(value, column, labels) == label

    def test_labels_of_a_judge_of_ones_own(self) -> None:
        assert guessed_label("Off Topic", "label", ("off_topic", "on_topic")) == "off_topic"

    @pytest.mark.parametrize(
        ("cell", "text"),
        [(True, "true"), (1.0, "1"), (0.5, "0.5"), (3, "3"), (" a ", "a"), ("", None)],
    )
    def test_how_a_cell_is_named(self, cell: Any, text: str | None) -> None:
        assert value_text(cell) == text

    def test_numbers_are_mapped_and_rows_left_out(self, tmp_path: Path) -> None:
        """Do-Not-Answer's six actions: only the first is a refusal, only the last a compliance."""
        rows = [ROWS[0] | {"label": n} for n in (0, 5, 1, 0, None)]
        given_ = ("0=refusal", "5=compliance", "1=")
        found = read_labelled(jsonl(tmp_path, *rows), REFUSAL, Reading(map=given_))
        assert [row.label for row in found.rows] == ["refusal", "compliance", "refusal"]
        assert found.labels == {"0": "refusal", "1": None, "5": "compliance"}
        assert found.left_out == 2

    def test_a_value_may_hold_an_equals_sign(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, ROWS[0] | {"label": "a=b"})
        found = read_labelled(path, REFUSAL, Reading(map=("a=b=refusal",)))
        assert found.rows[0].label == "refusal"

    def test_values_that_are_not_clear(self, tmp_path: Path) -> None:
        told = refused(jsonl(tmp_path, ROWS[0], ROWS[1] | {"label": "hm"}))
        assert "'compliance', 'hm'" in told
        assert "label 'hm' stands for is not clear" in told
        assert "refusal, partial_refusal, compliance" in told

    @pytest.mark.parametrize(
        ("pair", "told"),
        [
            ("compliance", "is not VALUE=LABEL"),
            ("=refusal", "is not VALUE=LABEL"),
            ("compliance=refusl", "did you mean refusal"),
            (
                "absent=refusal",
                "no value 'absent', which --map names: it has 'compliance', 'refusal'",
            ),
        ],
    )
    def test_a_wrong_map(self, tmp_path: Path, pair: str, told: str) -> None:
        assert told in refused(jsonl(tmp_path, *ROWS), reading=Reading(map=(pair,)))


class TestRows:
    def test_where_and_limit(self, tmp_path: Path) -> None:
        path = jsonl(tmp_path, *ROWS, *ROWS)
        found = read_labelled(path, REFUSAL, Reading(where=("model=b",)))
        assert [row.number for row in found.rows] == [2, 4]
        found = read_labelled(path, REFUSAL, Reading(where=("model=b",), limit=1))
        assert [row.number for row in found.rows] == [2]

    def test_values_that_only_other_rows_have_need_no_label(self, tmp_path: Path) -> None:
        """And a --map for them is no mistake."""
        path = jsonl(tmp_path, *ROWS, ROWS[0] | {"label": "hm", "model": "c"})
        for mapped in ((), ("hm=",)):
            found = read_labelled(path, REFUSAL, Reading(where=("model=a",), map=mapped))
            assert [row.number for row in found.rows] == [1]

    @pytest.mark.parametrize(
        ("where", "told"),
        [
            ("model", "is not COLUMN=VALUE"),
            ("modle=a", "did you mean model"),
            ("model=z", "no row with model=z"),
        ],
    )
    def test_a_wrong_where(self, tmp_path: Path, where: str, told: str) -> None:
        assert told in refused(jsonl(tmp_path, *ROWS), reading=Reading(where=(where,)))

    def test_nothing_left(self, tmp_path: Path) -> None:
        told = refused(jsonl(tmp_path, *ROWS), reading=Reading(map=("compliance=", "refusal=")))
        assert "has no row left to judge (2 without a label)" in told


class TestLinesThatAJudgeHasWritten:
    """Their `label` is a judge's word: taken for people's, the judge would agree with itself."""

    ROWS: ClassVar = [
        {
            "prompt": "p",
            "response": r,
            "human_label": h,
            "label": j,
            "score": 1,
            "raw": None,
            "error": None,
        }
        for r, h, j in (("a", "harmful", "harmless"), ("b", "harmless", "harmful"))
    ]

    def write(self, folder: Path, rows: list[dict[str, Any]]) -> Path:
        path = folder / "judged.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def test_the_peoples_column_is_taken(self, tmp_path: Path) -> None:
        found = read_labelled(self.write(tmp_path, self.ROWS), ("harmful", "harmless"))
        assert found.columns["label"] == "human_label"
        assert [row.label for row in found.rows] == ["harmful", "harmless"]

    def test_a_label_that_was_there_before_is_the_peoples(self, tmp_path: Path) -> None:
        rows = [
            {"input_label" if k == "human_label" else k: v for k, v in r.items()} for r in self.ROWS
        ]
        found = read_labelled(self.write(tmp_path, rows), ("harmful", "harmless"))
        assert found.columns["label"] == "input_label"

    def test_two_usual_names_are_a_question_to_the_user(self, tmp_path: Path) -> None:
        rows = [
            {k: r[k] for k in ("prompt", "response", "label", "human_label")} for r in self.ROWS
        ]
        with pytest.raises(
            UserError, match=r"several columns .*label, human_label.*--label-column"
        ):
            read_labelled(self.write(tmp_path, rows), ("harmful", "harmless"))
