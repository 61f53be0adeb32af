"""sweep.json: what the sweep is of, and what became of each point so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.leaderboard.lock import locked
from bfpo_bench.runs.jsonl import write_atomically

FILE = "sweep.json"
State = Literal["waiting", "made", "measured", "failed"]


class PointRecord(BaseModel):
    """`identity` hashes the point's recipe or soup and what is asked of it; `run` is its run's id; `fault` says in one sentence
    what broke off, or stayed unscored."""

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    changes: tuple[str, ...]
    identity: str
    state: State = "waiting"
    run: str | None = None
    fault: str | None = None


class SweepRecord(BaseModel):
    """The points in the order of the sweep."""

    model_config = ConfigDict(frozen=True)

    format: Annotated[int, Field(ge=1, le=1)] = 1
    source: str
    points: tuple[PointRecord, ...]


def open_record(out: Path, source: str, asked: Sequence[PointRecord]) -> SweepRecord:
    """Written for the points that are `asked`; what was known of each of them stays."""
    with locked(out / FILE):
        before = {one.name: one for one in _read(out).points}
        kept = [
            before[one.name]
            if one.name in before and before[one.name].identity == one.identity
            else one
            for one in asked
        ]
        return _write(out, SweepRecord(source=source, points=tuple(kept)))


def note_point(out: Path, point: PointRecord) -> None:
    """Put the point's new state in place of the old: other shards may write here, too."""
    with locked(out / FILE):
        before = _read(out)
        points = tuple(point if one.name == point.name else one for one in before.points)
        _write(out, before.model_copy(update={"points": points}))


def _read(out: Path) -> SweepRecord:
    path = out / FILE
    if not path.exists():
        return SweepRecord(source="", points=())
    try:
        return SweepRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            f"{path} is damaged, or of a later bfpo-bench ({first_line(error)}): delete it; models and "
            "runs are found again without it."
        ) from error


def _write(out: Path, record: SweepRecord) -> SweepRecord:
    write_atomically(out / FILE, record.model_dump_json(indent=1) + "\n")
    return record
