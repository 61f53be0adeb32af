"""What runs there are in a folder, and how far each has come: from small files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.parts import is_finished
from bfpo_bench.runs.shard import Shard, read_shard
from bfpo_bench.scoring.finished import read_finished

Reached = Literal["planned", "responses", "verdicts", "answered", "scored"]


@dataclass(frozen=True)
class ListedRun:
    """One run, or a `shard` of one ("3/8"). `reached` is the last stage of which something is stored,
    or "answered" for a shard that is answered and judged to its end; `tasks` how many it asks,
    `faults` how many of them are unscored for a fault; scores are in percent, None where there are
    none. `started` and `worked_on` (the last time a command did) are ISO times, `bytes` its size."""

    path: str
    run_id: str
    model: str
    suite: str
    shard: str | None
    partial: bool
    reached: Reached
    tasks: int
    faults: int
    helpfulness: float | None
    harmlessness: float | None
    started: str
    worked_on: str
    bytes: int

    def dump(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ShardedRun:
    """The shards of one run in one folder: `newest` was worked on last; of the `count` that there are to
    be the `finished` are answered and judged to their end. `merged`: the run of them is there."""

    newest: ListedRun
    count: int
    finished: frozenset[int]
    merged: bool
    bytes: int

    @property
    def unfinished(self) -> list[str]:
        """As `--shard` takes them; those that are not there among them."""
        numbers = range(1, self.count + 1)
        return [str(Shard(n, self.count)) for n in numbers if n not in self.finished]

    @property
    def whole(self) -> Path:
        """Where the run of them is, or will be."""
        return Path(self.newest.path).parent / self.newest.run_id


def together(runs: Sequence[ListedRun]) -> list[ListedRun | ShardedRun]:
    """The same in their order, the shards of a run as one, where the first of them was."""
    found: dict[tuple[Path, str, int], list[ListedRun]] = {}
    for run in runs:
        count = 0 if run.shard is None else read_shard(run.shard).count
        where = Path(run.path) if run.shard is None else Path(run.path).parent
        found.setdefault((where, run.run_id, count), []).append(run)
    whole = {(Path(run.path).parent, run.run_id) for run in runs if run.shard is None}
    return [
        shards[0] if not count else _sharded(shards, count, (where, run_id) in whole)
        for (where, run_id, count), shards in found.items()
    ]


def _sharded(shards: Sequence[ListedRun], count: int, merged: bool) -> ShardedRun:
    finished = (s.shard for s in shards if s.reached == "answered" and s.shard is not None)
    return ShardedRun(
        newest=shards[0],
        count=count,
        finished=frozenset(read_shard(shard).number for shard in finished),
        merged=merged,
        bytes=sum(s.bytes for s in shards),
    )


@dataclass(frozen=True)
class Unreadable:
    """A folder that seems to hold a run, and why it cannot be read."""

    path: str
    reason: str


def list_runs(out: Path) -> tuple[list[ListedRun], list[Unreadable]]:
    """The runs in the folder `out` (or the one that it is), the last worked on first.

    Raises UserError where there is no such folder.
    """
    if not out.is_dir():
        raise UserError(f"There is no folder {out}: run a model first, or give --out DIR.")
    found, unreadable = [], []
    for path in _candidates(out):
        try:
            found.append(_listed(path))
        except (UserError, OSError) as error:
            unreadable.append(Unreadable(str(path), first_line(error)))
    return sorted(found, key=lambda r: (r.worked_on, r.run_id), reverse=True), unreadable


def _candidates(out: Path) -> Sequence[Path]:
    if (out / "manifest.json").exists():
        return [out]
    try:
        inside = sorted(out.iterdir())
    except OSError as error:
        raise UserError(f"{out} cannot be read ({error.strerror}): give another --out.") from error
    # Hidden: a run that is being written, or was when its process was killed
    return [p for p in inside if p.is_dir() and p.name[0] != "." and _seems_a_run(p)]


def _seems_a_run(path: Path) -> bool:
    """Also one that may not be looked into, or whose manifest is lost."""
    try:
        names = {p.name for p in path.iterdir()}
    except OSError:
        return True
    return bool(names & {"manifest.json", "responses.jsonl", "scores.json", "discriminative"})


def _listed(path: Path) -> ListedRun:
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None:
        raise UserError("it has responses or scores and no manifest.json")
    scored = folder.scores_file.exists() and manifest.shard is None
    scores = read_finished(path).scores if scored else None
    settings = manifest.settings
    return ListedRun(
        path=str(path),
        run_id=manifest.run_id,
        model=manifest.model.name,
        suite=f"{settings.suite}@{settings.suite_version}",
        shard=None if manifest.shard is None else str(read_shard(manifest.shard)),
        partial=scores.partial if scores else manifest.partial,
        reached="answered" if manifest.shard and is_finished(path) else _reached(folder),
        tasks=len(settings.tasks),
        faults=len(scores.faults) if scores else 0,
        helpfulness=scores.helpfulness.value if scores else None,
        harmlessness=scores.harmlessness.value if scores else None,
        started=_times(manifest)[0],
        worked_on=_times(manifest)[1],
        bytes=sum(map(_bytes, path.rglob("*"))),
    )


def _bytes(path: Path) -> int:
    """0 of what is no file, or no longer: a run that is being worked on replaces its files."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _reached(folder: RunFolder) -> Reached:
    if folder.scores_file.exists():
        return "scored"
    if any((folder.path / "verdicts").glob("*.jsonl")):
        return "verdicts"
    answered = folder.responses_file.exists() or folder.likelihoods_file.exists()
    return "responses" if answered else "planned"


def _times(manifest: Manifest) -> tuple[str, str]:
    """When the run began and when it was last worked on; empty where its manifest does not say."""
    sessions = manifest.sessions
    if not sessions:
        return "", ""
    last = sessions[-1].get("finished") or sessions[-1].get("started") or ""
    return str(sessions[0].get("started", "")), str(last)
