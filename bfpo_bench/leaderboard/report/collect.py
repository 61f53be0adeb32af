"""Where a run's responses, verdicts and samples lie in its files, and what is known of each.

A run is read once, a line at a time; what stays in memory are some 100 bytes a response.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bfpo_bench.runs import jsonl
from bfpo_bench.runs.records import Label, Response
from bfpo_bench.scoring.documents import read_documents
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.said import ABSENT, code_of
from bfpo_bench.scoring.scores import TaskScore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# A document and a sample are one number while a run's files are matched
_SAMPLE_BITS = 20


class _Answer(msgspec.Struct, gc=False):
    """What is read of a response. Lines of older versions have no hash."""

    task: str
    doc_id: int
    sample: int
    text_hash: str | None = None
    error: str | None = None


class _Verdict(msgspec.Struct, gc=False):
    task: str
    doc_id: int
    sample: int
    text_hash: str
    label: Label


class _Sample(msgspec.Struct, gc=False):
    doc_id: int


class _Split(msgspec.Struct, gc=False):
    task: str
    doc_id: int
    sample: int


@dataclass(frozen=True)
class Lines:
    """Where lines lie in `path`: [rows] offset and length in bytes (int64); length 0: no line."""

    path: Path
    offsets: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Said:
    """One judge's verdicts: [rows] codes of labels (uint8; ABSENT: none on the text stored now)."""

    codes: np.ndarray
    lines: Lines


@dataclass(frozen=True)
class TaskRows:
    """One task's responses of one run, each once, by document and sample.

    [rows] each: `values` are points, or of a discriminative task its own metric, NaN where there is
    none; `outcomes` places in OUTCOMES and `refused` 0 or 1 (uint8), both ABSENT where there is none;
    `failed`: the engine gave no answer; `split`: the judges of a kind differ. `lines` are responses,
    or lm-eval's samples.
    """

    generative: bool
    doc_ids: np.ndarray
    samples: np.ndarray
    values: np.ndarray
    outcomes: np.ndarray
    refused: np.ndarray
    failed: np.ndarray
    split: np.ndarray
    lines: Lines
    said: Mapping[str, Said] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.doc_ids)


def collect(run: FinishedRun) -> dict[str, TaskRows]:
    """Task -> its rows, in the order of scores.json; tasks of which nothing is stored are left out.

    A response that is stored twice counts as it came first; of several verdicts on one text the last.
    Raises UserError for a damaged line, naming it, and where documents.parquet is missing.
    """
    known = {
        str(name): part for name, part in read_documents(run.folder).groupby("task", observed=True)
    }
    answers = _read(run.folder.responses_file, _Answer, _answer_code)
    verdicts = {
        judge: _read(run.folder.verdicts_file(judge), _Verdict, lambda v, _: code_of(v.label))
        for judge in run.manifest.judges
    }
    splits: dict[str, list[int]] = defaultdict(list)
    for split in jsonl.read_as(run.folder.splits_file, _Split):
        splits[split.task].append(_number(split.doc_id, split.sample))
    found = {}
    for task, score in run.scores.tasks.items():
        mine = answers.pop(task, None) if _generative(score) else _samples(run, task)
        if mine is None or not mine.numbers:
            continue
        said = {judge: of.pop(task) for judge, of in verdicts.items() if task in of}
        found[task] = _rows(mine, said, splits.get(task, []), known.get(task), _generative(score))
    return found


def _generative(score: TaskScore) -> bool:
    return score.cell.endswith("/generative")


def _number(doc_id: int, sample: int) -> int:
    return doc_id << _SAMPLE_BITS | sample


@dataclass
class _Columns:
    """One task's lines of a file, as columns."""

    path: Path
    numbers: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))
    codes: bytearray = field(default_factory=bytearray)

    def lines(self, places: np.ndarray) -> Lines:
        import numpy as np

        offsets, lengths = (
            np.frombuffer(self.offsets, np.int64),
            np.frombuffer(self.lengths, np.int64),
        )
        return Lines(self.path, offsets[places], lengths[places])


