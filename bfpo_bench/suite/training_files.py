"""The rows of a training file, whatever its format, without holding the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bfpo_bench.errors import UserError, first_line

FORMATS = (".jsonl", ".json", ".csv", ".parquet", ".txt")
BATCH = 1000
"""Rows of an Arrow table that are turned into Python at a time."""
# A quote that is never closed would otherwise take in the rest of the file
_CSV_FIELD = 1 << 24
_BLOCK = 1 << 20
_LONGEST = 1 << 26
_BETWEEN = re.compile(r"[\s,]*")


def format_of(path: Path) -> str:
    """The suffix that says the format, in lower case; .gz is looked past."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def open_file(path: Path) -> tuple[int | None, Iterator[Any]]:
    """(number of rows where the file tells it, its rows): mappings, or strings of a .txt file.

    Raises UserError for another format; reading the rows raises it for whatever is broken in them.
    """
    kind = format_of(path)
    if kind == ".parquet" and path.suffix.lower() != ".gz":
        return _parquet(path)
    readers: dict[str, Callable[[Path], Iterator[Any]]] = {
        ".jsonl": _json_lines,
        ".json": _json,
        ".csv": _csv,
        ".txt": _lines,
    }
    if kind not in readers:
        raise UserError(
            f"{path} is none of {', '.join(FORMATS)} (all but .parquet also with .gz): convert it."
        )
    return None, _guarded(path, readers[kind](path))


def _guarded(path: Path, records: Iterator[Any]) -> Iterator[Any]:
    """The records, with what a file can have wrong as a UserError."""
    try:
        yield from records
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as such.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} is no whole gzip file ({first_line(error)}): fetch it anew."
        ) from error
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV ({first_line(error)}): mend it.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}): mend the file.") from error


def _open_text(path: Path, newline: str | None = None) -> IO[str]:
    raw: Any = path.open("rb")
    if path.suffix.lower() == ".gz":
        raw = gzip.GzipFile(fileobj=raw)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline=newline)


def _lines(path: Path) -> Iterator[str]:
    with _open_text(path) as file:
        yield from file


def _json_lines(path: Path) -> Iterator[Any]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}, line {number} is not valid JSON: mend it.") from error


def _json(path: Path) -> Iterator[Any]:
    """The values of one array, or values one after the other, a block of the file at a time."""
    decoder = json.JSONDecoder()
    with _open_text(path) as file:
        text = file.read(_BLOCK)
        array = text.lstrip().startswith("[")
        at, number = text.index("[") + 1 if array else 0, 0
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if array and text.startswith("]", at):
                if (text[at + 1 :] + file.read(_BLOCK)).strip():
                    raise UserError(f"{path} goes on after its array of rows: mend it.")
                return
            fault: Exception | None = None
            end = len(text)
            try:
                value, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                fault = error
            # Where the text ends the value may go on: read as much again as is waiting
            more = ""
            if end == len(text) and end - at < _LONGEST:
                more = file.read(max(_BLOCK, end - at))
            if more:
                text, at = text[at:] + more, 0
                continue
            if at == len(text) and not array:
                return
            if fault is not None:
                raise UserError(
                    f"{path}, row {number} is not valid JSON (or longer than 64 MB): mend it."
                ) from fault
            yield value
            at, number = end, number + 1


def _csv(path: Path) -> Iterator[Any]:
    csv.field_size_limit(_CSV_FIELD)
    with _open_text(path, newline="") as file:
        yield from csv.DictReader(file, strict=True)


def _parquet(path: Path) -> tuple[int, Iterator[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is not a Parquet file ({first_line(error)}): fetch it anew."
        ) from error

    def records() -> Iterator[Any]:
        try:
            for batch in file.iter_batches(BATCH):
                yield from arrow_rows(pa.Table.from_batches([batch]))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is broken ({first_line(error)}): fetch it anew.") from error

    return file.metadata.num_rows, records()


def arrow_rows(table: Any) -> list[Any]:
    """An Arrow table's rows; columns that hold no strings (images, embeddings) as nulls."""
    import pyarrow as pa

    def textual(kind: Any) -> bool:
        if pa.types.is_dictionary(kind):
            return textual(kind.value_type)
        if pa.types.is_nested(kind):
            return any(textual(kind.field(i).type) for i in range(kind.num_fields))
        return kind in (pa.string(), pa.large_string(), pa.string_view())

    nulls = pa.nulls(table.num_rows)
    for i, column in enumerate(table.schema):
        if not textual(column.type):
            table = table.set_column(i, column.name, nulls)
    return list(table.to_pylist())
