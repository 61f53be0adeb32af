"""Pairs and conversations of several sources, in one shuffled list, with a report of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from bfpo_bench.errors import UserError
from bfpo_bench.training.data import beavertails, hh, jsonl, pku, ultrachat, ultrafeedback
from bfpo_bench.training.data.messages import assistant, check_conversation, check_pair
from bfpo_bench.training.data.rows import Drop, Fault, Row
from bfpo_bench.training.data.spec import WITHOUT_LABELS, DataSpec, SourceName, Target
from bfpo_bench.training.data.tables import open_table
from bfpo_bench.training.labels import CASES
from bfpo_bench.training.pairs import DataReport, Levelled, Message, Pair

T = TypeVar("T", Pair, list[Message], Levelled)


@dataclass(frozen=True)
class Source:
    """How a row is read: as a pair, as a conversation, as conversations with levels."""

    columns: tuple[str, ...] = ()
    pair: Callable[[Row], Pair] | None = None
    conversation: Callable[[Row], list[Message]] | None = None
    levelled: Callable[[Row, int], list[Levelled]] | None = None


SOURCES: dict[SourceName, Source] = {
    "pku-saferlhf": Source(pku.COLUMNS, pku.pair, levelled=pku.levelled),
    "ultrafeedback": Source(ultrafeedback.COLUMNS, ultrafeedback.pair),
    "ultrachat": Source(ultrachat.COLUMNS, conversation=ultrachat.conversation),
    "hh-rlhf": Source(hh.COLUMNS, hh.pair),
    "beavertails": Source(beavertails.COLUMNS, conversation=beavertails.conversation),
    "jsonl": Source((), jsonl.pair, jsonl.conversation, jsonl.levelled),
}


def load_pairs(
    specs: Sequence[DataSpec], seed: int, segments: bool = False
) -> tuple[list[Pair], list[DataReport]]:
    """The pairs of all sources, shuffled together by `seed`, and a report of each source.

    Chosen is the more helpful response. Every pair has both labels and, where `segments` says so,
    segments of both responses. Raises UserError as `check_pairs` does, for rows, labels and segments
    that are not what they should be, for whatever keeps a source from being read, and for a source of
    which nothing is left.
    """
    for spec in specs:
        check_pairs(spec, segments)
    return _shuffled([_pairs(spec, segments) for spec in specs], seed)


def load_conversations(
    specs: Sequence[DataSpec], seed: int
) -> tuple[list[list[Message]], list[DataReport]]:
    """The conversations of all sources for supervised fine-tuning, shuffled together by `seed`.

    Of pairs, `target` chosen takes the more helpful response as it is, safe or not: helpful-only
    fine-tuning. `target` safer takes the safer one and drops pairs of which both are unsafe; so a
    response that is labelled unsafe is never learnt. Of BeaverTails the safe responses are taken.
    Raises UserError as `load_pairs` does.
    """
    for spec in specs:
        check_conversations(spec)
    return _shuffled([_conversations(spec) for spec in specs], seed)


def load_levelled(
    specs: Sequence[DataSpec], seed: int, count: int
) -> tuple[list[Levelled], list[DataReport]]:
    """The conversations of all sources with their levels, each below `count`, shuffled together by
    `seed`. A pair of PKU-SafeRLHF is two of them. Raises UserError as `check_levelled` does, for a row
    without levels, and as `load_pairs` does."""
    for spec in specs:
        check_levelled(spec, count)
    return _shuffled([_levelled(spec, count) for spec in specs], seed)


def check_pairs(spec: DataSpec, segments: bool = False) -> None:
    """Raise UserError for a spec that cannot give pairs, or none with segments where these are
    wanted. Nothing is loaded."""
    if segments and spec.source != "jsonl":
        raise UserError(
            f"Source {spec.source} has no segment rewards, by which ama masks: take source jsonl with "
            "a file that `bfpo-bench segments` wrote, or leave ama out."
        )
    if SOURCES[spec.source].pair is None:
        raise UserError(
            f"Source {spec.source} has single responses and no pairs: use it for supervised "
            "fine-tuning, or name a source of pairs."
        )
    if spec.target is not None:
        raise UserError(
            f"Source {spec.source} has target {spec.target}, which is for supervised fine-tuning, "
            "and pairs keep both responses: remove it."
        )
    if spec.source in WITHOUT_LABELS and not spec.assume_safe:
        raise UserError(
            f"Source {spec.source} has no safety labels: set assume_safe: true to take all its "
            "responses as safe, or name a labelled source."
        )


def check_conversations(spec: DataSpec) -> None:
    """Raise UserError for a spec that cannot give conversations. Nothing is loaded."""
    if spec.assume_safe:
        raise UserError(
            f"Source {spec.source} has assume_safe, which labels pairs, and conversations have no "
            "labels: remove it."
        )
    if SOURCES[spec.source].conversation is None and spec.target is None:
        raise UserError(
            f"Source {spec.source} has pairs, and supervised fine-tuning learns one response: set "
            "target to chosen (the more helpful one) or safer."
        )


def check_levelled(spec: DataSpec, count: int) -> None:
    """Raise UserError for a spec that cannot give conversations with `count` levels, and for a file
    whose cuts lie beside it and make another number. No data are loaded."""
    from bfpo_bench.training.control.sidecar import check_count

    if SOURCES[spec.source].levelled is None:
        raise UserError(
            f"Source {spec.source} has no levels of helpfulness and safety: take source jsonl with a file "
            "that `bfpo-bench levels` wrote, pku-saferlhf, or leave levels out."
        )
    for key in ("target", "assume_safe"):
        if getattr(spec, key):
            raise UserError(
                f"Source {spec.source} has {key}, and with levels every response is learnt as what it "
                "is: remove it."
            )
    if spec.source == "pku-saferlhf" and count != pku.LEVELS:
        raise UserError(
            f"Source pku-saferlhf has labels for levels: {pku.LEVELS}, and the recipe says {count}: set it "
            f"to {pku.LEVELS}, or take source jsonl."
        )
    if spec.path is not None:
        check_count(spec.path, count)


def _pairs(spec: DataSpec, segments: bool) -> tuple[list[Pair], DataReport]:
    read = SOURCES[spec.source].pair
    assert read is not None

    def usable(row: Row) -> list[Pair]:
        pair = _labelled(read(row), spec, row)
        if segments:
            _check_segments(pair)
        check_pair(pair)
        return [pair]

    pairs, report = _read(spec, usable, "pair")
    for pair in pairs:
        report.cases[CASES[2 * (not pair.chosen_safe) + (not pair.rejected_safe)]] += 1
    if spec.assume_safe:
        report.changed["assumed safe"] = len(pairs)
    return pairs, report


def _labelled(pair: Pair, spec: DataSpec, row: Row) -> Pair:
    if spec.assume_safe:
        return replace(pair, chosen_safe=True, rejected_safe=True)
    if pair.chosen_safe is None or pair.rejected_safe is None:
        raise Fault(
            f"the pair lacks a safety label (it has {', '.join(row)}): label both responses, or set "
            "assume_safe: true to take them as safe"
        )
    return pair


def _check_segments(pair: Pair) -> None:
    for side in ("chosen", "rejected"):
        if getattr(pair, f"{side}_segments") is None:
            raise Fault(
                f"the pair has no {side}_segments, by which ama masks: give both responses segments "
                "(bfpo-bench segments), or leave ama out"
            )


def _conversations(spec: DataSpec) -> tuple[list[list[Message]], DataReport]:
    source, target = SOURCES[spec.source], spec.target

    def usable(row: Row) -> list[list[Message]]:
        if target is None:
            assert source.conversation is not None
            conversation = source.conversation(row)
        else:
            assert source.pair is not None
            conversation = _targeted(source.pair(row), target)
        check_conversation(conversation)
        return [conversation]

    return _read(spec, usable, "conversation")


def _levelled(spec: DataSpec, count: int) -> tuple[list[Levelled], DataReport]:
    read = SOURCES[spec.source].levelled
    assert read is not None

    def usable(row: Row) -> list[Levelled]:
        found = read(row, count)
        for one in found:
            check_conversation(one.messages)
        return found

    return _read(spec, usable, "response")


def _targeted(pair: Pair, target: Target) -> list[Message]:
    response = pair.chosen if target == "chosen" else _safer_response(pair)
    return [*pair.prompt, assistant(response)]


def _safer_response(pair: Pair) -> str:
    """The labels decide where they differ, `safer` between two safe responses."""
    if pair.chosen_safe is None or pair.rejected_safe is None:
        raise Fault("the pair lacks a safety label, and target is safer: label both responses")
    if not pair.chosen_safe and not pair.rejected_safe:
        raise Drop("both unsafe")
    if pair.chosen_safe != pair.rejected_safe:
        return pair.chosen if pair.chosen_safe else pair.rejected
    if pair.safer is None:
        raise Drop("no safety preference")
    return pair.chosen if pair.safer == "chosen" else pair.rejected


def _read(
    spec: DataSpec, usable: Callable[[Row], list[T]], noun: str
) -> tuple[list[T], DataReport]:
    table = open_table(spec, SOURCES[spec.source].columns)
    report = DataReport(spec.source, table.origin, table.revision, table.split)
    report.rows, report.taken = table.total, table.taken
    found: list[T] = []
    for place, row in table.rows:
        try:
            found += usable(row)
            report.used += 1
        except Drop as drop:
            report.dropped[str(drop)] += 1
        except Fault as fault:
            raise UserError(f"{table.name}, {place}: {fault}.") from fault
    if not found:
        counts = "".join(f", {n:,} {reason}" for reason, n in report.dropped.most_common())
        group = f" for group {spec.group}" if spec.group is not None else ""
        raise UserError(
            f"{table.name}: no {noun} is left{group} (rows {table.total:,}, taken {table.taken:,}"
            f"{'; dropped' + counts[1:] if counts else ''}): take more of it, or other data."
        )
    report.sha256 = _sha256(found)
    return found, report


def _sha256(used: Iterable[Pair | list[Message] | Levelled]) -> str:
    """Of the canonical JSON of each, a line each."""
    digest = hashlib.sha256()
    for item in used:
        told = item if isinstance(item, list) else item.dump()
        digest.update(json.dumps(told, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _shuffled(
    parts: Sequence[tuple[list[T], DataReport]], seed: int
) -> tuple[list[T], list[DataReport]]:
    items = [item for part, _ in parts for item in part]
    Random(seed).shuffle(items)
    return items, [report for _, report in parts]
