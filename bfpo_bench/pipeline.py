"""The five stages in order; the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from bfpo_bench.assess import Assessment, OpenRun, assess, judge_runs
from bfpo_bench.engines.hosted import servers_note
from bfpo_bench.engines.subject_files import needs_weights
from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.notes import respond_notes
from bfpo_bench.plan import Plan, PlannedRun
from bfpo_bench.plan_levels import unknown
from bfpo_bench.progress import Report, Ui
from bfpo_bench.resume import respond_sealed, seal_respond, stored_result
from bfpo_bench.runs.folder import RunFolder, check_writable
from bfpo_bench.runs.lock import shown_command
from bfpo_bench.runs.manifest import FORMAT, Manifest, git_commit, versions
from bfpo_bench.scoring.scores import Scores
from bfpo_bench.sharding import ShardEnd, end_shard, stored_request
from bfpo_bench.stages.join import JoinJob, join
from bfpo_bench.stages.process import StageCrash, run_stage
from bfpo_bench.stages.respond import RespondJob, RespondResult, respond

J = TypeVar("J")
T = TypeVar("T")


@dataclass(frozen=True)
class Finished:
    """What became of one planned run. `scores` is None when its respond stage broke off (`fault`),
    and of a shard, which has `shard` in their place."""

    planned: PlannedRun
    scores: Scores | None = None
    fault: str | None = None
    shard: ShardEnd | None = None

    @property
    def complete(self) -> bool:
        if self.shard is not None:
            return self.shard.complete
        return self.scores is not None and not self.scores.faults


@dataclass
class _Open(OpenRun):
    """A run with what was planned of it."""

    planned: PlannedRun = field(kw_only=True)


def execute(plan: Plan, command: Sequence[str], ui: Ui) -> list[Finished]:
    """Respond, judge, score and publish every run of the plan; what is stored already is kept.

    Raises UserError for what the user must change. A stage that dies leaves its run resumable and
    is reported in `Finished.fault` (respond) or `Scores.faults` (judge).
    """
    check_writable(plan.request.out)
    if plan.request.shard is None:
        read_leaderboard(plan.leaderboard)
        check_writable(plan.leaderboard.parent, "--leaderboard")
    finished: list[Finished] = []
    with ExitStack() as locks:
        opened = [_open(plan, planned, command, locks) for planned in plan.runs]
        answered = []
        for run in opened:
            fault = _respond(plan, run, ui)
            if fault is None:
                answered.append(run)
            else:
                finished.append(Finished(run.planned, fault=fault))
        return finished + _assess(plan, answered, ui)


def _assess(plan: Plan, runs: Sequence[_Open], ui: Ui) -> list[Finished]:
    """A shard is judged alone: scores are the whole run's."""
    wanted = _assessment(plan)
    if plan.request.shard is None:
        scored = zip(runs, assess(wanted, runs, ui), strict=True)
        return [Finished(run.planned, scores) for run, scores in scored]
    faults = judge_runs(wanted, runs, ui)
    return [Finished(run.planned, shard=end_shard(wanted, run, faults)) for run in runs]


