"""The pairs whose outcome changed, and what stands behind them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from bfpo_bench.leaderboard.compare.pairing import PairedTask, is_discriminative, values
from bfpo_bench.leaderboard.compare.result import Direction, Flip
from bfpo_bench.runs import jsonl
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.paired_draws import Measure
from bfpo_bench.scoring.scores import TaskScore

_SIGNS: dict[Measure, int] = {
    "points": 1,
    "higher": 1,
    "complement": -1,
    # Neither answer to one document is the better one: half of each is
    "distance_from_half": 0,
}


@dataclass(frozen=True)
class SideBySide:
    """A flip with what was asked, and what either run answered.

    Of a discriminative task the answers are the choices that each model finds most likely.
    """

    flip: Flip
    prompt: str
    a: str
    b: str


def flips(task: PairedTask, score: TaskScore, measure: Measure) -> list[Flip]:
    """The task's judged pairs with another outcome or, of values of 0 and 1, another value in b."""
    a, b = values(task)
    rows = task.rows
    judged = ~(np.isnan(a) | np.isnan(b))
    if is_discriminative(score):
        whole = np.isin(np.concatenate([a, b]), (0, 1)).all()
        changed = (a != b) & judged & whole
        said_a, said_b = ([f"{score.raw_metric} {v:g}" for v in side] for side in (a, b))
    else:
        said_a, said_b = (rows[f"outcome_{side}"].astype(str).to_list() for side in "ab")
        changed = (np.array(said_a, object) != np.array(said_b, object)) & judged
    way = np.sign(np.nan_to_num(b - a)) * _SIGNS[measure]
    directions: dict[int, Direction] = {1: "better", -1: "worse", 0: "neither"}
    columns = (rows[name].to_numpy() for name in ("doc_id", "b_doc_id", "sample"))
    doc_ids, b_doc_ids, samples = columns
    return [
        Flip(
            task=task.name,
            doc_id=int(doc_ids[i]),
            b_doc_id=int(b_doc_ids[i]),
            sample=int(samples[i]),
            a_outcome=said_a[i],
            b_outcome=said_b[i],
            direction=directions[int(way[i])],
        )
        for i in np.flatnonzero(changed)
    ]


def side_by_side(a: FinishedRun, b: FinishedRun, flips: Sequence[Flip]) -> list[SideBySide]:
    """The flips with their prompts and answers, as the runs have them stored, in their order.

    A prompt is the last of the user's messages, or the last paragraph of a choice's context, before
    which examples may stand.
    """
    asked_a = {(f.task, f.doc_id, f.sample) for f in flips}
    asked_b = {(f.task, f.b_doc_id, f.sample) for f in flips}
    told_a, told_b = _told(a, asked_a), _told(b, asked_b)
    found = []
    for flip in flips:
        prompt, mine = told_a[(flip.task, flip.doc_id, flip.sample)]
        theirs = told_b[(flip.task, flip.b_doc_id, flip.sample)][1]
        found.append(SideBySide(flip, prompt, mine, theirs))
    return found


_Key = tuple[str, int, int]


class _Answer(msgspec.Struct, gc=False):
    task: str
    doc_id: int
    sample: int
    messages: list[dict[str, str]]
    response: str


class _Choices(msgspec.Struct, gc=False):
    doc_id: int
    arguments: list[list[str]]
    filtered_resps: list[tuple[float, bool]]


def _told(run: FinishedRun, keys: Collection[_Key]) -> dict[_Key, tuple[str, str]]:
    """Prompt and answer of each."""
    tasks = {task for task, _, _ in keys}
    by_choice = {task for task in tasks if is_discriminative(run.scores.tasks[task])}
    found: dict[_Key, tuple[str, str]] = {}
    for task in sorted(by_choice):
        found |= {key: told for key, told in _choices(run, task) if key in keys}
    if tasks - by_choice:
        for one in jsonl.read_as(run.folder.responses_file, _Answer):
            key = (one.task, one.doc_id, one.sample)
            if key in keys:
                users = [m.get("content", "") for m in one.messages if m.get("role") == "user"]
                found.setdefault(key, ("\n".join(users[-1:]), one.response))
    return found


def _choices(run: FinishedRun, task: str) -> Iterator[tuple[_Key, tuple[str, str]]]:
    for one in jsonl.read_as(run.folder.samples_file(task), _Choices):
        likelihoods = [likelihood for likelihood, _ in one.filtered_resps]
        best = likelihoods.index(max(likelihoods))
        context, choice = one.arguments[best][:2]
        yield (task, one.doc_id, 0), (context.rpartition("\n\n")[2], choice)
