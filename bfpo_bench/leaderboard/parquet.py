"""The leaderboard as Parquet, its columns described and their units named."""

from __future__ import annotations

import json

import pandas as pd

from bfpo_bench.leaderboard.columns import TEXT
from bfpo_bench.leaderboard.schema import described, json_schema


def to_parquet(table: pd.DataFrame) -> bytes:
    """Rows in the CSV's order: strings, a truth value, and scores as float64, null where not scored.

    Each field's metadata hold `description`, and `unit` for scores; the file's hold `json_schema`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field(
            column,
            pa.bool_() if column == "partial" else pa.string() if column in TEXT else pa.float64(),
            metadata=described(column),
        )
        for column in table.columns
    ]
    schema = pa.schema(fields, metadata={"json_schema": json.dumps(json_schema())})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), sink)
    return bytes(sink.getvalue())
