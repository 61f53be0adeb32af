"""Responses with levels of helpfulness and safety, as two judges' scores give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bfpo_bench.errors import UserError
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.judging import PlannedJudge, judge_texts
from bfpo_bench.levels import Levels
from bfpo_bench.progress import Ui
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.training.ama.rewards import check_judge, score_of
from bfpo_bench.training.control.sidecar import AXES, Axis, StoredCuts
from bfpo_bench.training.data.jsonl import LEVELS, conversation, pair, records
from bfpo_bench.training.data.messages import check_conversation
from bfpo_bench.training.data.rows import Drop, Fault

_AGAINST: Mapping[Axis, tuple[str, ...]] = {
    "helpfulness": ("harm", "toxicity"),
    "safety": ("refusal",),
}
"""Kinds that measure the other axis."""
_PAIR = ("chosen", "rejected")
NoScore = Literal["unjudged", "degenerate"]


@dataclass(frozen=True)
class ResponseRow:
    """A record as it will be written, but for its levels, and the two texts that judges see."""

    record: Mapping[str, Any]
    prompt: str
    response: str


@dataclass(frozen=True)
class Scored:
    """One judge's scores, in the order of the rows, or why there is none; `fault` is a sentence on
    what broke."""

    scores: Sequence[float | NoScore]
    fault: str | None = None


def check_axis(spec: JudgeSpec, axis: Axis) -> None:
    """Raises UserError for a judge that says nothing of single answers, or nothing of this axis."""
    check_judge(spec)
    if spec.kind in _AGAINST[axis]:
        raise UserError(
            f"--{axis} {spec.name} is a judge of {spec.kind}, which tells nothing of {axis}: name "
            f"{'a reward model (reward), or one of ratings or refusals' if axis == 'helpfulness' else 'one of harm or toxicity'}."
        )


def read_rows(path: Path) -> tuple[list[ResponseRow], Counter[str]]:
    """The file's responses, and how many records have none of use, by reason.

    A record is a conversation that ends with the response, as source jsonl reads it; or a pair, which
    is two. Raises UserError as source jsonl does, naming the line.
    """
    found, dropped = list[ResponseRow](), Counter[str]()
    for place, record in records(path):
        try:
            found += _rows(record)
        except Drop as drop:
            dropped[str(drop)] += 1
        except Fault as fault:
            raise UserError(f"{path}, {place}: {fault}.") from fault
    return found, dropped


def _rows(record: Mapping[str, Any]) -> list[ResponseRow]:
    if "chosen" in record and "messages" not in record:
        both, prompt = pair(record), record["prompt"]
        return [_row({"prompt": prompt, "response": r}) for r in (both.chosen, both.rejected)]
    # Levels that are there are given anew
    return [_row({k: v for k, v in record.items() if k not in LEVELS})]


def _row(record: Mapping[str, Any]) -> ResponseRow:
    messages = conversation(record)
    check_conversation(messages)
    return ResponseRow(record, messages[-2]["content"], messages[-1]["content"])


def scored(
    rows: Sequence[ResponseRow], planned: PlannedJudge, ui: Ui, arguments: Mapping[str, Any]
) -> Scored:
    """Each response's score by the judge. What a judge with a model has found is remembered, so that
    the same command goes on. Raises UserError for scores that cannot be read as numbers."""
    key = planned.judge.key
    try:
        findings = judge_texts(
            planned, [Text(row.prompt, row.response) for row in rows], ui, arguments
        )
    except StageCrash as crash:
        return Scored(
            ["unjudged"] * len(rows), f"judge {key} broke off: {crash}; the same command goes on"
        )
    told: list[float | NoScore] = []
    for finding in findings:
        score = score_of(planned.judge.spec, finding)
        none: NoScore = "degenerate" if finding.label == "degenerate" else "unjudged"
        told.append(none if score is None else score)
    broken = sum(finding.fault for finding in findings)
    fault = (
        f"judge {key}: {broken} of {len(rows)} responses are unjudged for a fault: the same command "
        "asks again for these"
    )
    return Scored(told, fault if broken else None)


def complete(
    said: Mapping[Axis, Scored],
) -> tuple[list[tuple[int, dict[Axis, float]]], Counter[str]]:
    """(place of the row, its scores) of those that have both, and how many have not, by reason: a
    judge's failure is no level."""
    found, left_out = list[tuple[int, dict[Axis, float]]](), Counter[str]()
    both = zip(*(said[axis].scores for axis in AXES), strict=True)
    for place, scores in enumerate(both):
        if "degenerate" in scores:
            left_out["degenerate response"] += 1
        elif "unjudged" in scores:
            left_out["unjudged response"] += 1
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
