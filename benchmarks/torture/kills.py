"""SIGKILL at random moments, and the same command again, until the run is whole: what was lost?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.torture import stored
from benchmarks.torture.session import Ended, Moment, Session
from benchmarks.torture.stored import Stored
from benchmarks.torture.workload import Workload

LINES = ("line", "torn", "lined")
FILES = ("draft", "replaced", "fsync")
OTHER = 0.05
"""Share of a real engine's answers that batches of another make-up may decide otherwise."""


@dataclass
class Reference:
    """The run that nobody disturbed. `seconds`: how long each part of the work took; `judges`: a judge's
    key -> its file of verdicts."""

    cwd: Path
    whole: Stored
    seconds: dict[str, float]
    judges: dict[str, str]

    @property
    def scores(self) -> bytes:
        return scores_of(self.cwd)


@dataclass
class Tally:
    """What was tried, and what came of it."""

    kills: int = 0
    runs: int = 0
    missed: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    lines_at_kill: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    asked_again: list[str] = field(default_factory=list)
    other_answers: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    other_scores: list[str] = field(default_factory=list)
    other_rows: list[str] = field(default_factory=list)
    left_running: int = 0
    drafts_left: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Everything that must not be, in words; drafts left behind and other answers of a real
        engine are told apart."""
        names = ("lost", "doubled", "asked_again", "half_written", "other_scores", "other_rows")
        found = [f"{name}: {what}" for name in names for what in getattr(self, name)]
        found += [f"left running: {self.left_running}"] if self.left_running else []
        return found + self.surprises


def undisturbed(
    workload: Workload, cwd: Path, command: tuple[str, ...], pause: float = 0.0
) -> Reference:
    """The run to compare with."""
    cwd.mkdir(parents=True)
    ended = Session(workload, cwd, command, pause=pause).wait()
    if ended.code != 0:
        raise RuntimeError(f"the undisturbed run failed ({ended.code}): {ended.err[-2000:]}")
    run = stored.run_of(cwd)
    assert run is not None
    begun: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for kind, *words in ended.log:
        if kind in ("begin", "end"):
            part, at = " ".join(words[1:]), float(words[0])
            begun.setdefault(part, at)
            seconds[part] = at - begun[part]
    judges = {}
    for part in seconds:
        if part.startswith("judge "):
            key = part.removeprefix("judge ")
            [file] = (run / "verdicts").glob(f"{key.replace('/', '--')}.jsonl")
            judges[key] = str(file.relative_to(run))
    return Reference(cwd, stored.read(run), seconds, judges)


def torture(
    workload: Workload,
    reference: Reference,
    folder: Path,
    command: tuple[str, ...],
    *,
    kills: int,
    choose: Callable[[Stored], Moment],
    pause: float = 0.0,
    exact: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Kill sessions of `command` until so many have died and the last run is whole.

    `choose` says when, given what is stored before the session. Not `exact` (a real engine): a
    response that differs from the reference's is listed, more than `OTHER` of them are a fault, and
    scores are not compared.
    """
    tally = Tally()
    while tally.kills < kills:
        cwd = folder / f"run-{tally.runs}"
        cwd.mkdir(parents=True)
        tally.runs += 1
        before, whole = Stored(), False
        while not whole:
            moment = None
            if tally.kills < kills:
                moment = choose(before)
            ended = Session(workload, cwd, command, moment, pause).wait()
            after = check(tally, reference, cwd, before, ended, moment)
            whole = ended.code == 0 and not ended.struck
            tell(f"{tally.kills}/{kills} {moment} -> {ended.code}, {len(after.lines)} lines")
            before = after
            if not whole and not ended.struck:
                break
        if whole:
            compare(tally, reference, cwd, exact)
    return tally


def at_random(reference: Reference, seed: int) -> Callable[[Stored], Moment]:
    """Moments for `torture`, the same for the same seed and the same progress."""
    draw = random.Random(seed)
    return lambda now: _moment(draw, reference, now)