def _open(plan: Plan, planned: PlannedRun, command: Sequence[str], locks: ExitStack) -> _Open:
    folder = RunFolder(planned.folder)
    locks.enter_context(folder.lock())
    fresh = Manifest(
        format=FORMAT,
        run_id=planned.run_id,
        model=planned.subject.identity,
        model_source=planned.subject.describe()
        | ({"defence": planned.defence.describe()} if planned.defence is not None else {})
        | ({"levels": asdict(planned.levels)} if planned.levels is not None else {}),
        training=planned.subject.training,
        settings=plan.settings,
        partial=plan.partial,
        suite_title=plan.suite.title,
        bias=plan.bias.provenance.model_dump(mode="json") if plan.bias is not None else None,
        shard=str(plan.request.shard) if plan.request.shard is not None else None,
        request=stored_request(plan.request),
    )
    manifest = folder.open(fresh)
    session = {
        "command": shown_command(command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "git_commit": git_commit(),
        "engine": planned.engine.name,
        "engine_reason": planned.engine.reason,
        "engine_arguments": planned.engine.arguments(plan.request.engine_arguments),
        "seconds": {},
    }
    manifest.sessions.append(session)
    folder.write_manifest(manifest)
    return _Open(folder, manifest, session, planned=planned)


def _assessment(plan: Plan) -> Assessment:
    # The context is the subject's affair alone: it decides how prompts are cut
    given = {k: v for k, v in plan.request.engine_arguments.items() if k != "max_model_len"}
    return Assessment(
        suite=plan.suite,
        tasks=plan.tasks,
        settings=plan.settings,
        judges=plan.judges,
        leaderboard=plan.leaderboard,
        baseline=plan.request.baseline,
        # The user's arguments hold for a judge on an engine that a subject runs on
        arguments={run.engine.name: given for run in plan.runs},
        environment=_environment(plan),
        stall_seconds=plan.request.stall_seconds,
    )


def _respond(plan: Plan, run: _Open, ui: Ui) -> str | None:
    """None, or the reason why the stage broke off."""
    subject = run.planned.subject
    ui.note(f"{subject.name}: engine {run.planned.engine.name}, {run.planned.engine.told}")
    if subject.training_fault is not None:
        ui.note(f"ignored: {subject.training_fault}")
    if run.planned.levels is not None and (doubt := unknown(subject)):
        ui.note(doubt)
    generative = any(t.kind == "generative" for t in plan.tasks)
    if generative and plan.request.chat_template and subject.identity.chat_template is None:
        ui.note(f"{subject.name} has no chat template: generative prompts are given as plain text")
    job = RespondJob(
        run=run.folder.path,
        suite=plan.suite,
        tasks=tuple(t for t in plan.tasks if t.name not in plan.failed),
        data=plan.data,
        limit=plan.request.limit,
        seed=plan.request.seed,
        engine=run.planned.engine.name,
        subject=subject,
        arguments=run.planned.engine.arguments(plan.request.engine_arguments),
        context=plan.settings.context,
        chat_template=plan.request.chat_template and subject.identity.chat_template is not None,
        examples=plan.settings.few_shot,
        lock=plan.lock,
        allow_drift=plan.request.allow_drift,
        strict=plan.request.strict,
        remote=run.planned.remote,
        shard=plan.request.shard,
        bias=plan.bias_file,
        defence=run.planned.defence,
        levels=run.planned.levels,
    )
    if respond_sealed(run.folder, job):
        _record(plan, run, stored_result(run.manifest), ui)
        return None
    if subject.hosted:
        if note := servers_note(run.manifest.sessions[:-1], subject.servers):
            ui.note(note)
        run.session["servers"] = list(subject.servers)
        run.folder.write_manifest(run.manifest)
    try:
        if job.engine == "ray" and job.remote.ray_address is not None:
            asked = JoinJob(job.arguments, job.remote.ray_address)
            _in_stage(plan, run, "join", join, asked, ui)
        subject.fetch(weights=needs_weights(job.engine))
        result = _in_stage(plan, run, "respond", respond, job, ui)
    except (StageCrash, UserError) as error:
        run.session["fault"] = str(error)
        run.folder.write_manifest(run.manifest)
        # One model of several that cannot answer must not keep the others from their rows
        if isinstance(error, UserError) and len(plan.runs) == 1:
            raise
        return str(error)
    _record(plan, run, result, ui)
    seal_respond(run.folder, job, result)
    return None


def _in_stage(
    plan: Plan, run: _Open, name: str, target: Callable[[J, Report], T], job: J, ui: Ui
) -> T:
    part = f" (shard {plan.request.shard})" if plan.request.shard is not None else ""
    with ui.stage(f"{run.planned.subject.name}{part}: {name}") as report:
        return run_stage(
            name,
            target,
            job,
            log=run.folder.log_file(name),
            report=report,
            environment=_environment(plan),
            stall_seconds=plan.request.stall_seconds,
        )


def _environment(plan: Plan) -> dict[str, str]:
    """A hub that could not be reached is not asked again, file by file, with time-outs."""
    common = {"TOKENIZERS_PARALLELISM": "false"}
    return common | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if plan.offline else common


def _record(plan: Plan, run: _Open, result: RespondResult, ui: Ui) -> None:
    run.failed = plan.failed | result.failed
    run.session["failed"] = run.failed
    run.session["unaskable"] = list(result.unaskable)
    records = run.folder.data()
    run.manifest.data = {task: record.dump() for task, record in records.items()}
    run.manifest.counts = result.counts
    run.session["device"] = result.engine
    run.session["warnings"] = list(result.warnings)
    run.session["seconds"] |= result.seconds
    run.folder.write_manifest(run.manifest)
    for note in respond_notes(plan, run.failed, records, result):
        ui.note(note)
