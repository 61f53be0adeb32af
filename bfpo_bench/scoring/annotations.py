"""Pairwise annotations in AlpacaEval's format, from a JSON array, JSON lines or parquet.

One record compares the answers of two models to one instruction: `instruction`, `output_1` of the
baseline `generator_1`, `output_2` of the model `generator_2`, the `annotator`, and its `preference`
(winrate.py says what that means). Of the outputs only the lengths are kept, so `output_1_chars` or
`output_2_chars` may stand for a text that was left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.scoring.winrate import valid_preference

_FORMATS = "give AlpacaEval's annotations as a JSON array, JSON lines or parquet"
_TEXTS = ("instruction", "generator_1", "generator_2")
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Annotation:
    """One comparison. Lengths are in characters; `preference` is in 1..2, None for an invalid one."""

    instruction: str
    baseline: str
    model: str
    annotator: str | None
    baseline_length: int
    model_length: int
    preference: float | None


@dataclass(frozen=True)
class Pairing:
    """What a win rate is of: a model, against a baseline, in the eyes of an annotator."""

    model: str
    baseline: str
    annotator: str | None


def read_annotations(path: Path) -> list[Annotation]:
    """The file's annotations in order; what it is shows in its content, not in its name.

    Raises UserError for a file that cannot be read, is in no such format or holds no record, and for
    a record that lacks a field or has one of the wrong type, naming the record and the field. An
    invalid preference is no error: it is None.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or first_line(error)).lower()
        raise UserError(f"{path} cannot be read ({reason}): name a file of annotations.") from error
    records = _parquet(path) if data.startswith(_PARQUET) else _json(data, path)
    found = [_annotation(record, f"{path}, {place}") for place, record in records]
    if not found:
        raise UserError(f"{path} holds no annotations: {_FORMATS}.")
    return found


def by_pairing(annotations: Iterable[Annotation]) -> dict[Pairing, list[Annotation]]:
    """The annotations of each pairing, both in the order of the file."""
    groups: dict[Pairing, list[Annotation]] = {}
    for a in annotations:
        groups.setdefault(Pairing(a.model, a.baseline, a.annotator), []).append(a)
    return groups


def _json(data: bytes, path: Path) -> Iterator[tuple[str, Any]]:
    """Pairs (place, record) of an array or of lines, which a file that opens no array must be."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.lstrip().startswith(b"["):
        # Bytes, because str.splitlines also breaks at characters that JSON strings may hold
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                yield f"line {number}", _parse(line, f"{path}, line {number}")
        return
    for number, record in enumerate(_parse(data, str(path)), 1):
        yield f"record {number}", record


def _parse(text: bytes, where: str) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({first_line(error)}): {_FORMATS}.") from error


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not whole parquet ({first_line(error)}): {_FORMATS}."
        ) from error
    for number, record in enumerate(rows, 1):
        yield f"row {number}", record


def _annotation(record: Any, where: str) -> Annotation:
    if not isinstance(record, Mapping):
        raise UserError(f"{where} is no record of fields: {_FORMATS}.")
    lacking = [name for name in (*_TEXTS, "preference") if name not in record]
    lacking += [
        f"{name} (or {name}_chars)"
        for name in ("output_1", "output_2")
        if name not in record and f"{name}_chars" not in record
    ]
    if lacking:
        raise UserError(f"{where} lacks {', '.join(lacking)}: AlpacaEval's annotations have them.")
    return Annotation(
        instruction=_text(record, "instruction", where),
        baseline=_text(record, "generator_1", where),
        model=_text(record, "generator_2", where),
        annotator=_text(record, "annotator", where) if record.get("annotator") else None,
        baseline_length=_length(record, "output_1", where),
        model_length=_length(record, "output_2", where),
        preference=valid_preference(record["preference"]),
    )


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise _wrong(value, name, "text", where)
    return value


def _length(record: Mapping[str, Any], name: str, where: str) -> int:
    """The length of the output, or the one that the record gives in its place."""
    if record.get(name) is not None or f"{name}_chars" not in record:
        return len(_text(record, name, where))
    value = record[f"{name}_chars"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # A float that is whole: pandas writes integers so in a column that lacks one
    if not number or not 0 <= value < 2**53 or value != int(value):
        raise _wrong(value, f"{name}_chars", "a number of characters", where)
    return int(value)


def _wrong(value: object, name: str, wanted: str, where: str) -> UserError:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    return UserError(f"{where}: {name} is {shown}, which is not {wanted}: mend the record.")
