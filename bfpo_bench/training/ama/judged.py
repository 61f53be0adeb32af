"""Pairs with the rewards of their segments, as a judge's scores of ever longer beginnings give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.judging import PlannedJudge, judge_texts
from bfpo_bench.progress import Ui
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.training.ama.cut import cut
from bfpo_bench.training.ama.rewards import score_of, segment_rewards
from bfpo_bench.training.data.jsonl import pair, records
from bfpo_bench.training.data.messages import check_pair
from bfpo_bench.training.data.rows import Drop, Fault, label
from bfpo_bench.training.kinds import check_kinds, is_asked
from bfpo_bench.training.pairs import Pair, Side

SIDES: tuple[Side, Side] = ("chosen", "rejected")
NOT_ASKED = "prompt of a kind that the judge does not score"


@dataclass(frozen=True)
class PairRow:
    """A record of the user's file as it is, and the pair that it holds. `place` is its line; `harmful`:
    is it harmful to comply with the prompt? None where it does not say."""

    place: str
    record: Mapping[str, Any]
    pair: Pair
    harmful: bool | None


@dataclass(frozen=True)
class Segmented:
    """`records` are the file's, in its order, with chosen_segments and rejected_segments; `segments`
    counts those. `left_out` counts the other pairs by reason; `faults` are sentences on what broke."""

    records: list[dict[str, Any]]
    segments: int
    left_out: Counter[str]
    faults: list[str]


def read_rows(path: Path) -> tuple[list[PairRow], Counter[str]]:
    """The file's pairs, and how many records are none, by reason. Safety labels are not asked for.

    Raises UserError as source jsonl does, naming the line.
    """
    found, dropped = [], Counter[str]()
    for place, record in records(path):
        try:
            # Segments that are there are cut and judged anew
            bare = {k: v for k, v in record.items() if not k.endswith("_segments")}
            row = PairRow(place, bare, pair(bare), label(bare, "harmful"))
            check_pair(row.pair)
        except Drop as drop:
            dropped[str(drop)] += 1
        except Fault as fault:
            raise UserError(f"{path}, {place}: {fault}.") from fault
        else:
            found.append(row)
    return found, dropped


def check_segment_kinds(file: Path, rows: Sequence[PairRow], spec: JudgeSpec) -> None:
    """Raises UserError where a reward depends on the kind of a row's prompt, which it does not say."""
    refusals = "finds refusals, which are right for harmful prompts and wrong for benign ones"
    check_kinds(file, rows, spec, refusals if spec.kind == "refusal" else None)


def segment_pairs(
    rows: Sequence[PairRow], planned: PlannedJudge, ui: Ui, arguments: Mapping[str, Any]
) -> Segmented:
    """Each response cut into segments, and each segment's reward by the judge.

    A pair whose prompt is of a kind that the judge does not score is left out unasked, and one of which
    any beginning was not judged as well: a failure is no reward. What a judge with a model has found is
    remembered, so that the same command goes on. Judge and rows are such that `check_judge` and
    `check_segment_kinds` let pass. Raises UserError for scores that cannot be read as numbers.
    """
    spec, given = planned.judge.spec, rows
    rows = [row for row in given if is_asked(spec, row)]
    cuts = [{side: cut(getattr(row.pair, side)) for side in SIDES} for row in rows]
    texts = [
        Text(row.pair.prompt[-1]["content"], beginning)
        for row, sides in zip(rows, cuts, strict=True)
        for side in SIDES
        for beginning in _beginnings(sides[side])
    ]
    try:
        findings = iter(judge_texts(planned, texts, ui, arguments))
    except StageCrash as crash:
        fault = f"judge {planned.judge.key} broke off: {crash}; the same command goes on"
        return Segmented([], 0, Counter({"not judged": len(given)}), [fault])
    written: list[dict[str, Any]] = []
    left_out, segments, broken = Counter[str](), 0, 0
    if unasked := len(given) - len(rows):
        left_out[NOT_ASKED] = unasked
    for row, sides in zip(rows, cuts, strict=True):
        said = {side: [next(findings) for _ in sides[side]] for side in SIDES}
        broken += sum(finding.fault for some in said.values() for finding in some)
        rewarded = {f"{s}_segments": _segments(spec, row, sides[s], said[s]) for s in SIDES}
        if None in rewarded.values():
            left_out[_reason(said)] += 1
        else:
            written.append({**row.record, **rewarded})
            segments += sum(len(some) for some in sides.values())
    faults = []
    if broken:
        faults.append(
            f"judge {planned.judge.key}: {broken} of {len(texts)} beginnings are unjudged for a fault: "
            "the same command asks again for these"
        )
    return Segmented(written, segments, left_out, faults)


def _beginnings(segments: Sequence[str]) -> Iterator[str]:
    text = ""
    for segment in segments:
        text += segment
        yield text


def _segments(
    spec: JudgeSpec, row: PairRow, texts: Sequence[str], findings: Sequence[Finding]
) -> list[dict[str, Any]] | None:
    scores = [score for finding in findings if (score := score_of(spec, finding)) is not None]
    if len(scores) < len(texts):
        return None
    if spec.kind == "refusal" and row.harmful:
        scores = [-score for score in scores]
    rewards = segment_rewards(scores)
    return [{"text": t, "reward": r} for t, r in zip(texts, rewards, strict=True)]


def _reason(said: Mapping[Side, Sequence[Finding]]) -> str:
    labels = {finding.label for some in said.values() for finding in some}
    return "unjudged beginning" if "unjudged" in labels else "degenerate beginning"
