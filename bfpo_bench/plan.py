"""Stage 1, plan: everything that can be known and checked from metadata. No model, no request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bfpo_bench.defences.defence import Defence
from bfpo_bench.engines.arguments import check_engine_arguments
from bfpo_bench.engines.base import BiasFile, Remote
from bfpo_bench.engines.parallel_here import placed
from bfpo_bench.engines.ray.check import check_ray_asked, on_ray
from bfpo_bench.engines.select import EngineChoice, check_engine, choose_engine
from bfpo_bench.engines.steering.check import bias_asked, bias_file, biased
from bfpo_bench.engines.steering.file import StoredBias
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.hub import go_offline, is_offline
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.leaderboard.columns import check_columns
from bfpo_bench.levels import Levels
from bfpo_bench.names import NULL_ENGINE
from bfpo_bench.plan_defences import defences_of, defended
from bfpo_bench.plan_judges import judges_of, plan_judges
from bfpo_bench.plan_levels import check_levels, levelled, levels_of
from bfpo_bench.plan_servers import check_servers, plan_on_servers
from bfpo_bench.request import Request, pull_command, ray_of, settings_of, suite_of
from bfpo_bench.runs.identity import Settings, run_id
from bfpo_bench.suite.data import DataRevision, resolve_data
from bfpo_bench.suite.lock import DataLock, lock_of_suite
from bfpo_bench.suite.pull import judge_models, missing
from bfpo_bench.suite.suites import Suite, select_tasks
from bfpo_bench.suite.tasks import TaskSpec

EMBEDDED_HARM = "harm"
"""The judge of harm that needs no model."""


@dataclass(frozen=True)
class PlannedRun:
    """One model's run, bare, behind a `defence` or asked for `levels`. `folder` is where it lives,
    whether or not it has begun."""

    subject: Subject
    engine: EngineChoice
    run_id: str
    folder: Path
    remote: Remote = field(default_factory=Remote)
    defence: Defence | None = None
    levels: Levels | None = None


@dataclass(frozen=True)
class TaskEstimate:
    """From the tasks' metadata: requests, and tokens in and at most out."""

    task: TaskSpec
    documents: int
    requests: int
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class Plan:
    """All that `run` needs to know before it starts.

    `failed` maps tasks whose data cannot be had to why: they are not asked, and the row is partial.
    """

    request: Request
    suite: Suite
    tasks: tuple[TaskSpec, ...]
    data: dict[str, DataRevision]
    failed: dict[str, str]
    lock: DataLock
    judges: tuple[PlannedJudge, ...]
    runs: tuple[PlannedRun, ...]
    settings: Settings
    partial: bool
    leaderboard: Path
    estimates: tuple[TaskEstimate, ...]
    bias: StoredBias | None = None

    @property
    def bias_file(self) -> BiasFile | None:
        """For engines; None where decoding is the model's own."""
        if self.bias is None or self.request.bias is None:
            return None
        return bias_file(self.request.bias, self.bias)

    @property
    def unverified(self) -> list[str]:
        """Tasks on hub data that no entry of the lock vouches for: read, recorded, and not checked."""
        entries = self.lock.entries
        return [
            t.name
            for t in self.tasks
            if t.hub_id is not None and not (t.name in entries and entries[t.name].verified)
        ]

    @property
    def partial_reasons(self) -> list[str]:
        """Why the row would be partial, as far as is known before anything is asked; [] for a full one."""
        whole = len(select_tasks(self.suite, None))
        reasons = []
        if self.request.limit is not None:
            reasons.append(f"--limit {self.request.limit}")
        if len(self.tasks) < whole:
            reasons.append(f"{len(self.tasks)} of the suite's {whole} tasks")
        if self.failed:
            reasons.append(f"without data: {', '.join(self.failed)}")
        working = {t for p in self.judges if p.fault is None for t in p.tasks}
        for p in self.judges:
            if lost := [t for t in p.tasks if t not in working]:
                reasons.append(f"judge {p.judge.key} is left out, unscored: {', '.join(lost)}")
        return reasons

    @property
    def offline(self) -> bool:
        return self.request.offline or any(not d.online for d in self.data.values())


