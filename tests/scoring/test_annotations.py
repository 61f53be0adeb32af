"""Reading annotations: three formats, one meaning, and a sentence for everything else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.scoring.annotations import Annotation, Pairing, by_pairing, read_annotations

RECORD = {
    "instruction": "Name a flower.",
    "output_1": "A rose.",
    "generator_1": "gpt4_1106_preview",
    "output_2": "Daisy",
    "generator_2": "mine",
    "annotator": "judge",
    "preference": 1.75,
}
ANNOTATION = Annotation("Name a flower.", "gpt4_1106_preview", "mine", "judge", 7, 5, 1.75)


def lines(*records: object, ascii_: bool = True) -> bytes:
    return "".join(json.dumps(r, ensure_ascii=ascii_) + "\n" for r in records).encode()


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "annotations"


def without(*names: str) -> dict[str, Any]:
    return {k: v for k, v in RECORD.items() if k not in names}


class TestFormats:
    def test_a_json_array(self, file: Path) -> None:
        file.write_text(json.dumps([RECORD, RECORD], indent=1))
        assert read_annotations(file) == [ANNOTATION] * 2

    def test_json_lines_with_blank_ones_and_without_a_last_line_break(self, file: Path) -> None:
        file.write_bytes(lines(RECORD) + b"\n  \r\n" + lines(RECORD).rstrip())
        assert read_annotations(file) == [ANNOTATION] * 2

    def test_parquet(self, file: Path) -> None:
        pq.write_table(pa.Table.from_pylist([RECORD, RECORD]), file)
        assert read_annotations(file) == [ANNOTATION] * 2

    def test_a_byte_order_mark_is_no_part_of_the_json(self, file: Path) -> None:
        file.write_bytes(b"\xef\xbb\xbf" + lines(RECORD))
        assert read_annotations(file) == [ANNOTATION]

    def test_line_separators_within_a_text_end_no_line(self, file: Path) -> None:
        text = "one\u2028two\x0bthree\x85four"
        file.write_bytes(lines(RECORD | {"output_2": text}, ascii_=False))
        assert read_annotations(file)[0].model_length == len(text)

    def test_lengths_may_stand_for_outputs(self, file: Path) -> None:
        """As parquet with a missing value gives them: 2104.0 is a number of characters."""
        lengths = {"output_1_chars": 2104.0, "output_2_chars": 12}
        file.write_bytes(lines(without("output_1", "output_2") | lengths))
        (found,) = read_annotations(file)
        assert (found.baseline_length, found.model_length) == (2104, 12)

    def test_an_output_counts_before_its_length(self, file: Path) -> None:
        file.write_bytes(lines(RECORD | {"output_1_chars": 99}))
        assert read_annotations(file)[0].baseline_length == 7

    def test_lengths_are_characters_not_bytes(self, file: Path) -> None:
        file.write_bytes(lines(RECORD | {"output_2": "né"}, ascii_=False))
        assert read_annotations(file)[0].model_length == 2

    @pytest.mark.parametrize("annotator", [None, ""])
    def test_an_annotator_may_be_left_out(self, file: Path, annotator: str | None) -> None:
        file.write_bytes(lines(without("annotator"), RECORD | {"annotator": annotator}))
        assert [a.annotator for a in read_annotations(file)] == [None, None]

    @pytest.mark.parametrize("preference", [None, math.nan, -1, 3, "model", True, {"a": 1}])
    def test_an_invalid_preference_is_kept_as_none(self, file: Path, preference: object) -> None:
        file.write_bytes(lines(RECORD | {"preference": preference}))
        assert read_annotations(file)[0].preference is None

    def test_0_is_a_draw(self, file: Path) -> None:
        file.write_bytes(lines(RECORD | {"preference": 0}))
        assert read_annotations(file)[0].preference == 1.5


class TestRefusals:
    def test_no_such_file(self, tmp_path: Path) -> None:
        said = refusal(tmp_path / "none.json")
        assert "none.json cannot be read (no such file or directory)" in said

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "is a directory" in refusal(tmp_path)

    @pytest.mark.parametrize("content", [b"", b" \n\n", b"[]", b"\xef\xbb\xbf"])
    def test_nothing_in_it(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        assert "holds no annotations" in refusal(file)

    def test_not_json(self, file: Path) -> None:
        file.write_text("instruction,preference\nName a flower.,2\n")
        assert "annotations, line 1 is not JSON" in refusal(file)

    def test_a_torn_line_is_named(self, file: Path) -> None:
        file.write_bytes(lines(RECORD, RECORD) + b'{"instruction": "Na')
        assert "annotations, line 3 is not JSON" in refusal(file)

    def test_a_torn_array(self, file: Path) -> None:
        file.write_bytes(json.dumps([RECORD]).encode()[:-3])
        assert "annotations is not JSON" in refusal(file)

    def test_bytes_that_are_no_utf_8_name_their_line(self, file: Path) -> None:
        file.write_bytes(lines(RECORD) + b'{"instruction": "\xff"}\n')
        assert "line 2 is not JSON" in refusal(file)

    def test_json_nested_too_deep(self, file: Path) -> None:
        file.write_bytes(b"[" * 200_000)
        assert "is not JSON" in refusal(file)

    def test_torn_parquet(self, file: Path) -> None:
        pq.write_table(pa.Table.from_pylist([RECORD]), file)
        file.write_bytes(file.read_bytes()[:-20])
        assert "is not whole parquet" in refusal(file)

    def test_a_record_that_is_none(self, file: Path) -> None:
        file.write_text(json.dumps([RECORD, 3]))
        assert "record 2 is no record of fields" in refusal(file)

    def test_lacking_fields_are_named_with_their_record(self, file: Path) -> None:
        file.write_text(json.dumps([RECORD, without("output_1", "preference")]))
        assert "record 2 lacks preference, output_1 (or output_1_chars):" in refusal(file)

    def test_a_lacking_column_of_parquet(self, file: Path) -> None:
        pq.write_table(pa.Table.from_pylist([without("generator_2")]), file)
        assert "row 1 lacks generator_2" in refusal(file)

    @pytest.mark.parametrize("name", ["instruction", "output_1", "output_2", "generator_2"])
    @pytest.mark.parametrize("value", [None, 3, ["a"]])
    def test_a_text_that_is_none(self, file: Path, name: str, value: object) -> None:
        file.write_bytes(lines(RECORD, RECORD | {name: value}))
        assert f"line 2: {name} is {json.dumps(value)}, which is not text" in refusal(file)

    @pytest.mark.parametrize("value", [-1, 2.5, math.nan, math.inf, "12", None, True, 10**30])
    def test_a_length_that_is_none(self, file: Path, value: object) -> None:
        file.write_bytes(lines(without("output_1") | {"output_1_chars": value}))
        assert "line 1: output_1_chars is" in refusal(file)


def test_one_file_may_hold_several_models_baselines_and_annotators(file: Path) -> None:
    other = RECORD | {"generator_2": "other"}
    file.write_bytes(lines(RECORD, other, RECORD | {"annotator": "b"}, RECORD))
    groups = by_pairing(read_annotations(file))
    assert {pairing: len(group) for pairing, group in groups.items()} == {
        Pairing("mine", "gpt4_1106_preview", "judge"): 2,
        Pairing("other", "gpt4_1106_preview", "judge"): 1,
        Pairing("mine", "gpt4_1106_preview", "b"): 1,
    }


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
RECORDS = st.fixed_dictionaries(
    {name: TEXTS for name in ("instruction", "output_1", "output_2", "generator_1", "generator_2")}
    | {
        "annotator": st.none() | TEXTS,
        "preference": st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, -1.0, math.nan]) | st.floats(1, 2),
    }
)


def expected(record: dict[str, Any]) -> Annotation:
    preference = record["preference"]
    valid = 1 <= preference <= 2
    return Annotation(
        record["instruction"],
        record["generator_1"],
        record["generator_2"],
        record["annotator"] or None,
        len(record["output_1"]),
        len(record["output_2"]),
        1.5 if preference == 0 else preference if valid else None,
    )


# The one file that each example overwrites is all that the examples share
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, min_size=1, max_size=5), st.booleans())
def test_all_formats_say_the_same(file: Path, records: list[dict[str, Any]], ascii_: bool) -> None:
    wanted = [expected(r) for r in records]
    file.write_text(json.dumps(records, ensure_ascii=ascii_), encoding="utf-8")
    assert read_annotations(file) == wanted
    file.write_bytes(lines(*records, ascii_=ascii_))
    assert read_annotations(file) == wanted
    pq.write_table(pa.Table.from_pylist(records), file)
    assert read_annotations(file) == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(RECORD)), inner)
    ),
    max_leaves=8,
)
CONTENT = (
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda b: b"PAR1" + b + b"PAR1")
    | st.binary(max_size=60).map(lambda b: b"[" + b)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps([RECORD | {"output_1": value}]).encode())
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(CONTENT)
def test_any_content_is_read_or_refused_in_one_sentence(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    found, said = [], ""
    try:
        found = read_annotations(file)
    except UserError as error:
        said = str(error)
    assert bool(found) != bool(said)
    assert "\n" not in said
