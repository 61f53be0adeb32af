"""Runs that have been scored, found on disk: what comparisons, reports and exports begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.runs.folder import RunFolder, check_whole
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.parts import listed, merge_command, run_of_shard
from bfpo_bench.scoring.scores import Scores


@dataclass(frozen=True)
class FinishedRun:
    """A run with its scores, which are all that its row says."""

    folder: RunFolder
    manifest: Manifest
    scores: Scores

    @property
    def run_id(self) -> str:
        return self.manifest.run_id

    @property
    def name(self) -> str:
        """The model's, as in its row: several runs may share it."""
        return self.scores.model


def read_finished(path: Path) -> FinishedRun:
    """The run in the folder `path`; raises UserError where there is none, or it has no scores yet."""
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None:
        here = "holds no run" if path.is_dir() else "does not exist"
        raise UserError(
            f"The folder {path} {here}: give a run's folder, such as runs/MODEL-1a2b3c4d."
        )
    check_whole(path, manifest)
    try:
        scores = Scores.model_validate_json(folder.scores_file.read_bytes())
    except FileNotFoundError as error:
        raise UserError(
            f"{path} has no scores yet: give its command again, which goes on from what is stored."
        ) from error
    except ValidationError as error:
        raise UserError(
            f"{folder.scores_file} is damaged ({first_line(error)}): give the run's command again, "
            "which scores it anew."
        ) from error
    return FinishedRun(folder, manifest, scores)


def find_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """The runs in `paths`, each a run's folder or a folder of runs, each once and in order.

    Of a folder of runs those without scores are left out. Raises UserError for a path that holds no
    run, and as `read_finished` does.
    """
    found: dict[Path, FinishedRun] = {}
    for path in paths:
        if (path / "manifest.json").exists() or not path.is_dir():
            found.setdefault(path.resolve(), read_finished(path))
            continue
        inside = list(_inside(path))
        if not inside:
            raise UserError(f"The folder {path} holds no finished run{_mend(path)}.")
        for run in inside:
            found.setdefault(run.resolve(), read_finished(run))
    return list(found.values())


def _mend(path: Path) -> str:
    """How there comes to be one."""
    found = dict.fromkeys(run for p in sorted(path.iterdir()) if (run := run_of_shard(p)))
    if not found:
        return ": run a model first"
    return f" but shards of {listed(list(found))}: merge them first, with `{merge_command(path)}`"


def _inside(path: Path) -> Iterator[Path]:
    for folder in sorted(path.iterdir()):
        if (folder / "manifest.json").exists() and (folder / "scores.json").exists():
            yield folder
