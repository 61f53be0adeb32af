"""Prompts and responses from anywhere, as JSON lines, and the same lines judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.runs.jsonl import write_atomically

ADDED = ("label", "score", "raw", "error")


@dataclass(frozen=True)
class Line:
    """One record with its fields as they came, and what a judge is shown of it."""

    record: dict[str, Any]
    text: Text


def read_lines(path: Path) -> list[Line]:
    """Every line of the file, which holds a JSON record with `prompt` and `response`.

    `response` may be null; `baseline` is the response to compare with. Raises UserError, naming the
    line, for anything else, and for a file without lines.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give another file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as such.") from error
    if lines == [""]:
        raise UserError(f"{path} is empty: write a JSON record with prompt and response a line.")
    return [_line(f"{path}, line {number}", line) for number, line in enumerate(lines, 1)]


def _line(where: str, line: str) -> Line:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error}): mend or delete it.") from error
    if not isinstance(record, dict):
        raise UserError(f"{where} is not a JSON record: write prompt and response as its fields.")
    if not isinstance(record.get("prompt"), str):
        raise UserError(f"{where} has no text as its `prompt`: give every line one.")
    if "response" not in record or not isinstance(record["response"], str | None):
        raise UserError(
            f"{where} has neither text nor null as its `response`: give every line one."
        )
    if not isinstance(record.get("baseline"), str | None):
        raise UserError(f"{where} has a `baseline` that is no text: mend it.")
    return Line(record, Text(record["prompt"], record["response"], record.get("baseline")))


def judged_lines(lines: Sequence[Line], found: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Each record with `label`, `score`, `raw` and `error`, and `answers` where the judge gave some.

    A field of the input that is called so is kept as `input_<name>`, or as `input_input_<name>` and so
    on where it has such a field already.
    """
    for line, finding in zip(lines, found, strict=True):
        told: dict[str, Any] = {name: getattr(finding, name) for name in ADDED}
        if finding.answers is not None:
            told["answers"] = dict(finding.answers)
        record = line.record
        renamed = {_free(k, {**record, **told}) if k in told else k: v for k, v in record.items()}
        yield renamed | told


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name = f"input_{name}"
    return name


def write_lines(path: Path, records: Iterator[dict[str, Any]]) -> None:
    """The records, a line each; the file appears whole or not at all."""
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    # Half of a surrogate pair cannot be written as UTF-8, and can as JSON's own escape
    write_atomically(path, "".join(lines).encode("utf-8", "backslashreplace").decode())
