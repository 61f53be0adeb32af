"""JSON lines in, the same lines judged out: none lost, none moved, no field gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.lines import judged_lines, read_lines, write_lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.jsonl"


def judged(file: Path, *found: Finding) -> list[dict[str, Any]]:
    """What the output holds when the file's lines were judged so."""
    write_lines(file.with_name("out.jsonl"), judged_lines(read_lines(file), found))
    text = file.with_name("out.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_each_line_keeps_its_fields_and_gets_what_was_found(file: Path) -> None:
    file.write_text(
        '{"id": 7, "prompt": "Q", "response": "A", "tags": ["x", {"y": null}]}\n'
        '{"prompt": "Q2", "response": "A2"}\n'
    )
    assert judged(file, Finding("harmful", 0.0, "yes"), Finding("unjudged", error="cut")) == [
        {
            "id": 7,
            "prompt": "Q",
            "response": "A",
            "tags": ["x", {"y": None}],
            "label": "harmful",
            "score": 0.0,
            "raw": "yes",
            "error": None,
        },
        {
            "prompt": "Q2",
            "response": "A2",
            "label": "unjudged",
            "score": None,
            "raw": None,
            "error": "cut",
        },
    ]


def test_what_a_judge_says_besides_its_label_is_there_where_it_said_it(file: Path) -> None:
    file.write_text('{"prompt": "Q", "response": "A"}\n' * 2)
    answers = {"request": "harmful", "refusal": "yes"}
    first, second = judged(file, Finding("harmless", answers=answers), Finding("harmless"))
    assert first["answers"] == answers
    assert "answers" not in second


def test_fields_of_the_same_names_are_kept_beside_the_judges_own(file: Path) -> None:
    """Labelled data judged: the human label must not be lost, nor pass for the judge's."""
    record = {"prompt": "Q", "response": "A", "label": "human", "score": 3, "answers": "mine"}
    file.write_text(json.dumps(record) + "\n")
    [line] = judged(file, Finding("harmful"))
    assert line == {
        "prompt": "Q",
        "response": "A",
        "input_label": "human",
        "input_score": 3,
        # The judge gave no answers, so that name is not taken
        "answers": "mine",
        "label": "harmful",
        "score": None,
        "raw": None,
        "error": None,
    }


def test_judged_lines_can_be_judged_again(file: Path) -> None:
    """What stands in `input_label` already is not thrown away for what `label` says now."""
    file.write_text('{"prompt": "Q", "response": "A", "label": "human"}\n')
    [once] = judged(file, Finding("harmful"))
    file.write_text(json.dumps(once) + "\n")
    [twice] = judged(file, Finding("harmless"))
    assert {k: v for k, v in twice.items() if "label" in k} == {
        "input_label": "human",
        "input_input_label": "harmful",
        "label": "harmless",
    }


@pytest.mark.parametrize("response", ["null", '""', '"\\n"'])
def test_a_null_or_empty_response_is_a_line_like_any_other(file: Path, response: str) -> None:
    file.write_text(f'{{"prompt": "Q", "response": {response}}}\n')
    [line] = read_lines(file)
    assert line.text == Text("Q", json.loads(response))


def test_a_baseline_is_what_the_response_is_compared_with(file: Path) -> None:
    file.write_text(
        '{"prompt": "Q", "response": "A", "baseline": "B"}\n'
        '{"prompt": "Q", "response": "A", "baseline": null}\n'
    )
    assert [line.text for line in read_lines(file)] == [Text("Q", "A", "B"), Text("Q", "A", None)]


def test_line_breaks_of_other_systems_and_a_missing_last_one(file: Path) -> None:
    file.write_bytes(b'{"prompt": "Q", "response": "A"}\r\n{"prompt": "Q", "response": "B"}')
    assert [line.text.response for line in read_lines(file)] == ["A", "B"]


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(file: Path) -> None:
    """Editors of Windows put U+FEFF before UTF-8; inside a text it is a character."""
    file.write_bytes('\ufeff{"prompt": "Q", "response": "\ufeffA"}\n'.encode())
    [line] = read_lines(file)
    assert line.record == {"prompt": "Q", "response": "\ufeffA"}


# Any text, U+2028, NUL and halves of surrogate pairs among it; two halves side by side are one
# character to JSON
TEXT = st.text(st.characters(exclude_categories=())).filter(
    lambda s: s.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == s
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    lambda more, prompt, response: more | {"prompt": prompt, "response": response},
    st.dictionaries(TEXT, JSON, max_size=3),
    TEXT,
    st.none() | TEXT,
)
PAIRS = st.lists(
    st.tuples(RECORDS, st.builds(Finding, st.just("harmful"), raw=TEXT)), min_size=1, max_size=4
)


@given(PAIRS, st.booleans())
def test_nothing_is_lost_whatever_the_texts_are(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[dict[str, Any], Finding]],
    escaped: bool,
) -> None:
    """As many lines as there were, in their order, every field as it was."""
    file = tmp_path_factory.mktemp("lines") / "in.jsonl"
    records = [r for r, _ in pairs if r.get("baseline") is None or isinstance(r["baseline"], str)]
    if len(records) < len(pairs):
        return
    lines = [json.dumps(record, ensure_ascii=escaped) for record in records]
    file.write_bytes("".join(f"{x}\n" for x in lines).encode("utf-8", "backslashreplace"))
    found = judged(file, *(finding for _, finding in pairs))
    assert [(x["prompt"], x["response"]) for x in found] == [
        (r["prompt"], r["response"]) for r in records
    ]
    for line, (record, finding) in zip(found, pairs, strict=True):
        assert (line["label"], line["raw"]) == (finding.label, finding.raw)
        kept = {k: v for k, v in record.items() if k not in ("label", "score", "raw", "error")}
        assert {k: line[k] for k in kept} == kept