def _read(path: Path, kind: type[Any], code: Callable[[Any, bytes], int]) -> dict[str, _Columns]:
    """Task -> the file's lines on it. `code` is what one byte is to say of a line."""
    found: dict[str, _Columns] = defaultdict(lambda: _Columns(path))
    offset = 0
    for record, line in jsonl.read_lines_as(path, kind):
        mine = found[record.task]
        mine.numbers.append(_number(record.doc_id, record.sample))
        told = record.text_hash or Response.load(json.loads(line)).text_hash
        mine.hashes.append(int(told, 16))
        mine.offsets.append(offset)
        mine.lengths.append(len(line))
        mine.codes.append(code(record, line))
        offset += len(line)
    return found


def _answer_code(answer: _Answer, _: bytes) -> int:
    return int(answer.error is not None)


def _samples(run: FinishedRun, task: str) -> _Columns:
    """lm-eval's samples of a discriminative task."""
    found = _Columns(run.folder.samples_file(task))
    offset = 0
    for sample, line in jsonl.read_lines_as(found.path, _Sample):
        found.numbers.append(_number(sample.doc_id, 0))
        found.hashes.append(0)
        found.offsets.append(offset)
        found.lengths.append(len(line))
        found.codes.append(0)
        offset += len(line)
    return found


def _rows(
    mine: _Columns,
    said: Mapping[str, _Columns],
    splits: list[int],
    known: pd.DataFrame | None,
    generative: bool,
) -> TaskRows:
    import numpy as np

    numbers, first = np.unique(np.frombuffer(mine.numbers, np.int64), return_index=True)
    hashes = np.frombuffer(mine.hashes, np.uint64)[first]
    values, outcomes, refused = _documents(numbers, known)
    return TaskRows(
        generative=generative,
        doc_ids=numbers >> _SAMPLE_BITS,
        samples=numbers & ((1 << _SAMPLE_BITS) - 1),
        values=values,
        outcomes=outcomes,
        refused=refused,
        failed=np.frombuffer(mine.codes, np.uint8)[first] == 1,
        split=np.isin(numbers, np.array(splits, np.int64)),
        lines=mine.lines(first),
        said={judge: _matched(of, numbers, hashes) for judge, of in said.items()},
    )


def _matched(verdicts: _Columns, numbers: np.ndarray, hashes: np.ndarray) -> Said:
    """The verdicts in the order of the responses, as far as they are on the texts stored now."""
    import numpy as np

    theirs = np.frombuffer(verdicts.numbers, np.int64)
    places = np.minimum(np.searchsorted(numbers, theirs), len(numbers) - 1)
    fits = (numbers[places] == theirs) & (
        hashes[places] == np.frombuffer(verdicts.hashes, np.uint64)
    )
    # Of several values for one place numpy keeps the last
    line = np.full(len(numbers), -1, np.int64)
    line[places[fits]] = np.flatnonzero(fits)
    there = line >= 0
    codes = np.where(there, np.frombuffer(verdicts.codes, np.uint8)[line], ABSENT).astype(np.uint8)
    found = verdicts.lines(line)
    return Said(codes, Lines(found.path, found.offsets, np.where(there, found.lengths, 0)))


def _documents(
    numbers: np.ndarray, known: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[rows] values, outcomes and refused of the responses, as documents.parquet has them."""
    import numpy as np

    values = np.full(len(numbers), np.nan)
    outcomes, refused = (np.full(len(numbers), ABSENT, np.uint8) for _ in range(2))
    if known is None or known.empty:
        return values, outcomes, refused
    theirs = known["doc_id"].to_numpy(np.int64) << _SAMPLE_BITS | known["sample"].to_numpy(np.int64)
    places = np.minimum(np.searchsorted(numbers, theirs), len(numbers) - 1)
    fits = numbers[places] == theirs
    places = places[fits]
    values[places] = known["value"].to_numpy(np.float64, na_value=np.nan)[fits]
    codes = known["outcome"].astype(str).map({name: code for code, name in enumerate(OUTCOMES)})
    outcomes[places] = codes.fillna(ABSENT).to_numpy(np.uint8)[fits]
    told = known["refused"].map({True: 1, False: 0})
    refused[places] = told.fillna(ABSENT).to_numpy(np.uint8)[fits]
    return values, outcomes, refused
