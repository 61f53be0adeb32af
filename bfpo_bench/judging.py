"""Judges made ready to work: what one needs is resolved and checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bfpo_bench import __version__
from bfpo_bench.cache import default_cache
from bfpo_bench.engines.arguments import check_engine_arguments
from bfpo_bench.engines.base import Remote
from bfpo_bench.engines.events import befell
from bfpo_bench.engines.parallel_here import placed
from bfpo_bench.engines.ray.check import on_ray
from bfpo_bench.engines.select import EngineChoice, check_engine, choose_engine
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.server import Server
from bfpo_bench.judges.baseline import CUT_OFF, finished
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item, Text, item_of
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.prompts import PromptTemplate, load_prompt
from bfpo_bench.judges.running.work import JUDGE_CONTEXT, Work
from bfpo_bench.progress import Ui
from bfpo_bench.runs.identity import digest
from bfpo_bench.stages.judge_texts import TextsJob, judge_items
from bfpo_bench.stages.process import run_stage

DEFAULT_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class JudgeOptions:
    """What the user said of how judges run: what vLLM can serve on `ray`, if that is asked. `url`, `price`
    (USD per million tokens in and out) and `max_cost` (USD) are for judges over an API."""

    engine: str = "auto"
    arguments: dict[str, Any] = field(default_factory=dict)
    ray: Remote | None = None
    trust_remote_code: tuple[str, ...] = ()  # as the user names models
    allow_pickle: bool = False
    url: str | None = None
    price: tuple[float, float] | None = None
    max_cost: float | None = None
    offline: bool = False


@dataclass(frozen=True)
class PlannedJudge:
    """A judge with its model resolved and its prompt read, where it has them.

    `fault` says why a judge that joined by itself cannot work here: its tasks stay unscored.
    `baseline` identifies the answers that a judge of preferences compares with.
    """

    judge: Judge
    tasks: tuple[str, ...] = ()
    subject: Subject | None = None
    prompt: PromptTemplate | None = None
    engine: EngineChoice | None = None
    remote: Remote = field(default_factory=Remote)
    server: Server | None = None
    context: int = JUDGE_CONTEXT
    baseline: dict[str, Any] | None = None
    fault: str | None = None

    def identity(self) -> dict[str, Any]:
        """What its verdicts depend on: part of the comparability key."""
        spec, subject = self.judge.spec, self.subject
        found = {
            "kind": spec.kind,
            "version": spec.version,
            "rules_sha256": self.judge.rules_sha256,
            "model": subject.name if subject else self.judge.model,
            "revision": _revision(subject) if subject else None,
            "prompt_sha256": self.prompt.sha256 if self.prompt else None,
            "prompt_origin": self.prompt.origin if self.prompt else None,
        }
        if self.context != JUDGE_CONTEXT:
            found["context"] = self.context
        return found if self.baseline is None else found | {"baseline": self.baseline}

    @property
    def memory(self) -> str | None:
        """The hash under which its findings are remembered; None for a judge that costs nothing."""
        if self.judge.spec.engine == "none":
            return None
        # Where a prompt was read and whose answers are compared with does not change a finding
        ignored = ("prompt_origin", "baseline")
        told = {k: v for k, v in self.identity().items() if k not in ignored}
        # How texts are put to judges may change with the program
        return digest([told, __version__])

    def work(self, arguments: dict[str, Any]) -> Work:
        return Work(
            judge=self.judge,
            prompt=self.prompt,
            engine=self.engine.name if self.engine else None,
            subject=self.subject,
            arguments=self.engine.arguments(arguments) if self.engine else arguments,
            context=self.context,
            server=self.server,
            remote=self.remote,
        )

    def fetch(self) -> None:
        """Its model's files, on this disk."""
        if self.subject is not None:
            self.subject.fetch()


def plan_judge(
    asked: str | Judge,
    options: JudgeOptions = JudgeOptions(),
    progress: Callable[[str], None] = lambda _: None,
) -> PlannedJudge:
    """The judge behind `NAME_OR_FOLDER[=MODEL]`, resolved from metadata; no model is loaded.

    Raises UserError for whatever the user must change.
    """
    check_engine(options.engine)
    if options.engine == "server":
        raise UserError(
            "--engine server is for models under test: a judge asks a server where it is one over an "
            "API, such as --judge rating=MODEL, with --judge-url URL."
        )
    judge = load_judge(asked) if isinstance(asked, str) else asked
    if judge.spec.engine == "none":
        return PlannedJudge(judge)
    if judge.spec.engine == "api":
        server = _server(judge, options)
        return PlannedJudge(judge, prompt=load_prompt(judge, None), server=server)
    assert judge.model is not None
    progress(f"looking at judge {judge.key}")
    at = _at(judge.model, judge.spec.revision, judge.model_given)
    code = not {judge.model, at}.isdisjoint(options.trust_remote_code)
    try:
        subject = resolve_subject(at, progress, Trust(code, options.allow_pickle))
    except UserError as error:
        other = " Another judge can be named with --judge." if judge.joined else ""
        raise UserError(f"Judge {judge.spec.name}: {error}{other}") from error
    if judge.model_given:
        # A folder's name and hash instead of its path: scores and keys hold no paths
        judge = judge.model_copy(update={"model": subject.name})
    home = subject.adapter or subject.base
    source = subject.tokenizer_source if judge.spec.template == "conversation" else home
    return PlannedJudge(
        judge=judge,
        subject=subject,
        prompt=load_prompt(judge, source),
        engine=_engine(judge, subject, options),
        remote=options.ray or Remote(),
        context=_context(options),
    )


