"""Judge stored responses again, with other judges, without touching the model that gave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bfpo_bench.assess import Assessment, OpenRun, assess
from bfpo_bench.engines.select import ENGINES
from bfpo_bench.errors import UserError
from bfpo_bench.judging import check_given
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.plan_judges import plan_judges
from bfpo_bench.progress import Ui
from bfpo_bench.request import Request, scoring_settings
from bfpo_bench.runs.folder import RunFolder, check_whole, check_writable
from bfpo_bench.runs.lock import shown_command
from bfpo_bench.runs.manifest import Manifest, git_commit, versions
from bfpo_bench.scoring.scores import Scores
from bfpo_bench.suite.suites import Suite, load_suite, select_tasks, suite_names
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class Rejudging:
    """Runs to judge, with what was asked of them, and how they are to be judged."""

    wanted: Assessment
    runs: tuple[tuple[RunFolder, Manifest], ...]


@dataclass(frozen=True)
class Rejudged:
    """A run's folder with its new scores. `former` is the command that made those it had before, where
    they are not comparable with these and its manifest tells."""

    folder: RunFolder
    scores: Scores
    former: tuple[str, ...] | None = None


def plan_rejudging(
    folders: Sequence[Path],
    suite_given: str | None,
    request: Request,
    progress: Callable[[str], None] = lambda _: None,
) -> Rejudging:
    """Check the runs in `folders` and resolve their judges; nothing is judged.

    `suite_given`: the suite's name or file where it is not a packaged one. `request` names judges and
    what they need, and no model. Raises UserError for folders that are no runs, runs that were asked
    different things, and a suite or tasks that have changed since.
    """
    runs = tuple(_read(folder) for folder in folders)
    manifest = runs[0][1]
    for folder, other in runs[1:]:
        if other.settings != manifest.settings:
            raise UserError(
                f"{folder.path} was asked other things than {runs[0][0].path}: judge them one by one."
            )
    return Rejudging(assessment_of(manifest, suite_given, request, progress), runs)


def assessment_of(
    manifest: Manifest,
    suite_given: str | None,
    request: Request,
    progress: Callable[[str], None] = lambda _: None,
) -> Assessment:
    """How a run is judged and scored whose responses are stored. Raises UserError as
    `plan_rejudging` does."""
    suite = _suite(suite_given, manifest)
    tasks = _tasks(suite, manifest)
    judges = plan_judges(suite, tasks, request, progress)
    for planned in judges:
        check_given(planned, request.engine_arguments)
    return Assessment(
        suite=suite,
        tasks=tasks,
        # Other weights or places score the same responses anew
        settings=manifest.settings.model_copy(update=scoring_settings(suite, tasks)),
        judges=judges,
        leaderboard=request.leaderboard or Path("leaderboards") / f"{suite.name}.csv",
        baseline=request.baseline,
        arguments=dict.fromkeys(ENGINES, request.engine_arguments),
        stall_seconds=request.stall_seconds,
    )


def rejudge(plan: Rejudging, command: Sequence[str], ui: Ui) -> list[Rejudged]:
    """Judge, score and publish; verdicts that a run has already are kept."""
    leaderboard = plan.wanted.leaderboard
    read_leaderboard(leaderboard)
    check_writable(leaderboard.parent, "--leaderboard")
    with ExitStack() as locks:
        opened, before = [], [_former(manifest) for _, manifest in plan.runs]
        for folder, manifest in plan.runs:
            locks.enter_context(folder.lock())
            manifest.settings = plan.wanted.settings
            opened.append(_open(folder, manifest, command))
        scores = assess(plan.wanted, opened, ui)
    return [
        Rejudged(
            run.folder, now, then.command if then and then.key != now.comparability_key else None
        )
        for run, now, then in zip(opened, scores, before, strict=True)
    ]


@dataclass(frozen=True)
class _Former:
    command: tuple[str, ...]
    key: str | None


def _former(manifest: Manifest) -> _Former | None:
    """The last command that scored the run, and the comparability key of its scores."""
    scored = [s for s in manifest.sessions if "finished" in s and s.get("command")]
    return _Former(tuple(scored[-1]["command"]), manifest.comparability_key) if scored else None


def _read(path: Path) -> tuple[RunFolder, Manifest]:
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None:
        raise UserError(f"{path} is not a run: give the folder of one, as in runs/.")
    check_whole(path, manifest)
    if not folder.responses_file.exists():
        raise UserError(f"{path} holds no responses to judge: finish its run first.")
    # Written once everything is answered: scores of a part would pass for those of the whole
    if not manifest.data:
        raise UserError(f"{path} is not answered to its end: give its command again first.")
    return folder, manifest


def _suite(given: str | None, manifest: Manifest) -> Suite:
    name = manifest.settings.suite
    if given is None and name not in suite_names():
        raise UserError(
            f"The run {manifest.run_id} is of suite {name}, which does not come with the package: "
            "give its file with --suite."
        )
    return load_suite(given or name)


def _tasks(suite: Suite, manifest: Manifest) -> tuple[TaskSpec, ...]:
    """The tasks that the run was asked, as the suite scores them. Raises UserError for other ones."""
    asked = manifest.settings
    if (suite.name, suite.version) != (asked.suite, asked.suite_version):
        raise UserError(
            f"The run {manifest.run_id} is of suite {asked.suite}@{asked.suite_version}, not "
            f"{suite.name}@{suite.version}: give its suite with --suite."
        )
    known = {task.name: task for task in select_tasks(suite, None)}
    for name, identity in asked.tasks.items():
        if name not in known or known[name].identity != identity:
            raise UserError(
                f"Task {name} has changed since the run {manifest.run_id}: run the model again."
            )
    return tuple(known[name] for name in asked.tasks)


def _open(folder: RunFolder, manifest: Manifest, command: Sequence[str]) -> OpenRun:
    session = {
        "command": shown_command(command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "git_commit": git_commit(),
        "seconds": {},
    }
    # What could not be asked is not there to be judged
    told = [s["failed"] for s in manifest.sessions if "failed" in s]
    manifest.sessions.append(session)
    folder.write_manifest(manifest)
    return OpenRun(folder, manifest, session, dict(told[-1]) if told else {})
