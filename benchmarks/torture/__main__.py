"""Torture a run: kills, stops, damage, full disks; print what was tried, how often, what was lost.

    python -m benchmarks.torture [kills|stops|damage|disks|real ...] [--kills N] [--small] [--json FILE]

Without a name, all are done. A user's suite of local files (three generative tasks and one of
choices, `--responses` responses) runs on the null engine, with the default judges and one behind a
local server, and is compared with a run that nobody disturbed:

kills    SIGKILL at random moments of the respond, judge and score stages, also in the middle of a line,
         between write and rename, and around the cache of verdicts; of the command, of the stage, or of
         all its processes. The same command goes on until so many have died.
real     the same with the transformers engine and a small model: responses that a batch of another
         make-up decided otherwise are counted and listed.
stops    SIGTERM and SIGINT at random moments: exit code, sentence, seconds, what is left running.
damage   flipped bits, changed digits, holes, missing and doubled lines, deleted files: the same scores,
         or a sentence.
disks    full and read-only ones (needs the right to mount).

The exit code is 1 where anything was lost, doubled, asked again, or scored otherwise. `--small` takes
minutes instead of hours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import finished_run, rate
from judge_server import JudgeServer

from benchmarks.torture import report
from benchmarks.torture.damage import damage
from benchmarks.torture.disks import fill_disks
from benchmarks.torture.kills import Reference, at_random, torture, undisturbed
from benchmarks.torture.stops import stop
from benchmarks.torture.workload import Workload, build

PARTS = ("kills", "stops", "damage", "disks", "real")
PAUSE = 0.0005
"""Seconds before each answer: without them a stage would be over before it could be killed."""


def tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--responses", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--stops", type=int)
    parser.add_argument("--damage", type=int, help="how many times")
    parser.add_argument("--disks", type=int, help="how many sizes")
    parser.add_argument("--real-kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--folder", type=Path, help="where to work; kept afterwards")
    asked = parser.parse_args(arguments)
    if others := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {' or '.join(sorted(others))}: take {', '.join(PARTS)}")
    full = {"responses": 2000, "kills": 100, "stops": 20, "damage": 500, "disks": 6}
    small = {"responses": 300, "kills": 8, "stops": 2, "damage": 40, "disks": 1}
    full["real_kills"], small["real_kills"] = 10, 3
    for name, count in (small if asked.small else full).items():
        if getattr(asked, name) is None:
            setattr(asked, name, count)
    if asked.json is not None:
        # Before the hours of work, whose figures a missing folder would lose
        asked.json.parent.mkdir(parents=True, exist_ok=True)
    return asked


def main() -> int:
    asked = options()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="bfpo-bench-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = run(asked, folder.resolve(), asked.parts or list(PARTS))
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(report.table(found))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if report.faults(found) else 0


def run(asked: argparse.Namespace, folder: Path, parts: list[str]) -> dict[str, Any]:
    """The figures of each part."""
    found: dict[str, Any] = {"responses": asked.responses, "seed": asked.seed}
    if {"kills", "stops", "disks"} & set(parts):
        workload = build(folder / "null", asked.responses)
        with JudgeServer(rate) as server:
            command = workload.command(judge_url=server.url)
            reference = undisturbed(workload, folder / "undisturbed", command, PAUSE)
            tell(f"undisturbed: {reference.seconds['main']:.0f} s")
            against = Against(workload, reference, command)
            for name, part in (("kills", _killed), ("stops", _stopped), ("disks", _filled)):
                if name in parts:
                    found[name] = _timed(part, asked, folder / name, against)
    if "damage" in parts:
        found["damage"] = _timed(_damaged, asked, folder / "damage")
    if "real" in parts:
        found["real"] = _timed(_real, asked, folder / "real")
    return found


@dataclass(frozen=True)
class Against:
    """What is tortured, and the undisturbed run of the same command."""

    workload: Workload
    reference: Reference
    command: tuple[str, ...]


def _killed(asked: argparse.Namespace, folder: Path, against: Against) -> dict[str, Any]:
    tally = torture(
        against.workload,
        against.reference,
        folder,
        against.command,
        kills=asked.kills,
        choose=at_random(against.reference, asked.seed),
        pause=PAUSE,
        tell=tell,
    )
    return report.of_kills(tally)


def _stopped(asked: argparse.Namespace, folder: Path, against: Against) -> dict[str, Any]:
    stops = stop(
        against.workload,
        against.reference,
        folder,
        against.command,
        stops=asked.stops,
        seed=asked.seed,
        pause=PAUSE,
        tell=tell,
    )
    return report.of_stops(stops)


def _filled(asked: argparse.Namespace, folder: Path, against: Against) -> dict[str, Any]:
    disks = fill_disks(
        against.workload,
        against.reference,
        folder,
        against.command,
        sizes=asked.disks,
        tell=tell,
    )
    return report.of_disks(disks)


def _damaged(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    with finished_run(folder) as bench:
        found = damage(bench, folder, times=asked.damage, seed=asked.seed, tell=tell)
    return report.of_damages(found)


def _real(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kills under an engine whose greedy near-ties hang on the batch."""
    workload = build(folder / "model", min(asked.responses, 200), real=True)
    command = workload.command(engine="transformers")
    reference = undisturbed(workload, folder / "undisturbed", command)
    tally = torture(
        workload,
        reference,
        folder,
        command,
        kills=asked.real_kills,
        choose=at_random(reference, asked.seed),
        exact=False,
        tell=tell,
    )
    return report.of_kills(tally)


def _timed(part: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    start = time.monotonic()
    return part(*given) | {"minutes": round((time.monotonic() - start) / 60, 1)}


if __name__ == "__main__":
    sys.exit(main())
