"""Responses with levels of helpfulness and safety, as two judges' scores give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.judging import PlannedJudge, judge_texts
from bfpo_bench.levels import Levels
from bfpo_bench.progress import Ui
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.training.ama.rewards import bounded, check_judge, score_of
from bfpo_bench.training.control.sidecar import AXES, Axis, StoredCuts
from bfpo_bench.training.data.jsonl import LEVELS, conversation, pair, records
from bfpo_bench.training.data.messages import check_conversation
from bfpo_bench.training.data.rows import Drop, Fault, label
from bfpo_bench.training.kinds import is_asked

_AGAINST: Mapping[Axis, tuple[str, ...]] = {
    "helpfulness": ("harm", "toxicity"),
    "safety": ("refusal",),
}
"""Kinds that measure the other axis."""
_OF: Mapping[Axis, str] = {
    "helpfulness": "rewards, ratings or refusals",
    "safety": "harm or toxicity, or a reward model of safety",
}
_HELPFULNESS = ("rating", "beaver_reward")
"""Of the judges that come with this package those that grade helpfulness, which no kind says."""
NoScore = Literal["unjudged", "degenerate", "not asked"]
_NOT_ASKED: NoScore = "not asked"
_REASONS: Mapping[NoScore, str] = {
    "degenerate": "degenerate response",
    "unjudged": "unjudged response",
    "not asked": "prompt of a kind that a judge does not score",
}


@dataclass(frozen=True)
class ResponseRow:
    """A record as it will be written, but for its levels, and the two texts that judges see. `place`
    is its line; `harmful`: is it harmful to comply with the prompt? None where it does not say."""

    place: str
    record: Mapping[str, Any]
    prompt: str
    response: str
    harmful: bool | None


@dataclass(frozen=True)
class Scored:
    """One judge's scores, in the order of the rows, or why there is none; `fault` is a sentence on
    what broke."""

    scores: Sequence[float | NoScore]
    fault: str | None = None


def check_axis(spec: JudgeSpec, axis: Axis) -> None:
    """Raises UserError for a judge that says nothing of single answers, or nothing of this axis."""
    check_judge(spec)
    reason = None
    if spec.kind in _AGAINST[axis]:
        reason = f"is a judge of {spec.kind}"
    elif axis == "safety" and spec.name in _HELPFULNESS:
        reason = "grades helpfulness"
    elif axis == "safety" and "harmful" not in spec.prompts:
        reason = "scores benign prompts alone"
    if reason is not None:
        raise UserError(
            f"--{axis} {spec.name} {reason}, which tells nothing of {axis}: name a judge of {_OF[axis]}."
        )


def check_apart(judges: Mapping[Axis, PlannedJudge]) -> None:
    """Raises UserError for one judge of both axes: its levels would be the same thing twice."""
    first, second = (judges[axis] for axis in AXES)
    if first.identity() == second.identity():
        raise UserError(
            f"--helpfulness and --safety are the same judge, {first.judge.key}: name another for one of "
            "them."
        )


def read_rows(path: Path) -> tuple[list[ResponseRow], Counter[str]]:
    """The file's responses, and how many are of no use, by reason.

    A record is a conversation that ends with the response, as source jsonl reads it; or a pair, which
    is two, and both are left out for the fault of one. Raises UserError as source jsonl does, naming
    the line.
    """
    found, dropped = list[ResponseRow](), Counter[str]()
    for place, record in records(path):
        try:
            found += _rows(place, record)
        except Drop as drop:
            dropped[str(drop)] += 2 if _is_pair(record) else 1
        except Fault as fault:
            raise UserError(f"{path}, {place}: {fault}.") from fault
    return found, dropped


def _is_pair(record: Mapping[str, Any]) -> bool:
    return "chosen" in record and "messages" not in record


def _rows(place: str, record: Mapping[str, Any]) -> list[ResponseRow]:
    if _is_pair(record):
        both = pair(record)
        shared = {key: record[key] for key in ("prompt", "harmful") if key in record}
        return [_row(place, {**shared, "response": r}) for r in (both.chosen, both.rejected)]
    # Levels that are there are given anew
    return [_row(place, {k: v for k, v in record.items() if k not in LEVELS})]


def _row(place: str, record: Mapping[str, Any]) -> ResponseRow:
    messages = conversation(record)
    check_conversation(messages)
    prompt, response = (message["content"] for message in messages[-2:])
    return ResponseRow(place, record, prompt, response, label(record, "harmful"))


def scored(
    rows: Sequence[ResponseRow],
    axis: Axis,
    planned: PlannedJudge,
    ui: Ui,
    arguments: Mapping[str, Any],
) -> Scored:
    """Each response's score by the judge. What a judge with a model has found is remembered, so that
    the same command goes on.

    A judge of harmful prompts alone is not asked of others: whatever answers a benign prompt is safe,
    where the judge's scores are bounded and that has a number. `rows` are those that `check_kinds` lets
    pass. Raises UserError for scores that cannot be read as numbers.
    """
    spec, key = planned.judge.spec, planned.judge.key
    shown = [row for row in rows if is_asked(spec, row)]
    try:
        texts = [Text(row.prompt, row.response) for row in shown]
        findings = judge_texts(planned, texts, ui, arguments)
    except StageCrash as crash:
        return Scored(
            ["unjudged"] * len(rows), f"judge {key} broke off: {crash}; the same command goes on"
        )
    safe = axis == "safety" and bounded(spec)
    said = iter(_score(spec, finding) for finding in findings)
    told = [
        next(said) if is_asked(spec, row) else 1.0 if safe and not row.harmful else _NOT_ASKED
        for row in rows
    ]
    broken = sum(finding.fault for finding in findings)
    fault = (
        f"judge {key}: {broken} of {len(shown)} responses are unjudged for a fault: the same command "
        "asks again for these"
    )
    return Scored(told, fault if broken else None)


def _score(spec: JudgeSpec, finding: Finding) -> float | NoScore:
    score = score_of(spec, finding)
    if score is not None:
        return score
    return "degenerate" if finding.label == "degenerate" else "unjudged"


def complete(
    said: Mapping[Axis, Scored],
) -> tuple[list[tuple[int, dict[Axis, float]]], Counter[str]]:
    """(place of the row, its scores) of those that have both, and how many have not, by reason: a
    judge's failure is no level."""
    found, left_out = list[tuple[int, dict[Axis, float]]](), Counter[str]()
    both = zip(*(said[axis].scores for axis in AXES), strict=True)
    for place, scores in enumerate(both):
        if reasons := [reason for reason in _REASONS if reason in scores]:
            left_out[_REASONS[reasons[0]]] += 1
        else:
            numbers = (score for score in scores if not isinstance(score, str))
            found.append((place, dict(zip(AXES, numbers, strict=True))))
    return found, left_out


def levelled(
    rows: Sequence[ResponseRow], kept: Sequence[tuple[int, Mapping[Axis, float]]], cuts: StoredCuts
) -> Iterator[tuple[dict[str, Any], Levels]]:
    """The records with both levels, and the scores that they are made of."""
    for place, scores in kept:
        levels = Levels(*(cuts.of(axis).level(scores[axis]) for axis in AXES))
        told = {
            "helpfulness_level": levels.helpfulness,
            "safety_level": levels.safety,
            **{f"{axis}_score": scores[axis] for axis in AXES},
        }
        yield {**rows[place].record, **told}, levels
