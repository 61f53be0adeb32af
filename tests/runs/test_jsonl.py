"""JSON lines that survive being killed at any byte."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.runs.jsonl import (
    Appender,
    read,
    read_as,
    read_lines_as,
    remove_drafts,
    repair,
    write_atomically,
)

# Lone surrogates too: a model's tokens can be cut in the middle of a character
any_text = st.text(st.characters(), max_size=12)
records = st.lists(
    st.dictionaries(any_text, any_text | st.integers() | st.none() | st.booleans(), max_size=3),
    min_size=1,
    max_size=3,
)


class Wanted(msgspec.Struct):
    """Two of the fields; the second came with a later version."""

    n: int
    text: str = "none"


def as_stored(record: Any) -> Any:
    """JSON makes one character of a high and a low surrogate that stand side by side."""
    return json.loads(json.dumps(record))


def append(path: Path, new: list[Any]) -> None:
    with Appender(path) as file:
        for record in new:
            file.append(record)


@settings(max_examples=15, deadline=None)
@given(records)
def test_a_cut_at_any_byte_loses_the_torn_record_alone(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "deep" / "r.jsonl"
    append(path, written)
    whole, expected = path.read_bytes(), [as_stored(r) for r in written]
    assert list(read(path)) == expected
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        assert list(read(path)) == expected[:kept]
        assert len(list(read_as(path, msgspec.defstruct("Nothing", [])))) == kept
        append(path, written[kept:])
        assert path.read_bytes() == whole


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters()))
def test_any_text_is_one_line_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "r.jsonl"
    append(path, [{"response": text}])
    assert path.read_bytes().count(b"\n") == 1
    path.read_bytes().decode("utf-8")
    assert list(read(path)) == [as_stored({"response": text})]


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters()), other=st.text(st.characters()) | st.floats())
def test_of_a_record_only_the_wanted_fields_are_read(
    tmp_path_factory: pytest.TempPathFactory, text: str, other: Any
) -> None:
    """Whatever stands in the others, half characters and NaN among it."""
    path = tmp_path_factory.mktemp("jsonl") / "r.jsonl"
    append(path, [{"n": 1, "other": other, "text": text}, {"other": [{"n": other}], "n": 2}])
    first, second = read_as(path, Wanted)
    assert first == Wanted(1, as_stored(text))
    assert second == Wanted(2, "none")


@pytest.mark.parametrize("text", ["\ud83d", "\ude00 first", "\\\ud800", "né 模型 🙂\u2028\x85"])
def test_odd_characters_survive(tmp_path: Path, text: str) -> None:
    append(tmp_path / "r.jsonl", [{"response": text}])
    assert list(read(tmp_path / "r.jsonl")) == [{"response": text}]


def test_repair_reports_what_it_cut(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    assert repair(path) == 0
    path.write_bytes(b'{"a":1}\n{"b"')
    assert repair(path) == 4
    assert repair(path) == 0
    assert path.read_bytes() == b'{"a":1}\n'


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) - 1, 200_000])
def test_a_torn_line_longer_than_one_block_is_cut(tmp_path: Path, size: int) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * size)
    assert repair(path) == size
    assert list(read(path)) == [{"a": 1}]


def test_a_file_of_one_torn_line_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"x" * 70_000)
    assert repair(path) == 70_000
    assert path.read_bytes() == b""


def test_what_was_appended_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    script = (
        "import os, sys, pathlib; from bfpo_bench.runs.jsonl import Appender\n"
        "file = Appender(pathlib.Path(sys.argv[1]))\n"
        "[file.append({'n': n}) for n in range(3)]\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert list(read(path)) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_file_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none.jsonl")) == []


@pytest.mark.parametrize("broken", [b'{"a": ', b"", b"\xff\xfe", b"[1]", b"7", b"null"])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"a":1}\n' + broken + b'\n{"a":3}\n')
    found = read(path)
    assert next(found) == {"a": 1}
    with pytest.raises(UserError) as caught:
        next(found)
    assert f"{path}, line 2 " in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [b'{"n": ', b"", b"\xff\xfe", b"[1]", b"7", b"null", b'{"n":1,"x":"\xff"}', b"[" * 100_000],
)
def test_a_broken_line_is_named_also_where_only_some_fields_are_read(
    tmp_path: Path, broken: bytes
) -> None:
    """The seventh is broken in a field that nobody wants."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"n":1}\n' + broken + b'\n{"n":3}\n')
    for found in (read(path), read_as(path, Wanted)):
        next(found)
        with pytest.raises(UserError) as caught:
            next(found)
        assert f"{path}, line 2 is not a JSON record" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text":"a"}', "missing required field n"),
        (b'{"n":"1"}', "Expected int, got str - at $.n"),
        (b'{"n":1.5}', "Expected int, got float - at $.n"),
        (b'{"n":1,"text":null}', "Expected str, got null - at $.text"),
    ],
)
def test_a_line_that_lacks_what_is_wanted_is_named(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(UserError) as caught:
        list(read_as(path, Wanted))
    assert f"{path}, line 1 does not hold what it should (" in str(caught.value)
    assert reason in str(caught.value)


def test_a_value_that_is_none_of_the_known_ones_is_refused(tmp_path: Path) -> None:
    class Choice(msgspec.Struct):
        label: Literal["yes", "no"]

    append(tmp_path / "r.jsonl", [{"label": "yes"}, {"label": "perhaps"}])
    found = read_as(tmp_path / "r.jsonl", Choice)
    assert next(found).label == "yes"
    with pytest.raises(UserError, match="line 2 does not hold what it should"):
        next(found)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_byte_that_was_changed_is_never_read_as_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever byte it is, of three records: the line is named, or the records are what they were. Where
    the last line's end is gone that line is torn."""
    path = tmp_path_factory.mktemp("jsonl") / "r.jsonl"
    append(path, [{"n": n, "text": text} for n, text in enumerate(("one", "é", "\ud83d"))])
    expected = list(read_as(path, Wanted))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    found = []
    with suppress(UserError):
        found += read_as(path, Wanted)
        assert len(found) == 3 or place == len(content) - 1
    assert found == expected[: len(found)]


def test_data_classes_can_be_read_and_the_line_beside_them(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Pair:
        n: int
        text: str = ""

    append(tmp_path / "r.jsonl", [{"n": 1, "text": "é", "more": 2}])
    [(found, line)] = read_lines_as(tmp_path / "r.jsonl", Pair)
    assert found == Pair(1, "é")
    assert line == (tmp_path / "r.jsonl").read_bytes()


def test_numbers_that_json_does_not_know_come_back(tmp_path: Path) -> None:
    """An impossible continuation has a log-likelihood of minus infinity."""

    class Number(msgspec.Struct):
        logprob: float

    append(tmp_path / "r.jsonl", [{"logprob": -math.inf}, {"logprob": math.nan}])
    assert b'"logprob":-Infinity,' in (tmp_path / "r.jsonl").read_bytes()
    low, none = read_as(tmp_path / "r.jsonl", Number)
    assert low.logprob == -math.inf
    assert math.isnan(none.logprob)


def test_lines_longer_than_the_buffer(tmp_path: Path) -> None:
    long = "é" * (3 << 20)
    append(tmp_path / "r.jsonl", [{"n": 1, "text": long}, {"n": 2}])
    assert [w.n for w in read_as(tmp_path / "r.jsonl", Wanted)] == [1, 2]
    assert [r.get("text", "") for r in read(tmp_path / "r.jsonl")] == [long, ""]


def test_a_short_write_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less of a line than it was given."""

    class Slow:
        def __init__(self) -> None:
            self.got = b""

        def write(self, data: memoryview) -> int:
            self.got += bytes(data[:3])
            return len(data[:3])

        def close(self) -> None:
            pass

    with Appender(tmp_path / "r.jsonl") as file:
        file._file.close()
        slow = Slow()
        monkeypatch.setattr(file, "_file", slow)
        file.append({"key": "value"})
    assert slow.got == b'{"key":"value","crc":"2374fddd"}\n'


def test_write_atomically_makes_the_folder_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "old")
    write_atomically(path, "néw")
    assert path.read_text(encoding="utf-8") == "néw"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_write_atomically_takes_a_text_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "b.json"

    def broken() -> Iterator[str]:
        yield "new"
        raise ZeroDivisionError

    write_atomically(path, iter(["a\n", "é\n"]))
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, broken())
    assert path.read_text(encoding="utf-8") == "a\né\n"
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_who_reads_while_a_file_is_replaced_reads_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write_atomically(path, "old content")
    with path.open("rb", buffering=0) as reader:
        assert reader.read(4) == b"old "
        write_atomically(path, "new")
        assert reader.read() == b"content"
    assert path.read_text() == "new"


def test_write_atomically_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.json"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


@pytest.mark.parametrize("field", ["number", "text", "crc"])
def test_a_line_that_is_not_as_it_was_written_is_refused(tmp_path: Path, field: str) -> None:
    """One digit or letter of a line that is JSON still; a number would be a wrong number."""
    path = tmp_path / "r.jsonl"
    with Appender(path) as file:
        file.append({"number": 1})
        file.append({"number": 7, "text": "yes"})
    lines = path.read_text().splitlines(keepends=True)
    digit = lines[1][-4]
    changed = {
        "number": lines[1].replace("7", "8", 1),
        "text": lines[1].replace("yes", "yed"),
        "crc": lines[1][:-4] + ("0" if digit != "0" else "1") + lines[1][-3:],
    }
    path.write_text(lines[0] + changed[field])
    with pytest.raises(UserError, match=r"r\.jsonl, line 2 has been changed since it was written"):
        list(read(path))


def test_lines_of_older_runs_have_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"number":7}\n')
    assert list(read(path)) == [{"number": 7}]


def test_write_atomically_takes_half_a_character_as_its_escape(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write_atomically(path, json.dumps("half \ud800", ensure_ascii=False))
    assert json.loads(path.read_bytes()) == "half \ud800"


def test_drafts_of_a_killed_writer_are_removed_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "b[1].csv"
    write_atomically(path, "whole")
    for name in (".b[1].csv.17.tmp", ".b1.csv.17.tmp", ".b[1].keys.json.17.tmp"):
        (tmp_path / name).write_text("half")
    remove_drafts(path)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [".b1.csv.17.tmp", ".b[1].keys.json.17.tmp", "b[1].csv"]