def check_trusted(named: Sequence[str], models: Sequence[str], judges: Sequence[Judge]) -> None:
    """Raises UserError for a --trust-remote-code that is neither one of `models` nor one that a judge
    has loaded here."""
    known = dict.fromkeys(models)
    for judge in judges:
        if judge.model is not None and judge.spec.local:
            known[judge.model] = None
            known[_at(judge.model, judge.spec.revision, judge.model_given)] = None
    for name in named:
        if name not in known:
            raise UserError(
                f"--trust-remote-code {name} is no model of this command "
                f"({', '.join(known) or 'it loads none'}): write it as --model or --judge does."
            )


def _at(model: str, revision: str | None, given: bool) -> str:
    return model if given or revision is None else f"{model}@{revision}"


def _engine(judge: Judge, subject: Subject, options: JudgeOptions) -> EngineChoice:
    context = _context(options)
    if options.engine == "null":
        raise UserError(
            f"--engine null asks no model, and judge {judge.spec.name} is one: name vllm or "
            "transformers, or leave --engine out."
        )
    if judge.spec.engine == "score":
        from bfpo_bench.engines.scorer import choose_scorer

        chosen = choose_scorer(options.engine, subject, context)
    else:
        chosen = choose_engine(options.engine, subject.name, subject.config, context)
    chosen = on_ray(chosen, options.arguments, options.ray)
    return placed(chosen, subject, context, options.arguments, copies=judge.spec.engine != "score")


def _context(options: JudgeOptions) -> int:
    """Tokens that a judge is given at most: fewer where `max_model_len` says so."""
    asked = options.arguments.get("max_model_len", JUDGE_CONTEXT)
    if not isinstance(asked, int) or asked < 2:
        raise UserError(f"--engine-arg max_model_len must be a number of tokens, not {asked!r}.")
    return min(JUDGE_CONTEXT, asked)


def _revision(subject: Subject) -> str:
    """Of the weights, and of an adapter on them."""
    told = subject.identity
    return told.weights if told.adapter is None else f"{told.adapter} on {told.weights}"


def _server(judge: Judge, options: JudgeOptions) -> Server:
    url = (options.url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")
    if options.offline and url == DEFAULT_URL:
        raise UserError(
            f"Judge {judge.key} asks {DEFAULT_URL}, and the run is offline: name a local server "
            "with --judge-url, or leave the judge out."
        )
    # What a judge.yaml says of prices holds for the model that it names
    price = options.price or (None if judge.model_given else judge.spec.price)
    return Server(url=url, price=price, max_cost=options.max_cost)


def check_given(planned: PlannedJudge, arguments: Mapping[str, Any]) -> None:
    """Raises UserError for engine arguments that the judge's engine does not have."""
    if planned.engine is not None:
        check_engine_arguments(planned.engine.name, arguments)


def judge_texts(
    planned: PlannedJudge,
    texts: Sequence[Text],
    ui: Ui,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    stall_seconds: float | None = None,
) -> list[Finding]:
    """One finding for each text, in order: degenerate ones by rule, the others by the judge.

    What the judge found before, for these or equal texts, is remembered and not asked again.
    `arguments` are the user's for the engine of a model that is loaded here; `stall_seconds` is how
    long the judge's process may make no progress.
    Raises UserError for what the user must change, StageCrash when the judge's process died.
    """
    check_given(planned, arguments)
    shown = [_shown(text) for text in texts]
    items = tuple(item for item in shown if isinstance(item, Item))
    planned.fetch()
    key = planned.judge.key
    if planned.engine is not None:
        ui.note(f"judge {key}: engine {planned.engine.name}, {planned.engine.told}")
    job = TextsJob(planned.work(dict(arguments)), items, planned.memory)
    log = default_cache() / "logs" / f"judge-{digest(key)[:8]}.log"
    with ui.stage(f"judge {key}") as report:
        result = run_stage(
            f"judge-{key}", judge_items, job, log=log, report=report, stall_seconds=stall_seconds
        )
    for note in told(key, result.engine):
        ui.note(note)
    found = iter(result.findings)
    return [item if isinstance(item, Finding) else next(found) for item in shown]


def _shown(text: Text) -> Item | Finding:
    baseline = None if text.baseline is None else finished(text.baseline)
    if text.baseline is not None and baseline is None:
        return CUT_OFF
    return item_of(text.prompt, text.response, baseline=baseline)


def left_out(judges: Sequence[PlannedJudge]) -> list[str]:
    """A sentence for each judge that joined by itself and cannot work here, and for each that was
    named and has nothing to decide."""
    return [
        *(
            f"judge {p.judge.key} is left out: {p.fault} What it alone scores stays unscored."
            for p in judges
            if p.fault is not None
        ),
        *(
            f"judge {p.judge.key} is not asked: none of the tasks takes a judge of {p.judge.spec.kind}"
            for p in judges
            if not p.judge.joined and not p.tasks
        ),
    ]


def told(key: str, description: dict[str, Any]) -> list[str]:
    """What a judge's stage has to say of itself besides its verdicts."""
    notes = []
    if remembered := description.get("remembered"):
        notes.append(f"judge {key}: {remembered} verdicts remembered from before")
    if usage := description.get("usage"):
        cost = "" if usage.get("cost") is None else f", USD {usage['cost']:.4f}"
        notes.append(
            f"judge {key}: {usage['requests']} requests, {usage['prompt_tokens']} tokens in, "
            f"{usage['completion_tokens']} out{cost}"
        )
    return notes + [f"judge {key}: {what}" for what in befell(description)]
