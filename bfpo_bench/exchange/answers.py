"""A run's answers with what the judges say of them, one task at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bfpo_bench.names import is_utf8
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.records import Label, Response, Verdict
from bfpo_bench.scoring.finished import FinishedRun

if TYPE_CHECKING:
    import pandas as pd

_Place = tuple[int, int]


@dataclass(frozen=True)
class Answer:
    """A response, what each judge says of it by the judge's name, and what that comes to.

    `points` are those of documents.parquet, None where nobody could judge; `outcome` and `refused`
    likewise.
    """

    response: Response
    verdicts: Mapping[str, Verdict]
    points: float | None
    outcome: str | None
    refused: bool | None


class _Task(msgspec.Struct, gc=False):
    task: str


def answers(run: FinishedRun, task: str, documents: pd.DataFrame) -> Iterator[Answer]:
    """The task's answers by document and sample; `documents` as `read_documents` gives them.

    Holds one task's responses and verdicts. Of a response stored twice the first counts, of several
    verdicts on its text the last, as in the scores. Raises UserError for a damaged line.
    """
    responses: dict[_Place, Response] = {}
    hashes: dict[_Place, str] = {}
    for record in _records(run.folder.responses_file, task):
        place = record["doc_id"], record["sample"]
        if place not in responses:
            responses[place] = Response.load(_whole(record))
            # Earlier formats do not store it
            hashes[place] = record.get("text_hash") or Response.load(record).text_hash
    said: dict[_Place, dict[str, Verdict]] = {place: {} for place in responses}
    for judge in run.scores.judges:
        for record in _records(run.folder.verdicts_file(judge), task):
            place = record["doc_id"], record["sample"]
            if hashes.get(place) == record["text_hash"]:
                said[place][judge] = Verdict.load(_whole(record))
    found = _outcomes(documents, task)
    for place in sorted(responses):
        points, outcome, refused = found.get(place, (None, None, None))
        yield Answer(responses[place], said[place], points, outcome, refused)


def labels_of_kind(run: FinishedRun, answer: Answer, kind: str) -> list[Label]:
    """What judges of a kind say, by the kinds in the run's manifest."""
    judges = run.manifest.judges
    return [v.label for j, v in answer.verdicts.items() if judges.get(j, {}).get("kind") == kind]


def _records(path: Path, task: str) -> Iterator[dict[str, Any]]:
    for found, line in jsonl.read_lines_as(path, _Task):
        if found.task == task:
            yield json.loads(line)


def _whole(value: Any) -> Any:
    """With lone surrogates as escapes: JSON can hold half a character, and other formats cannot."""
    if isinstance(value, str):
        return value if is_utf8(value) else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {k: _whole(v) for k, v in value.items()}
    return [_whole(v) for v in value] if isinstance(value, list) else value


def _outcomes(
    documents: pd.DataFrame, task: str
) -> dict[_Place, tuple[float | None, str | None, bool | None]]:
    rows = documents[documents["task"] == task]
    columns = (rows[c].tolist() for c in ("doc_id", "sample", "value", "outcome", "refused"))
    return {
        (doc_id, sample): (_or_none(value), _text(outcome), _flag(refused))
        for doc_id, sample, value, outcome, refused in zip(*columns, strict=True)
    }


def _or_none(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return bool(value) if value is True or value is False else None