class TestABrokenLineIsNamed:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("{", r"is not JSON \(.*\): mend or delete it"),
            ("", r"is not JSON"),
            ("[1]", "is not a JSON record"),
            ('"prompt"', "is not a JSON record"),
            ('{"response": "A"}', "has no text as its `prompt`"),
            ('{"prompt": ["Q"], "response": "A"}', "has no text as its `prompt`"),
            ('{"prompt": "Q"}', "has neither text nor null as its `response`"),
            ('{"prompt": "Q", "response": 4}', "has neither text nor null as its `response`"),
            ('{"prompt": "Q", "response": "A", "baseline": 4}', "has a `baseline` that is no text"),
        ],
    )
    def test_by_file_and_number(self, file: Path, line: str, reason: str) -> None:
        good = '{"prompt": "Q", "response": "A"}'
        file.write_text("\n".join([good, line, good]) + "\n")
        with pytest.raises(UserError, match=rf"in\.jsonl, line 2 {reason}"):
            read_lines(file)

    def test_a_file_that_is_not_there(self, file: Path) -> None:
        with pytest.raises(UserError, match=r"in\.jsonl cannot be read \(No such file"):
            read_lines(file)

    @pytest.mark.parametrize("content", ["", "\n"])
    def test_an_empty_file(self, file: Path, content: str) -> None:
        file.write_text(content)
        with pytest.raises(UserError, match=r"in\.jsonl is empty: write a JSON record"):
            read_lines(file)

    def test_a_file_that_is_not_utf_8(self, file: Path) -> None:
        file.write_bytes('{"prompt": "Où?", "response": "A"}\n'.encode("latin-1"))
        with pytest.raises(UserError, match=r"in\.jsonl is not UTF-8 text"):
            read_lines(file)


def test_the_output_appears_whole_or_not_at_all(file: Path) -> None:
    """A number of findings other than that of the lines is a bug, and leaves the old file alone."""
    file.write_text('{"prompt": "Q", "response": "A"}\n' * 2)
    out = file.with_name("out.jsonl")
    out.write_text("before")
    with pytest.raises(ValueError, match="zip"):
        write_lines(out, judged_lines(read_lines(file), [Finding("harmful")]))
    assert out.read_text() == "before"
