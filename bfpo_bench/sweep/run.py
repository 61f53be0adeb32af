"""The loop over a sweep's points: make the model, measure it, and go on with the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bfpo_bench.errors import UserError
from bfpo_bench.pipeline import Finished, execute
from bfpo_bench.plan import make_plan
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.request import Request
from bfpo_bench.runs.folder import check_writable
from bfpo_bench.runs.identity import digest
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.sweep.grid import Point, dealt
from bfpo_bench.sweep.record import PointRecord, SweepRecord, note_point, open_record

RUNS = "runs"
"""The folder of a sweep's runs; its models lie beside it, and the logs of their trainings in `logs`."""


class Maker(Protocol):
    """Where the models come from: `trainings.Trainings` or `soups.Soups`. `models` are what they are
    made of."""

    @property
    def models(self) -> tuple[str, ...]: ...

    def identity(self, point: Point) -> str: ...

    def check(self, ui: Ui) -> None: ...

    def is_made(self, point: Point) -> bool: ...

    def make(self, point: Point, title: str, log: Path, ui: Ui) -> None: ...

    def check_alike(self) -> None: ...


@dataclass(frozen=True)
class Sweep:
    """`source` says in words what is swept; `request` how each model is measured, its `models` and `out`
    left open, and its `shard` is of the points."""

    source: str
    points: tuple[Point, ...]
    maker: Maker
    out: Path
    request: Request

    @property
    def mine(self) -> tuple[Point, ...]:
        return dealt(self.points, self.request.shard)

    def request_of(self, *models: str) -> Request:
        return replace(self.request, models=models, out=self.out / RUNS, shard=None)


@dataclass(frozen=True)
class Outcome:
    """What became of a point: its scored run, or the `fault` that kept it from one; both where some of
    the run's tasks stayed unscored for a fault."""

    point: Point
    run: FinishedRun | None = None
    fault: str | None = None


def prepare(sweep: Sweep, ui: Ui) -> SweepRecord:
    """All that can be checked before the first model is made.

    Raises UserError for what the user must change; nothing has been started then.
    """
    check_writable(sweep.out)
    sweep.maker.check(ui)
    for point in sweep.points:
        sweep.maker.is_made(point)
    sweep.maker.check_alike()
    with ui.stage("plan") as report:
        # What the points are made of stands in for them: of their kind, and there already
        models = sweep.request_of(*sweep.maker.models)
        plan = make_plan(models, lambda text: report(Progress(text)))
    measure = (plan.settings.model_dump(mode="json"), sweep.request.judges)
    asked = [
        PointRecord(
            name=point.name,
            label=point.label,
            changes=point.changes,
            identity=digest((sweep.maker.identity(point), measure)),
        )
        for point in sweep.points
    ]
    record = open_record(sweep.out, sweep.source, asked)
    for line in _listed(sweep, record):
        ui.note(line)
    return record


def _listed(sweep: Sweep, record: SweepRecord) -> list[str]:
    """The points and how far each of them is."""
    mine = {point.name for point in sweep.mine}
    shard = sweep.request.shard
    part = f", {len(mine)} of them in shard {shard}" if shard is not None else ""
    lines = [f"{sweep.source}: {len(sweep.points)} points in {sweep.out}{part}"]
    for point, known in zip(sweep.points, record.points, strict=True):
        run = sweep.out / RUNS / known.run if known.run is not None else None
        if run is not None and (run / "scores.json").is_file():
            state = "measured"
        elif sweep.maker.is_made(point):
            state = "to be measured"
        else:
            state = "to be made and measured"
        other = "" if point.name in mine else " by another shard"
        lines.append(f"  {point.name}: {state}{other}")
    return lines


def work(sweep: Sweep, record: SweepRecord, command: Sequence[str], ui: Ui) -> list[Outcome]:
    """Make and measure the points that fall to this command, in their order.

    Where a point fails the others still get their rows. Raises UserError at the end where
    trainings turn out to have read different data.
    """
    known, outcomes = {one.name: one for one in record.points}, []
    for number, point in enumerate(sweep.mine, 1):
        title = f"{point.label} ({number} of {len(sweep.mine)})"
        outcome = _work(sweep, known[point.name], point, title, command, ui)
        outcomes.append(outcome)
        if outcome.fault is not None:
            ui.note(f"{point.name}: {outcome.fault}")
    sweep.maker.check_alike()
    return outcomes


def _work(
    sweep: Sweep, known: PointRecord, point: Point, title: str, command: Sequence[str], ui: Ui
) -> Outcome:
    try:
        if not sweep.maker.is_made(point):
            sweep.maker.make(point, title, sweep.out / "logs" / f"{point.name}.log", ui)
            note_point(sweep.out, known.model_copy(update={"state": "made"}))
        outcome = _measured(point, _measure(sweep, point, command, ui))
    except (UserError, StageCrash) as error:
        outcome = Outcome(point, fault=str(error))
    found = {
        "state": "failed" if outcome.run is None else "measured",
        "run": outcome.run.run_id if outcome.run is not None else None,
        "fault": outcome.fault,
    }
    note_point(sweep.out, known.model_copy(update=found))
    return outcome


def _measure(sweep: Sweep, point: Point, command: Sequence[str], ui: Ui) -> Finished:
    request = sweep.request_of(str(sweep.out / point.name))
    with ui.stage(f"{point.label}: plan") as report:
        plan = make_plan(request, lambda text: report(Progress(text)))
    [finished] = execute(plan, command, ui)
    return finished


def _measured(point: Point, finished: Finished) -> Outcome:
    if finished.scores is None:
        return Outcome(point, fault=finished.fault)
    faults = ", ".join(finished.scores.faults)
    return Outcome(
        point,
        read_finished(finished.planned.folder),
        f"unscored for a fault: {faults}" if faults else None,
    )
