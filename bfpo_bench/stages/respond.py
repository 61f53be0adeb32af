"""The respond stage: one engine answers everything a run still lacks, each answer stored at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bfpo_bench.defences.defence import Defence
from bfpo_bench.engines.base import BiasFile, Engine, Failure, Generation, Remote, ScoringRequest
from bfpo_bench.engines.events import beginning, opening
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import Subject
from bfpo_bench.engines.subject_files import tokenizer_and_files
from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, StoredLikelihood
from bfpo_bench.runs.shard import Shard
from bfpo_bench.stages.asked import Asked, Asking, ended
from bfpo_bench.stages.built import built_requests, part_of
from bfpo_bench.stages.checked import Checked, check_counts, checked_responses
from bfpo_bench.stages.counted import counted, each_once
from bfpo_bench.stages.evaluate import evaluate_tasks
from bfpo_bench.stages.seen_data import doubts, record_data
from bfpo_bench.suite.data import DataRevision
from bfpo_bench.suite.discriminative import Choice
from bfpo_bench.suite.documents import LoadedTask, Selection, load_documents
from bfpo_bench.suite.lock import DataLock
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class RespondJob:
    """Everything the stage needs, picklable. `examples` maps tasks to few-shot examples a prompt;
    with `strict` one task's unusable data, or choices that the engine fails on, stop the stage.
    Of a `shard` only its documents are asked, and lm-eval scores nothing: that is the whole run's."""

    run: Path
    suite: Suite
    tasks: tuple[TaskSpec, ...]
    data: dict[str, DataRevision]
    limit: int | None
    seed: int
    engine: str
    subject: Subject
    arguments: dict[str, Any]
    context: int
    chat_template: bool
    examples: dict[str, int]
    lock: DataLock
    allow_drift: bool = False
    strict: bool = False
    remote: Remote = field(default_factory=Remote)
    shard: Shard | None = None
    bias: BiasFile | None = None
    defence: Defence | None = None
    levels: Levels | None = None


@dataclass(frozen=True)
class RespondResult:
    """`counts` per task: documents, requests, done before, cut prompts, capped answers, empty ones,
    prompts that the engine failed on, those of them that are asked again, tokens of the responses, and
    responses of which nobody told how many they are.

    `failed` maps tasks whose data could not be used, or whose choices the engine could not score, to
    why. Of `unaskable` ones the documents are there, and a request cannot be made of one: no other
    session would come further. `warnings` are sentences for the user.
    """

    counts: dict[str, dict[str, int]]
    engine: dict[str, Any]
    seconds: dict[str, float]
    failed: dict[str, str]
    warnings: tuple[str, ...] = ()
    unaskable: tuple[str, ...] = ()


def respond(job: RespondJob, report: Report) -> RespondResult:
    """Answer what the run lacks, then let lm-eval score the discriminative tasks from what is stored.

    Tasks whose data cannot be used are left out and named. Raises UserError before the model is
    loaded when no task's data can be used (with `strict`: one task's), or tokenizer or prompts cannot.
    """
    run, clock = RunFolder(job.run), time.monotonic()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal clock
        seconds[name] = round(time.monotonic() - clock, 3)
        clock = time.monotonic()

    selection = Selection(
        job.suite.samples, job.limit, job.examples, job.lock, allow_drift=job.allow_drift
    )
    loaded, failed = load_documents(
        job.tasks, job.data, selection, lambda name: report(Progress(f"loading {name}"))
    )
    _check(job, loaded, failed)
    tokenizer, files = tokenizer_and_files(
        job.subject, job.engine, job.context, job.arguments, job.seed, job.remote
    )
    report(Progress("encoding requests"))
    how = Asking(job.suite, job.seed, job.chat_template, files.context, job.defence, job.levels)
    unaskable: list[str] = []
    loaded, built, scoring, asked = built_requests(
        how, tokenizer, loaded, failed, unaskable, job.shard
    )
    _check(job, loaded, failed)
    record_data(run, loaded, job.data)
    warnings = doubts(loaded, job.data)
    whole = job.shard is None
    discriminative = [t for t in loaded if whole and t.spec.kind == "discriminative"]
    lap("prepare")

    # A killed session may have left what was answered in it
    run.forget_faults()
    done = {s.key for s in run.likelihoods()}
    answered = {r.key for r in run.responses() if not r.fault}
    todo_choices = [i for i, c in enumerate(built) if c.key not in done]
    todo_asked = [a for a in asked if (a.task, a.doc_id, 0) not in answered]
    description: dict[str, Any] = {}
    if todo_choices or todo_asked:
        report(Progress(opening(job.engine)))
        engine = load_engine(job.engine, replace(files, bias=job.bias))
        description = engine.describe()
        lap("load")
        broken = _score(run, engine, built, scoring, todo_choices, report)
        failed |= broken
        lap("loglikelihoods")
        if job.defence is not None and job.defence.checks is not None:
            through = Checked(run, engine, tokenizer, how, job.defence, _response)
            checked_responses(through, todo_asked, report)
        else:
            generate_responses(run, engine, tokenizer, todo_asked, report)
        lap("generate")
        # Once more: batches may have got smaller on the way
        description = engine.describe()
        engine.close()
        discriminative = [t for t in discriminative if t.spec.name not in broken]
    if discriminative:
        report(Progress("scoring discriminative tasks with lm-eval"))
        evaluate_tasks(run, discriminative, failed)
        lap("evaluate")
    _check(job, loaded, failed)
    resumed = Counter(k[0] for k in done) + Counter(k[0] for k in answered)
    return RespondResult(
        counts=check_counts(run, counted(run, [part_of(t, job.shard) for t in loaded], resumed)),
        engine=description,
        seconds=seconds,
        failed=failed,
        warnings=warnings,
        unaskable=tuple(unaskable),
    )


