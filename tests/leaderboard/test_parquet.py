"""The leaderboard as Parquet."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from boards import board, board_row

from bfpo_bench.leaderboard.parquet import to_parquet
from bfpo_bench.leaderboard.schema import json_schema

TABLE = board(board_row("a", 70, bfpo_a=5.0), board_row("b", partial=True))


def test_rows_and_types_are_kept() -> None:
    """`b` has no score in bfpo_a: null, which is not the same as 0."""
    found = pq.read_table(io.BytesIO(to_parquet(TABLE)))
    assert found.column_names == list(TABLE.columns)
    kinds = {name: found.schema.field(name).type for name in ("model", "partial", "helpfulness")}
    assert kinds == {"model": pa.string(), "partial": pa.bool_(), "helpfulness": pa.float64()}
    assert found["model"].to_pylist() == ["a", "b"]
    assert found["partial"].to_pylist() == [False, True]
    assert found["bfpo_a"].to_pylist() == [5.0, None]


def test_columns_are_described_and_units_named() -> None:
    schema = pq.read_schema(io.BytesIO(to_parquet(TABLE)))
    assert schema.field("bfpo_a_ci_low").metadata[b"unit"] == b"percent"
    assert b"lower end" in schema.field("bfpo_a_ci_low").metadata[b"description"]
    assert b"unit" not in schema.field("model").metadata
    assert json.loads(schema.metadata[b"json_schema"]) == json_schema()


def test_an_empty_leaderboard_has_its_columns() -> None:
    found = pq.read_table(io.BytesIO(to_parquet(TABLE.iloc[:0])))
    assert found.num_rows == 0
    assert found.schema.field("helpfulness").type == pa.float64()
