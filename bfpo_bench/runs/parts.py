"""The shards of a run as they lie on the disk: which there are, and what each still lacks."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bfpo_bench.errors import UserError
from bfpo_bench.runs.checks import checks_file, unchecked_file
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.lines import (
    CheckLine,
    LikelihoodLine,
    Lines,
    ResponseLine,
    VerdictLine,
    read_lines,
)
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.shard import Shard, read_shard

_NAMED = 3
"""Things that a sentence names before it counts the others."""


@dataclass(frozen=True)
class Needed:
    """What makes a run complete: its tasks that could be asked, and judge key -> the tasks that it
    judges."""

    generative: tuple[str, ...]
    discriminative: tuple[str, ...]
    judges: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class StoredShard:
    """A shard's folder with its manifest."""

    folder: RunFolder
    manifest: Manifest
    shard: Shard

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def places(self) -> dict[str, int]:
        """Task -> its place among the run's tasks."""
        return {name: place for place, name in enumerate(self.manifest.settings.tasks)}

    def share(self, task: str) -> int:
        """How many of the task's documents fall to it."""
        return len(self.shard.of(task, range(self.manifest.data[task]["documents"])))

    @property
    def failed(self) -> dict[str, str]:
        """Task -> why it could not be asked, as its last session found."""
        return dict(self._last.get("failed", {}))

    @property
    def unaskable(self) -> dict[str, str]:
        """Those of them of which a request cannot be made, so that its command finds the same again."""
        return {t: why for t, why in self.failed.items() if t in self._last.get("unaskable", ())}

    @property
    def _last(self) -> dict[str, Any]:
        """The last session that asked."""
        asked = [session for session in self.manifest.sessions if "failed" in session]
        return asked[-1] if asked else {}

    @property
    def command(self) -> str:
        """What goes on with it."""
        said = [s["command"] for s in self.manifest.sessions if s.get("command")]
        return shlex.join(said[-1]) if said else "bfpo-bench run"


@dataclass(frozen=True)
class Contents:
    """What counts of the lines of a shard, or of all shards: `verdicts` by judge key; `checks` and
    `unchecked` answers are those of a self-check's defence."""

    responses: Lines
    likelihoods: Lines
    verdicts: Mapping[str, Lines]
    checks: Lines
    unchecked: Lines

    def without(self, places: Sequence[int]) -> Contents:
        """The same but for the lines of tasks, by their places among the run's."""
        return Contents(
            self.responses.without(places),
            self.likelihoods.without(places),
            {key: lines.without(places) for key, lines in self.verdicts.items()},
            self.checks.without(places),
            self.unchecked.without(places),
        )


def find_shards(paths: Sequence[Path]) -> list[Path]:
    """The shards' folders among `paths`; beside a path OUT/RUN that is none, all of that run's.

    Raises UserError for a path that is and has no shard.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        mine = (
            [path]
            if _is_shard(path)
            else sorted(path.parent.glob(f"{glob.escape(path.name)}.shard-*"))
        )
        if not mine:
            raise UserError(
                f"{path} is no shard, and there are none of its run beside it: give the folders that "
                "`run --shard I/N` has made, such as runs/MODEL-1a2b3c4d.shard-*."
            )
        for folder in mine:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def by_run(folders: Iterable[Path]) -> list[list[Path]]:
    """The shards' folders, those of one run together. One whose manifest cannot be read goes where its
    name says, and is refused with that run."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        run = run_of_shard(folder) or folder.name.partition(".shard-")[0]
        found.setdefault(run, []).append(folder)
    return list(found.values())


def _is_shard(path: Path) -> bool:
    """Also where the manifest cannot be read: what is wrong with it is said when it is."""
    try:
        manifest = RunFolder(path).manifest()
    except UserError:
        return True
    return manifest is not None and manifest.shard is not None


def read_stored(path: Path) -> StoredShard:
    """Raises UserError where the folder holds no shard."""
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None or manifest.shard is None or manifest.request is None:
        raise UserError(f"{path} is no shard of a run: leave it out.")
    return StoredShard(folder, manifest, read_shard(manifest.shard))


class _Told(msgspec.Struct):
    sessions: list[dict[str, object]]
    run_id: str = ""
    shard: str | None = None


def _told(folder: Path) -> _Told | None:
    """What the folder's manifest says of shards; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Told)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def run_of_shard(folder: Path) -> str | None:
    """The id of the run that the folder holds a shard of; None where it holds none, or none that can
    be read."""
    told = _told(folder)
    return told.run_id if told is not None and told.shard is not None else None


def finished_shards(out: Path, run_id: str, count: int) -> int:
    """How many of the run's `count` shards in the folder `out` have been worked to their end."""
    folders = (out / f"{run_id}{Shard(number, count).suffix}" for number in range(1, count + 1))
    return sum(is_finished(folder) for folder in folders)


def is_finished(folder: Path) -> bool:
    """Whether the last command that worked on the shard came to its end."""
    told = _told(folder)
    return told is not None and bool(told.sessions) and "finished" in told.sessions[-1]


def contents(stored: StoredShard, judges: Iterable[str]) -> Contents:
    """The shard's lines that count, in order. Raises UserError for a damaged one."""
    folder, places = stored.folder, stored.places
    told = read_lines(folder.responses_file, ResponseLine, places)
    answers = told.where(~told.faults).once(last=False)
    likelihoods = read_lines(folder.likelihoods_file, LikelihoodLine, places).once(last=True)
    return Contents(
        responses=answers,
        likelihoods=likelihoods,
        verdicts={
            key: read_lines(folder.verdicts_file(key), VerdictLine, places).matching(answers)
            for key in judges
        },
        checks=read_lines(checks_file(folder), CheckLine, places).once(last=True),
        unchecked=read_lines(unchecked_file(folder), ResponseLine, places).once(last=True),
    )


def shortfall(stored: StoredShard, found: Contents, needed: Needed) -> list[str]:
    """What the shard lacks, in words; [] where it is complete."""
    lacking = [
        words
        for task in (*needed.generative, *needed.discriminative)
        if (words := _unanswered(stored, found, task, task in needed.generative)) is not None
    ]
    for key, tasks in needed.judges.items():
        for task in needed.generative:
            if task not in tasks:
                continue
            place = stored.places[task]
            asked = len(found.responses.task(place))
            said = found.verdicts[key].task(place)
            if missing := asked - len(said) + int(said.faults.sum()):
                lacking.append(f"{missing:,} of {asked:,} verdicts of {key} on {task}")
    return lacking


def _unanswered(stored: StoredShard, found: Contents, task: str, generative: bool) -> str | None:
    counts = stored.manifest.counts.get(task, {})
    if task not in stored.manifest.data:
        return f"all of {task}"
    wanted = stored.share(task)
    lines = (found.responses if generative else found.likelihoods).task(stored.places[task])
    has = len(lines.documents())
    if has < wanted:
        return f"{wanted - has:,} of {wanted:,} documents of {task}"
    if (had := counts.get("requests", 0)) > len(lines):
        return f"{had - len(lines):,} of {had:,} answers to {task}"
    return None


def merge_command(out: Path) -> str:
    """What makes runs of all shards in the folder `out`."""
    return f"bfpo-bench runs merge {shlex.quote(str(out))}/*.shard-*"


def listed(words: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(words) - _NAMED:,} more" if len(words) > _NAMED else ""
    return f"{', '.join(words[:_NAMED])}{more}"
