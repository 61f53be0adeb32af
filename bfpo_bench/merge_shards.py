"""The run that its shards make: held against each other, put together, scored and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bfpo_bench.assess import Assessment, OpenRun, assess
from bfpo_bench.errors import UserError
from bfpo_bench.hub import go_offline
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.rejudge import assessment_of
from bfpo_bench.request import Request
from bfpo_bench.resume import seal_judge
from bfpo_bench.runs.folder import RunFolder, check_writable
from bfpo_bench.runs.lock import shown_command
from bfpo_bench.runs.manifest import ShardRequest, git_commit, versions
from bfpo_bench.runs.merging import (
    check_alike,
    check_failed,
    check_judges,
    complete_contents,
    write_merged,
)
from bfpo_bench.runs.parts import StoredShard, read_stored
from bfpo_bench.scoring.scores import Scores
from bfpo_bench.sharding import needed
from bfpo_bench.stages.evaluate import EvaluateJob, evaluate_stored
from bfpo_bench.stages.process import run_stage
from bfpo_bench.suite.data import DataRevision
from bfpo_bench.suite.documents import Selection
from bfpo_bench.suite.lock import lock_of_suite


@dataclass(frozen=True)
class MergePlan:
    """Shards that go together, and how the run of them is judged and scored. `failed`: task -> why no
    shard could ask it."""

    shards: tuple[StoredShard, ...]
    wanted: Assessment
    request: ShardRequest
    failed: Mapping[str, str]
    folder: Path


def plan_merge(
    folders: Sequence[Path],
    out: Path | None,
    leaderboard: Path | None,
    progress: Callable[[str], None] = lambda _: None,
) -> MergePlan:
    """Hold the shards of one run against each other; their lines are not read.

    Without `out` the run goes where the first shard is. Raises UserError for what the user must change.
    """
    shards = [read_stored(folder) for folder in folders]
    shards.sort(key=lambda s: (s.shard.number, str(s.path)))
    check_alike(shards)
    manifest = shards[0].manifest
    asked = manifest.request
    assert asked is not None
    if asked.offline:
        go_offline()
    request = Request(
        models=asked.models,
        # Of no judge's model is any more wanted than its name: this one asks nothing of the machine
        engine="transformers",
        judges=asked.judges,
        judge_url=asked.judge_url,
        baseline=Path(asked.baseline) if asked.baseline is not None else None,
        leaderboard=leaderboard or (Path(asked.leaderboard) if asked.leaderboard else None),
        trust_remote_code=asked.trust_remote_code,
        allow_pickle=asked.allow_pickle,
        strict=asked.strict,
        offline=asked.offline,
    )
    wanted = assessment_of(manifest, asked.suite, request, progress)
    working = {p.judge.key: p for p in wanted.judges if p.tasks}
    for key, planned in working.items():
        if planned.fault is not None and any(key in s.manifest.judges for s in shards):
            raise UserError(planned.fault)
    check_judges(shards, {k: p.identity() for k, p in working.items() if p.fault is None})
    folder = (out if out is not None else shards[0].path.parent) / manifest.run_id
    return MergePlan(tuple(shards), wanted, asked, check_failed(shards), folder)


def merge_shards(plan: MergePlan, command: Sequence[str], ui: Ui) -> Scores:
    """Make the run's folder of the shards, then score and publish it as `run` does; no model is loaded.

    Raises UserError, and makes nothing, where a shard is being worked on or is not complete.
    """
    read_leaderboard(plan.wanted.leaderboard)
    check_writable(plan.wanted.leaderboard.parent, "--leaderboard")
    check_writable(plan.folder.parent)
    required = needed(plan.wanted.tasks, plan.wanted.judges, plan.failed)
    with ExitStack() as locks:
        for one in plan.shards:
            locks.enter_context(one.folder.lock())
        for one in plan.shards:
            if read_stored(one.path).manifest != one.manifest:
                raise UserError(f"{one.path} was worked on just now: give the same command again.")
        with ui.stage(f"{plan.folder.name}: merge") as report:
            report(Progress(f"reading {len(plan.shards)} shards"))
            whole = complete_contents(plan.shards, required)
            report(Progress("writing the run"))
            folder = write_merged(plan.folder, plan.shards, whole)
    with folder.lock():
        run = _opened(plan, folder, command)
        _evaluate(plan, run, ui)
        for planned in plan.wanted.judges:
            # Every response has its verdict, so that no judge's model is loaded to see that
            if planned.judge.key in required.judges:
                seal_judge(folder, planned)
        return assess(plan.wanted, [run], ui)[0]


def _opened(plan: MergePlan, folder: RunFolder, command: Sequence[str]) -> OpenRun:
    manifest = folder.manifest()
    assert manifest is not None
    manifest.settings = plan.wanted.settings
    session = {
        "command": shown_command(command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "git_commit": git_commit(),
        "failed": dict(plan.failed),
        "seconds": {},
    }
    manifest.sessions.append(session)
    folder.write_manifest(manifest)
    return OpenRun(folder, manifest, session, dict(plan.failed))


def _evaluate(plan: MergePlan, run: OpenRun, ui: Ui) -> None:
    """Let lm-eval score the discriminative tasks; those that it cannot score join `run.failed`."""
    tasks = [
        t for t in plan.wanted.tasks if t.kind == "discriminative" and t.name not in run.failed
    ]
    if not tasks:
        return
    started, settings = time.monotonic(), plan.wanted.settings
    suite, records = plan.wanted.suite, run.folder.data()
    data = {
        t.name: DataRevision(
            hub_id=records[t.name].hub_id,
            requested=records[t.name].requested,
            sha=records[t.name].revision,
            online=not plan.request.offline,
        )
        for t in tasks
    }
    selection = Selection(
        suite.samples,
        settings.limit,
        settings.few_shot,
        lock_of_suite(suite.data_lock),
        allow_drift=plan.request.allow_drift,
    )
    with ui.stage(f"{run.manifest.model.name}: evaluate") as report:
        run.failed |= run_stage(
            "evaluate",
            evaluate_stored,
            EvaluateJob(run.folder.path, tuple(tasks), data, selection),
            log=run.folder.log_file("evaluate"),
            report=report,
        )
    run.session["failed"] = run.failed
    run.session["seconds"]["evaluate"] = round(time.monotonic() - started, 3)
