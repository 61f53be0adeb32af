"""SIGTERM and SIGINT at random moments: a clean stop, soon, that says how to go on."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.torture.kills import Reference, Tally, check, compare
from benchmarks.torture.session import Session
from benchmarks.torture.stored import Stored
from benchmarks.torture.workload import Workload

SIGNALS = ("SIGTERM", "SIGINT")
TRIES = 5
"""Runs that are begun for each stop: a signal may come when its run has ended."""
ALREADY = 1.0
"""Seconds after a signal within which a run may end well: it was about to."""
SOON = 10.0
"""Seconds within which a command that was told to stop must have ended."""


@dataclass
class Stops:
    """`seconds` from the signal to the command's end, for each stop; `missed`: it had ended before;
    `ignored`: it went on to its end."""

    seconds: list[float] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    ignored: int = 0
    faults: list[str] = field(default_factory=list)


def stop(
    workload: Workload,
    reference: Reference,
    folder: Path,
    command: tuple[str, ...],
    *,
    stops: int,
    seed: int = 0,
    pause: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Stops:
    """Stop so many runs of `command`, each once, and end each by the same command. That fewer than
    `stops` of `TRIES` times as many runs were still at work at their signal is a fault."""
    draw, found, tally = random.Random(seed), Stops(), Tally()
    for number in range(TRIES * stops):
        stopped = len(found.seconds) + found.ignored
        if stopped == stops:
            break
        cwd = folder / f"stopped-{number}"
        cwd.mkdir(parents=True)
        part = draw.choice(list(reference.seconds))
        name = SIGNALS[stopped % 2]
        session = Session(workload, cwd, command, pause=pause)
        told = _tell(session, part, draw.uniform(0, reference.seconds[part]), name)
        ended = session.wait()
        before = check(tally, reference, cwd, Stored(), ended, None, stopped=True)
        seconds = 0.0 if told is None else session.started + ended.seconds - told
        if told is None or (ended.code == 0 and seconds <= ALREADY):
            found.missed += 1
        elif ended.code == 0:
            found.ignored += 1
            found.faults.append(f"{name} in {part}: ignored, for {seconds:.1f} s")
        else:
            found.seconds.append(seconds)
            found.tried[f"{part} | {name}"] += 1
            found.faults += _judged(ended.code, ended.err, seconds, f"{name} in {part}")
            again = Session(workload, cwd, command, pause=pause).wait()
            check(tally, reference, cwd, before, again, None)
        compare(tally, reference, cwd, exact=True)
        tell(f"{len(found.seconds)}/{stops} {part} {name} -> {ended.code}")
    if (stopped := len(found.seconds) + found.ignored) < stops:
        found.faults.append(f"only {stopped} of {stops} signals came before the end of their run")
    found.faults += tally.faults()
    return found


def _tell(session: Session, part: str, late: float, name: str) -> float | None:
    """Send the signal so many seconds after the part began; -> when, None if it ended before."""
    while session.process.poll() is None:
        begun = [words for words in session.log() if words[0] == "begin"]
        if any(" ".join(words[2:]) == part for words in begun):
            time.sleep(late)
            if session.process.poll() is not None:
                return None
            session.process.send_signal(signal.Signals[name])
            return time.monotonic()
        time.sleep(0.02)
    return None


def _judged(code: int, said: str, seconds: float, where: str) -> list[str]:
    """What was wrong with how it stopped."""
    wrong = []
    last = said.strip().splitlines()[-1:] or [""]
    if code != 130:
        wrong.append(f"{where}: exit code {code}")
    if "goes on" not in last[0]:
        wrong.append(f"{where}: does not say how to go on: {last[0][:200]}")
    if "Traceback" in said:
        wrong.append(f"{where}: a traceback")
    if seconds > SOON:
        wrong.append(f"{where}: took {seconds:.1f} s")
    return wrong