def _score(
    run: RunFolder,
    engine: Engine,
    built: Sequence[Choice],
    scoring: Sequence[tuple[ScoringRequest, int]],
    todo: Sequence[int],
    report: Report,
) -> dict[str, str]:
    """Store what the engine scores; task -> reason for those with a choice that it fails on."""
    broken: dict[str, str] = {}
    if not todo:
        return broken
    phase, total = "log-likelihoods", len(todo)
    report(beginning(engine, phase, total))
    with Appender(run.likelihoods_file) as file:
        results = each_once(engine.loglikelihoods([scoring[i][0] for i in todo]), total)
        for done, (position, likelihood) in enumerate(results, 1):
            choice, cut = built[todo[position]], scoring[todo[position]][1]
            if isinstance(likelihood, Failure):
                broken[choice.task] = (
                    f"the engine failed on choice {choice.choice} of its document {choice.doc_id} "
                    f"({likelihood.reason}); the same command asks again"
                )
            else:
                file.append(
                    StoredLikelihood(
                        choice.task,
                        choice.doc_id,
                        choice.choice,
                        likelihood.logprob,
                        likelihood.greedy,
                        engine.name,
                        cut,
                    ).dump()
                )
            report(Progress(phase, done, total))
    return broken


def generate_responses(
    run: RunFolder, engine: Engine, tokenizer: Any, todo: Sequence[Asked], report: Report
) -> None:
    if not todo:
        return
    phase, total = "responses", len(todo)
    report(beginning(engine, phase, total))
    try:
        with Appender(run.responses_file) as file:
            results = each_once(engine.generate([a.request for a in todo]), total)
            for done, (position, generation) in enumerate(results, 1):
                file.append(_response(todo[position], generation, engine.name, tokenizer).dump())
                report(Progress(phase, done, total))
    finally:
        run.forget_faults()


def _response(asked: Asked, given: Generation | Failure, engine: str, tokenizer: Any) -> Response:
    """What is stored of an answer, or of a prompt that the engine fails on."""
    told, finish, error, fault = "", "error", None, False
    tokens: int | None = 0
    prompt_tokens = None if asked.request.messages else len(asked.request.prompt)
    if isinstance(given, Failure):
        error, fault = given.reason, given.fault
    else:
        whole = (
            tokenizer.decode(given.tokens, skip_special_tokens=True)
            if given.told is None
            else given.told.text
        )
        told = ended(whole, asked.until, asked.reasoning_open)
        finish = "stop" if told != whole else given.finish_reason
        tokens = len(given.tokens)
        if given.told is not None:
            prompt_tokens, tokens = given.told.prompt_tokens, given.told.response_tokens
        if tokens is None and tokenizer is not None:
            tokens = len(tokenizer.encode(whole, add_special_tokens=False))
    return Response(
        task=asked.task,
        doc_id=asked.doc_id,
        sample=0,
        messages=asked.messages,
        response=told,
        finish_reason=finish,
        prompt_tokens=prompt_tokens,
        response_tokens=tokens,
        seed=asked.request.seed,
        engine=engine,
        prompt_cut=asked.cut,
        capped=asked.capped,
        reasoning_open=asked.reasoning_open,
        document=asked.document,
        started=asked.started,
        error=error,
        fault=fault,
    )


def _check(job: RespondJob, loaded: Sequence[LoadedTask], failed: Mapping[str, str]) -> None:
    if failed and (job.strict or not loaded):
        raise UserError(next(iter(failed.values())))