def make_plan(request: Request, progress: Callable[[str], None] = lambda _: None) -> Plan:
    """Resolve and check everything that `run` would use.

    Raises UserError for whatever the user must change; nothing has been started then.
    """
    if request.offline:
        go_offline()
    if request.limit is not None and request.limit < 1:
        raise UserError("--limit must be at least 1: it is the number of documents a task.")
    if request.num_fewshot is not None and request.num_fewshot < 0:
        raise UserError("--num-fewshot must be 0 or more: it is the number of examples a prompt.")
    check_engine(request.engine)
    check_servers(request)
    check_ray_asked(request.engine, request.engine_arguments, request.ray_address)
    bias = bias_asked(request.bias, request.engine)
    suite = suite_of(request)
    tasks = tuple(select_tasks(suite, request.tasks))
    check_columns(t.name for t in tasks)
    judges = judges_of(suite, tasks, request)
    lock = lock_of_suite(suite.data_lock)
    if request.offline or is_offline():
        _check_offline(request, tasks, judges, lock)
    settings = settings_of(request, suite, tasks)
    if bias is not None:
        settings = settings.model_copy(update={"bias": bias.sha256})
    # First, since servers that are not there are found out within seconds
    runs = _plan_runs(request, settings, tasks, progress, bias)
    progress("asking the hub for data revisions")
    data, failed = resolve_data(tasks, lock)
    if failed and (request.strict or not data):
        raise UserError(next(iter(failed.values())))
    return Plan(
        request=request,
        suite=suite,
        tasks=tasks,
        data=data,
        failed=failed,
        lock=lock,
        judges=plan_judges(suite, tasks, request, progress),
        runs=runs,
        settings=settings,
        partial=request.limit is not None or len(tasks) < len(select_tasks(suite, None)),
        leaderboard=request.leaderboard or Path("leaderboards") / f"{suite.name}.csv",
        estimates=tuple(estimate(suite, t, request) for t in tasks),
        bias=bias,
    )


def _check_offline(
    request: Request, tasks: Sequence[TaskSpec], judges: Sequence[Judge], lock: DataLock
) -> None:
    """Everything that is missing, in one sentence, before anything else is tried."""
    # Of a model that a server has loaded, what is read here is looked for when it is planned
    models = () if request.engine == "server" else request.models
    lacking = missing(tasks, lock, judge_models([j for j in judges if not j.joined]), models)
    if lacking:
        raise UserError(
            f"Offline, and the local cache lacks {', '.join(lacking)}: fetch them where there is a "
            f"network with `{pull_command(request)}`, and bring the cache folder (HF_HOME) here."
        )


def _plan_runs(
    request: Request,
    settings: Settings,
    tasks: Sequence[TaskSpec],
    progress: Callable[[str], None],
    bias: StoredBias | None = None,
) -> tuple[PlannedRun, ...]:
    check_levels(request, tasks)
    defences, runs = defences_of(request, tasks), dict[str, PlannedRun]()
    for given in request.models:
        progress(f"looking at {given}")
        if request.engine == "server":
            found = plan_on_servers(given, request, settings, tasks, progress)
            subject, engine, remote = found.subject, found.engine, found.remote
        else:
            subject, engine = _with_engine(given, request, settings, progress)
            remote = ray_of(request) or Remote()
        if bias is not None:
            progress(f"comparing the tokenizer of {subject.name} with the bias's")
            subject = biased(subject, bias)
        cells = levels_of(request, subject, progress)
        for defence, levels in product(defences, cells):
            asked = defended(levelled(subject, levels), defence, request, settings, progress)
            name = run_id(asked.identity, settings)
            if name in runs:
                raise UserError(
                    f"--model {given} is the same model as {runs[name].subject.name}: name it once."
                )
            folder = request.folder(name)
            runs[name] = PlannedRun(asked, engine, name, folder, remote, defence, levels)
    return tuple(runs.values())


def _with_engine(
    given: str, request: Request, settings: Settings, progress: Callable[[str], None]
) -> tuple[Subject, EngineChoice]:
    """The model behind `given`, and the engine that serves it here."""
    trust = Trust(given in request.trust_remote_code, request.allow_pickle)
    subject = resolve_subject(given, progress, trust)
    progress(f"choosing an engine for {subject.name}")
    engine = choose_engine(request.engine, subject.name, subject.config, settings.context)
    check_engine_arguments(engine.name, request.engine_arguments)
    engine = on_ray(engine, request.engine_arguments, ray_of(request))
    engine = placed(engine, subject, settings.context, request.engine_arguments)
    if engine.name == "null":
        subject = subject.renamed(subject.name + NULL_ENGINE)
    return subject, engine


def estimate(suite: Suite, task: TaskSpec, request: Request) -> TaskEstimate:
    """What the task asks of one model under this request."""
    documents = suite.documents(task, request.limit)
    if request.shard is not None:
        documents = len(request.shard.of(task.name, range(documents)))
    requests = round(documents * task.requests_per_document)
    new = (
        documents * suite.decoding_of(task.name).max_new_tokens if task.kind == "generative" else 0
    )
    return TaskEstimate(task, documents, requests, round(requests * task.prompt_tokens), new)


def stronger_judge_hint(plan: Plan) -> str | None:
    """A sentence on what embedded judges are worth, with a stronger one where the machine could run it."""
    deciding = next((p for p in plan.judges if p.judge.spec.kind == "harm" and p.tasks), None)
    if deciding is None or deciding.judge.spec.name != EMBEDDED_HARM:
        return None
    first = "Harmlessness rests on the embedded judge harm: a first look, not a verdict."
    if shutil.which("nvidia-smi") is None:
        return f"{first} `bfpo-bench judges list` has stronger ones."
    return (
        f"{first} This machine has a GPU: --judge harmbench (26 GB) is the field's usual one, "
        "--judge yesno=MODEL asks any chat model."
    )
