"""Figures of each part, and the table that is printed of them."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from benchmarks.torture.damage import Damages
from benchmarks.torture.disks import Disks
from benchmarks.torture.kills import Tally
from benchmarks.torture.stops import Stops


def of_kills(tally: Tally) -> dict[str, Any]:
    moments: Counter[str] = Counter()
    victims: Counter[str] = Counter()
    for what, count in tally.tried.items():
        _, event, victim = what.split(" | ")
        moments[event] += count
        victims[victim] += count
    return {
        "tried": tally.kills,
        "runs": tally.runs,
        "parts": dict(tally.parts),
        "moments": dict(moments),
        "victims": dict(victims),
        "files": dict(tally.files),
        "lines_at_kill": tally.lines_at_kill,
        "lost": len(tally.lost),
        "doubled": len(tally.doubled),
        "asked again": len(tally.asked_again),
        "half-written files": len(tally.half_written),
        "other scores": len(tally.other_scores),
        "other rows": len(tally.other_rows),
        "left running": tally.left_running,
        "drafts left behind": len(tally.drafts_left),
        "other answers": tally.other_answers,
        "faults": tally.faults(),
    }


def of_stops(stops: Stops) -> dict[str, Any]:
    return {
        "tried": len(stops.seconds) + stops.ignored,
        "missed": stops.missed,
        "ignored": stops.ignored,
        "moments": dict(stops.tried),
        "median seconds": round(statistics.median(stops.seconds or [0]), 2),
        "most seconds": round(max(stops.seconds, default=0), 2),
        "faults": stops.faults,
    }


def of_damages(damages: Damages) -> dict[str, Any]:
    ends: Counter[str] = Counter()
    for outcomes in damages.outcomes.values():
        ends.update(outcomes)
    return {
        "tried": damages.tried,
        **ends,
        "outcomes": {name: dict(count) for name, count in damages.outcomes.items()},
        "faults": damages.faults,
    }


def of_disks(disks: Disks) -> dict[str, Any]:
    if disks.skipped is not None:
        return {"tried": 0, "skipped": disks.skipped, "faults": []}
    return {"tried": len(disks.tried), "outcomes": disks.tried, "faults": disks.faults}


def faults(found: dict[str, Any]) -> list[str]:
    """What must not be, of all parts."""
    parts = {name: part for name, part in found.items() if isinstance(part, dict)}
    return [f"{name}: {fault}" for name, part in parts.items() for fault in part["faults"]]


def table(found: dict[str, Any]) -> str:
    """A line for each figure; then every fault."""
    lines = [f"{found['responses']} responses a run, seed {found['seed']}"]
    for name, part in found.items():
        if not isinstance(part, dict):
            continue
        lines.append("")
        for key, value in part.items():
            if key in ("lines_at_kill", "faults"):
                continue
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
            if isinstance(value, list):
                value = f"{len(value)}" + (f" ({'; '.join(value[:5])})" if value else "")
            lines.append(f"{name:<8} {key:<20} {value}")
    wrong = faults(found)
    lines += ["", f"faults: {len(wrong)}", *wrong[:50]]
    return "\n".join(lines)
