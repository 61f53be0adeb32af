"""A run's answers with what the judges say of them, one task at a time."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bfpo_bench.names import is_utf8
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.records import Label, Response, Verdict
from bfpo_bench.scoring.documents import read_documents
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


class Answers:
    """A run's answers, task by task, with one task's responses and verdicts in memory at a time.

    The files are looked through once, for where each task's lines lie. `documents` is what
    `read_documents` gives. Raises UserError for a damaged line.
    """

    def __init__(self, run: FinishedRun) -> None:
        self.run = run
        self.documents = read_documents(run.folder)
        self._responses = _Lines(run.folder.responses_file)
        self._verdicts = {j: _Lines(run.folder.verdicts_file(j)) for j in run.scores.judges}

    def of(self, task: str) -> Iterator[Answer]:
        """The task's answers by document and sample. Of a response stored twice the first counts, of
        several verdicts on its text the last, as in the scores."""
        responses: dict[_Place, Response] = {}
        hashes: dict[_Place, str] = {}
        for record in self._responses.of(task):
            place = record["doc_id"], record["sample"]
            if place not in responses:
                responses[place] = Response.load(_whole(record))
                # Earlier formats do not store it
                hashes[place] = record.get("text_hash") or Response.load(record).text_hash
        said: dict[_Place, dict[str, Verdict]] = {place: {} for place in responses}
        for judge, lines in self._verdicts.items():
            for record in lines.of(task):
                place = record["doc_id"], record["sample"]
                if hashes.get(place) == record["text_hash"]:
                    said[place][judge] = Verdict.load(_whole(record))
        found = _outcomes(self.documents, task)
        for place in sorted(responses):
            points, outcome, refused = found.get(place, (None, None, None))
            yield Answer(responses[place], said[place], points, outcome, refused)


class _Lines:
    """Where each task's lines begin in a file, in bytes; none where there is no file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, array[int]] = defaultdict(lambda: array("q"))
        place = 0
        for found, line in jsonl.read_lines_as(path, _Task):
            self._places[found.task].append(place)
            place += len(line)

    def of(self, task: str) -> Iterator[dict[str, Any]]:
        if task not in self._places:
            return
        with self._path.open("rb") as file:
            for place in self._places[task]:
                file.seek(place)
                yield json.loads(file.readline())


def labels_of_kind(run: FinishedRun, answer: Answer, kind: str) -> list[Label]:
    """What judges of a kind say, by the kinds in the run's manifest."""
    judges = run.manifest.judges
    return [v.label for j, v in answer.verdicts.items() if judges.get(j, {}).get("kind") == kind]


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
