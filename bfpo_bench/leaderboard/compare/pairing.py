"""Which document of one run is which of the other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.same import judges_of_tasks, why_not
from bfpo_bench.names import shortened
from bfpo_bench.runs import jsonl
from bfpo_bench.scoring.documents import read_documents
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import TaskScore

_NAMED = 3
_KNOWN = ("hub_id", "revision", "fingerprint", "drift")


@dataclass(frozen=True)
class PairedTask:
    """One task's pairs in the order of a's documents.

    `rows` has the columns doc_id (a's), b_doc_id, sample, and of either run value_a, outcome_a,
    value_b, outcome_b. `unpaired_a` and `unpaired_b` responses have no partner.
    """

    name: str
    rows: pd.DataFrame
    unpaired_a: int
    unpaired_b: int


@dataclass(frozen=True)
class Pairing:
    """`tasks` that are compared; `refused`: task -> why it is not; and tasks that one run alone has."""

    tasks: dict[str, PairedTask]
    refused: dict[str, str]
    only_a: list[str]
    only_b: list[str]


def pair(a: FinishedRun, b: FinishedRun) -> Pairing:
    """Pair the documents of the tasks that mean the same in both runs.

    Where revision and hash of a task's documents are equal, so are their numbers; else documents are
    paired one by one by their contents: the user's messages, or lm-eval's hash of the document.
    Documents with equal contents are paired in their order. Raises UserError for runs without a
    common task, and for a run whose table of documents is missing or does not belong to its scores.
    """
    _check_common(a, b)
    tasks: dict[str, PairedTask] = {}
    refused: dict[str, str] = {}
    judges_a, judges_b = judges_of_tasks(a), judges_of_tasks(b)
    documents_a, documents_b = _by_task(a), _by_task(b)
    for task in a.scores.tasks:
        if task not in b.scores.tasks:
            continue
        reason = why_not(task, a, b, judges_a.get(task, {}), judges_b.get(task, {}))
        if reason is None:
            documents = (_checked(a, task, documents_a), _checked(b, task, documents_b))
            found = _paired(task, (a, b), documents)
            reason = _empty(found)
            tasks |= {} if reason else {task: found}
        if reason is not None:
            refused[task] = reason
    return Pairing(
        tasks,
        refused,
        [task for task in a.scores.tasks if task not in b.scores.tasks],
        [task for task in b.scores.tasks if task not in a.scores.tasks],
    )


def _check_common(a: FinishedRun, b: FinishedRun) -> None:
    if a.scores.tasks.keys() & b.scores.tasks.keys():
        return
    asked = " and ".join(f"{shortened(run.run_id)} of {_named(run)}" for run in (a, b))
    raise UserError(
        f"The runs have no task in common ({asked}): compare runs that were asked the same tasks."
    )


def _named(run: FinishedRun) -> str:
    tasks = list(run.scores.tasks)
    more = f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else ""
    return f"{', '.join(map(shortened, tasks[:_NAMED])) or 'none'}{more}"


def _by_task(run: FinishedRun) -> dict[str, pd.DataFrame]:
    return {
        str(task): rows for task, rows in read_documents(run.folder).groupby("task", observed=True)
    }


def _checked(run: FinishedRun, task: str, documents: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The task's rows, whose mean is what the run's scores say."""
    score = run.scores.tasks[task]
    expected = score.raw_value if is_discriminative(score) else score.value
    rows = documents.get(task)
    if rows is None or not (abs(float(rows["value"].mean()) - float(expected or 0)) <= 1e-6):
        raise UserError(
            f"{run.folder.documents_file} and {run.folder.scores_file.name} do not agree on {task}: "
            "give the run's command again, which makes both anew from what is stored."
        )
    return rows


def is_discriminative(score: TaskScore) -> bool:
    return score.cell.endswith("/discriminative")


def _empty(task: PairedTask) -> str | None:
    if not len(task.rows):
        return "the runs have none of its documents in common"
    if not (task.rows["value_a"].notna() & task.rows["value_b"].notna()).any():
        return "no response of it is judged in both runs"
    return None


def _paired(
    task: str, runs: tuple[FinishedRun, FinishedRun], documents: tuple[pd.DataFrame, pd.DataFrame]
) -> PairedTask:
    a, b = documents
    on = ["doc_id", "sample"]
    if not _same_data(task, *runs):
        on = ["content", "occurrence", "sample"]
        a, b = (
            _with_contents(rows, _contents(task, run))
            for rows, run in zip(documents, runs, strict=True)
        )
    columns = ["value", "outcome"]
    left = a[[*dict.fromkeys([*on, "doc_id"]), *columns]]
    right = b[[*on, *columns]].assign(b_doc_id=b["doc_id"])
    rows = left.merge(right, on=on, suffixes=("_a", "_b"), validate="one_to_one")
    rows = rows.sort_values(["doc_id", "sample"], ignore_index=True)
    return PairedTask(task, rows, len(a) - len(rows), len(b) - len(rows))


def _same_data(task: str, a: FinishedRun, b: FinishedRun) -> bool:
    """Whether equal numbers of documents mean equal documents."""
    mine, theirs = (run.manifest.data.get(task, {}) for run in (a, b))
    known = mine.get("fingerprint") is not None
    return known and all(mine.get(part) == theirs.get(part) for part in _KNOWN)


def _with_contents(rows: pd.DataFrame, contents: Mapping[int, str]) -> pd.DataFrame:
    """With the contents of each row's document, and which one of equal contents it is."""
    content = rows["doc_id"].map(contents)
    found = rows.assign(content=content)[content.notna()].sort_values(["doc_id", "sample"])
    return found.assign(occurrence=found.groupby(["content", "sample"]).cumcount())


class _Sample(msgspec.Struct, gc=False):
    doc_id: int
    doc_hash: str


class _Asked(msgspec.Struct, gc=False):
    task: str
    doc_id: int
    messages: list[dict[str, str]]


def _contents(task: str, run: FinishedRun) -> dict[int, str]:
    """Document -> a hash of what it asks."""
    file = run.folder.samples_file(task)
    if is_discriminative(run.scores.tasks[task]):
        return {one.doc_id: one.doc_hash for one in jsonl.read_as(file, _Sample)}
    return {
        one.doc_id: _hash(one.messages)
        for one in jsonl.read_as(run.folder.responses_file, _Asked)
        if one.task == task
    }


def _hash(messages: list[dict[str, str]]) -> str:
    told = [m.get("content") for m in messages if m.get("role") == "user"]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def values(task: PairedTask) -> tuple[np.ndarray, np.ndarray]:
    """[pairs] of either run, NaN where a response is unjudged."""
    return (
        task.rows["value_a"].to_numpy(np.float64, na_value=np.nan),
        task.rows["value_b"].to_numpy(np.float64, na_value=np.nan),
    )
