"""A run as the command line names it: its folder, its run id, or its model's name."""

from __future__ import annotations

from pathlib import Path

from bfpo_bench.errors import UserError
from bfpo_bench.names import existing, shortened
from bfpo_bench.nearest import nearest
from bfpo_bench.scoring.finished import FinishedRun, find_runs, read_finished


def named_run(given: str, out: Path) -> FinishedRun:
    """The run in the folder `given`, or the one in `out` that has this run id or model.

    A model of a folder has a hash behind its name, which may be left out. Raises UserError where no
    run or more than one is meant.
    """
    path = existing(given)
    if path is not None and (path / "manifest.json").exists():
        return read_finished(path)
    runs = find_runs([out]) if out.is_dir() else []
    found = [run for run in runs if given in (run.run_id, run.name)]
    short = given if path is None else path.resolve().name
    found = found or [run for run in runs if run.name.partition("@")[0] == short]
    if len(found) > 1:
        ids = ", ".join(run.run_id for run in found)
        raise UserError(f"{out} has several runs of {shortened(given)}: name one of {ids}.")
    if not found:
        names = sorted({name for run in runs for name in (run.run_id, run.name)})
        raise UserError(
            f"There is no finished run {shortened(given)!r} in {out}{nearest(given, names)}: give a "
            "run's folder, such as runs/MODEL-1a2b3c4d, or where it lies with --out."
        )
    return found[0]