def _moment(draw: random.Random, reference: Reference, now: Stored) -> Moment:
    """A moment in a part of the work that is not done yet; mostly in the first of them."""
    whole = reference.whole
    lacking = {"respond": 0}
    for file in ("responses.jsonl", "discriminative/loglikelihoods.jsonl"):
        lacking["respond"] += whole.count(file) - now.count(file)
    for key, file in reference.judges.items():
        lacking[f"judge {key}"] = whole.count(file) - now.count(file)
    open_parts = [part for part, count in lacking.items() if count > 0]
    part = open_parts[0] if open_parts and draw.random() < 0.6 else None
    part = part or draw.choice([*open_parts, "main"])
    seconds = reference.seconds[part]
    if part == "main":
        event = draw.choice([*FILES, "clock"])
        count = draw.uniform(0, seconds) if event == "clock" else draw.randint(1, 16)
        return Moment(part, event, count, "self")
    lines = [*LINES, "answer"] if part == "respond" else [*LINES, "finding"]
    if "=" in part or "@" in part:
        lines += ["remember", "remembered"]
    event = draw.choice([*lines, "clock", *(FILES if part == "respond" else ())])
    most = 3 if event in FILES else lacking[part]
    count = draw.uniform(0, seconds) if event == "clock" else draw.randint(1, most)
    return Moment(part, event, count, draw.choice(["self", "main", "tree"]))


def check(
    tally: Tally,
    reference: Reference,
    cwd: Path,
    before: Stored,
    ended: Ended,
    moment: Moment | None,
    *,
    stopped: bool = False,
) -> Stored:
    """Count what the session lost, doubled, or asked again; -> what is stored now.

    `stopped`: it was told to stop, so that its exit code is another's affair.
    """
    run = stored.run_of(cwd)
    after = stored.read(run) if run else Stored()
    where = f"{cwd.name}, kill {tally.kills + ended.struck}"
    if ended.struck:
        assert moment is not None
        tally.kills += 1
        tally.tried[f"{moment.part} | {moment.event} | {moment.victim}"] += 1
        tally.parts[moment.part] += 1
        if moment.event in FILES:
            tally.files[ended.file] += 1
        tally.lines_at_kill.append(len(after.lines))
        expected = {
            "main": (-9,),
            "self": (-9,) if moment.part == "main" else (3, 0),
            "tree": (-9,),
        }
        if ended.code not in expected[moment.victim]:
            tally.surprises.append(f"{where}: {moment} ended with {ended.code}: {_last(ended)}")
    elif ended.code != 0 and not stopped:
        tally.surprises.append(f"{where}: no kill, and ended with {ended.code}: {_last(ended)}")
    elif moment is not None and not stopped:
        tally.missed += 1
    if "Traceback" in ended.err:
        tally.surprises.append(f"{where}: a traceback: {_last(ended)}")
    if ended.hung:
        tally.surprises.append(f"{where}: {moment} hung")
    tally.lost += [f"{where}: {key}" for key in before.lost(after)]
    tally.doubled += [f"{where}: {key}" for key in after.doubled]
    tally.half_written += [f"{where}: {name}" for name in stored.half_written(cwd)]
    tally.left_running += ended.left
    done = before.done()
    for words in ended.log:
        if words[0] == "asked":
            asked = (words[1], words[2])
        elif words[0] == "found":
            asked = (reference.judges[" ".join(words[2:])], words[1])
        else:
            continue
        if asked in done:
            tally.asked_again.append(f"{where}: {asked}")
    return after


def compare(tally: Tally, reference: Reference, cwd: Path, exact: bool) -> None:
    """Count how a run that is whole differs from the undisturbed one."""
    run = stored.run_of(cwd)
    assert run is not None
    now = stored.read(run)
    tally.drafts_left += [f"{cwd.name}: {name}" for name in stored.drafts(cwd)]
    answers = [k for k in reference.whole.lines if k[0] == "responses.jsonl"]
    other = [k for k in answers if now.lines.get(k) != reference.whole.lines[k]]
    if not exact:
        missing = {k[:4] for k in reference.whole.lines} - {k[:4] for k in now.lines}
        tally.other_answers += [f"{cwd.name}: {key}" for key in other]
        tally.lost += [f"{cwd.name}, at the end: {key}" for key in missing]
        if len(other) > OTHER * len(answers):
            told = f"{len(other)} of {len(answers)} answers are others"
            tally.surprises.append(f"{cwd.name}: {told}")
        return
    tally.lost += [f"{cwd.name}, at the end: {key}" for key in reference.whole.lost(now)]
    tally.surprises += [
        f"{cwd.name}: {key} is not in the undisturbed run"
        for key in now.lines
        if key not in reference.whole.lines
    ]
    if scores_of(cwd) != reference.scores:
        tally.other_scores.append(cwd.name)
    if stored.board(cwd) != stored.board(reference.cwd):
        tally.other_rows.append(cwd.name)


def scores_of(cwd: Path) -> bytes:
    [path] = cwd.glob("runs/*/scores.json")
    return path.read_bytes()


def _last(ended: Ended) -> str:
    return " / ".join(ended.err.strip().splitlines()[-2:])[-400:]
