"""Data as scripts: packed, unpacked, and divided between documents alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hostile import CORPUS
from hypothesis import given
from hypothesis import strategies as st
from report_data import unpacked

from bfpo_bench.leaderboard.report.chunks import (
    ChunkWriter,
    chunk_name,
    columns,
    encoded,
    script,
    smallest,
)


@given(st.binary(max_size=200))
def test_a_script_holds_its_content_and_nothing_that_could_run(content: bytes) -> None:
    assert unpacked(script("index", content)) == ("index", content)


def test_equal_contents_are_equal_scripts() -> None:
    """No time of day is in the compressed bytes."""
    assert script("index", b"a" * 1000) == script("index", b"a" * 1000)


@given(st.text() | st.sampled_from(CORPUS) | st.text(st.characters(categories=["Cs", "Po"])))
def test_any_text_comes_back_also_lone_surrogates(text: str) -> None:
    found = json.loads(encoded([text]))[0]
    # JSON's reader joins halves of a pair that stand side by side, as JavaScript does
    assert found == json.loads(json.dumps(text))


def test_infinity_is_no_json() -> None:
    with pytest.raises(ValueError):
        encoded([float("inf")])


def test_chunks_end_between_documents(tmp_path: Path) -> None:
    """Documents of 12 bytes of JSON, two to a chunk of 30: [0, 1], [2, 3], [4]."""
    writer = ChunkWriter(tmp_path, limit=30)
    for number in range(5):
        writer.add({"prompt": number})
    writer.flush()
    assert writer.firsts == [0, 2, 4]
    found = [unpacked((tmp_path / f"{chunk_name(n)}.js").read_text())[1] for n in range(3)]
    assert [[d["prompt"] for d in json.loads(one)] for one in found] == [[0, 1], [2, 3], [4]]
    assert writer.bytes_written == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_a_document_larger_than_a_chunk_has_one_for_itself(tmp_path: Path) -> None:
    writer = ChunkWriter(tmp_path, limit=30)
    for text in ("a", "b" * 100, "c"):
        writer.add(text)
    writer.flush()
    assert writer.firsts == [0, 1, 2]


def test_no_documents_are_no_chunks(tmp_path: Path) -> None:
    writer = ChunkWriter(tmp_path)
    writer.flush()
    assert writer.firsts == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("most", "kind"), [(255, "uint8"), (256, "uint16"), (65536, "uint32"), (1 << 40, "float64")]
)
def test_numbers_take_no_more_room_than_they_need(most: int, kind: str) -> None:
    found = smallest(np.array([0, most]))
    assert found.dtype.name == kind
    assert found.tolist() == [0, most]


def test_columns_begin_where_a_typed_array_may() -> None:
    """Three bytes, then floats at 8: 3 of content and 5 that fill."""
    content, places = columns(
        {"a": np.array([1, 2, 3], np.uint8), "b": np.array([0.5], np.float32)}
    )
    assert places == [
        {"name": "a", "type": "Uint8Array", "offset": 0, "length": 3},
        {"name": "b", "type": "Float32Array", "offset": 8, "length": 1},
    ]
    assert content == b"\x01\x02\x03" + b"\0" * 5 + np.float32(0.5).tobytes() + b"\0" * 4
