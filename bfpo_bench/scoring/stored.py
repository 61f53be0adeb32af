"""What a run has stored of its generative tasks, read once for all scores."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from bfpo_bench.judges.baseline import Reference, baseline_answers, baseline_of
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Label, Response
from bfpo_bench.scoring.graded import SCALES, Lengths
from bfpo_bench.scoring.said import Responses, Said, code_of
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    import numpy as np

# A document and a sample are one number while verdicts are matched with responses
_SAMPLE_BITS = 20
_Document = Annotated[int, msgspec.Meta(ge=0, lt=1 << 42)]
_Sample = Annotated[int, msgspec.Meta(ge=0, lt=1 << _SAMPLE_BITS)]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class _Answer(msgspec.Struct, gc=False):
    """What scores read of a response. Lines of older versions have no hash."""

    task: str
    doc_id: _Document
    sample: _Sample
    engine: str
    text_hash: _Hash | None = None


class _Verdict(msgspec.Struct, gc=False):
    """What scores read of a verdict."""

    task: str
    doc_id: _Document
    sample: _Sample
    text_hash: _Hash
    label: Label
    score: float | None = None
    fault: bool = False


class _Likelihood(msgspec.Struct, gc=False):
    engine: str


@dataclass(frozen=True)
class Stored:
    """`keys`: task -> its responses in order. `said`: judge key -> task -> what the judge says of them.
    `lengths`: of tasks whose answers are compared. `engines`: all that answered, by name."""

    keys: Mapping[str, Responses]
    said: Mapping[str, Mapping[str, Said]]
    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    engines: Sequence[str] = ()

    def responses(self, task: str) -> Responses:
        """None of a task that was not asked."""
        return self.keys.get(task) or Responses(task, (), ())

    def of(self, judge: str, task: str) -> Said:
        """What the judge says of the task's responses, in their order."""
        found = self.said[judge].get(task)
        return Said.nothing(len(self.responses(task))) if found is None else found


def read_stored(
    run: RunFolder, tasks: Sequence[TaskSpec], judges: Sequence[Judge], baseline: Path | None
) -> Stored:
    """Responses, verdicts and lengths of a run. `baseline`: the run that answers were compared with.

    A response that is stored twice counts as it came first; of several verdicts on one text the last.
    Raises UserError for a damaged line, naming it.
    """
    comparing = _Comparing.of(tasks, judges, baseline)
    lines: dict[str, _Lines] = defaultdict(_Lines)
    engines: set[str] = set()
    for answer, line in jsonl.read_lines_as(run.responses_file, _Answer):
        engines.add(answer.engine)
        told = answer.text_hash
        if told is None or answer.task in comparing.tasks:
            response = Response.load(json.loads(line))
            told = told or response.text_hash
            comparing.add(response)
        lines[answer.task].add(answer.doc_id, answer.sample, told)
    engines |= {line.engine for line in jsonl.read_as(run.likelihoods_file, _Likelihood)}
    texts = {task: _texts(mine) for task, mine in lines.items()}
    return Stored(
        keys={task: _responses(task, mine) for task, mine in texts.items()},
        said={j.key: _said(run, j, texts) for j in judges},
        lengths=comparing.lengths,
        engines=sorted(engines),
    )


@dataclass
class _Lines:
    """One task's lines of a file, as columns: 16 bytes each, and 10 more where they are verdicts."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    codes: bytearray = field(default_factory=bytearray)
    faults: bytearray = field(default_factory=bytearray)
    scores: array[float] = field(default_factory=lambda: array("d"))

    def add(self, doc_id: int, sample: int, text_hash: str) -> None:
        self.numbers.append(doc_id << _SAMPLE_BITS | sample)
        self.hashes.append(int(text_hash, 16))


@dataclass(frozen=True)
class _Texts:
    """A task's responses, each once and in order: [responses] numbers (int64) and hashes (uint64)."""

    numbers: np.ndarray
    hashes: np.ndarray


def _texts(lines: _Lines) -> _Texts:
    import numpy as np

    numbers, first = np.unique(np.frombuffer(lines.numbers, np.int64), return_index=True)
    return _Texts(numbers, np.frombuffer(lines.hashes, np.uint64)[first])


def _responses(task: str, texts: _Texts) -> Responses:
    documents, samples = texts.numbers >> _SAMPLE_BITS, texts.numbers & ((1 << _SAMPLE_BITS) - 1)
    return Responses(task, array("q", documents.tobytes()), array("q", samples.tobytes()))


def _said(run: RunFolder, judge: Judge, texts: Mapping[str, _Texts]) -> dict[str, Said]:
    """What the judge says of every task's responses."""
    lines: dict[str, _Lines] = defaultdict(_Lines)
    graded = judge.spec.kind in SCALES
    for verdict in jsonl.read_as(run.verdicts_file(judge.key), _Verdict):
        mine = lines[verdict.task]
        mine.add(verdict.doc_id, verdict.sample, verdict.text_hash)
        mine.codes.append(code_of(verdict.label))
        mine.faults.append(verdict.fault)
        if graded:
            mine.scores.append(float("nan") if verdict.score is None else verdict.score)
    return {
        task: _matched(lines.pop(task), of, graded) for task, of in texts.items() if task in lines
    }


def _matched(lines: _Lines, texts: _Texts, graded: bool) -> Said:
    """The verdicts in the order of the responses, as far as they are on the texts stored now."""
    import numpy as np

    numbers = np.frombuffer(lines.numbers, np.int64)
    places = np.minimum(np.searchsorted(texts.numbers, numbers), len(texts.numbers) - 1)
    hashes = np.frombuffer(lines.hashes, np.uint64)
    fits = (texts.numbers[places] == numbers) & (texts.hashes[places] == hashes)
    places = places[fits]

    def column(values: array[float] | bytearray, kind: type, empty: float) -> np.ndarray:
        found: np.ndarray = np.full(len(texts.numbers), empty, kind)
        # Of several values for one place numpy keeps the last
        found[places] = np.frombuffer(values, kind)[fits]
        return found

    return Said(
        codes=column(lines.codes, np.uint8, code_of("unjudged")).tobytes(),
        scores=array("d", column(lines.scores, np.float64, np.nan).tobytes()) if graded else None,
        fault=bool(column(lines.faults, np.uint8, 0).any()),
    )


@dataclass(frozen=True)
class _Comparing:
    """Lengths of the answers of `tasks`, which judges of preferences compare with others."""

    tasks: frozenset[str]
    references: Mapping[str, str]
    answers: Mapping[tuple[str, int], Reference] | None
    lengths: dict[str, Lengths] = field(default_factory=dict)

    @classmethod
    def of(
        cls, tasks: Sequence[TaskSpec], judges: Sequence[Judge], baseline: Path | None
    ) -> _Comparing:
        compares = any(j.spec.kind == "preference" for j in judges)
        names = frozenset(t.name for t in tasks if compares and "preference" in t.judged_by)
        references = {t.name: t.baseline for t in tasks if t.baseline is not None}
        answers = baseline_answers(RunFolder(baseline)) if baseline and names else None
        return cls(names, references, answers)

    def add(self, response: Response) -> None:
        """Note the lengths of a response of one of the tasks, the first time that it comes."""
        if response.task not in self.tasks:
            return
        mine = self.lengths.setdefault(response.task, Lengths({}, {}))
        if response.key in mine.model:
            return
        told = strip_reasoning(response.response, opened=response.reasoning_open).text
        mine.model[response.key] = len(told)
        other = baseline_of(response, self.answers, self.references)
        if isinstance(other, str):
            mine.baseline[response.key] = len(other)
