"""What the user asked `run` or `plan` to do, and what follows from it alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import Remote
from bfpo_bench.errors import UserError
from bfpo_bench.judging import JudgeOptions
from bfpo_bench.runs.identity import Settings
from bfpo_bench.runs.shard import Shard
from bfpo_bench.suite.suites import Suite, load_suite
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class Request:
    """What the user asked `run` or `plan` to do. Empty `judges` means the suite's default.

    `judge_url`, `judge_price` (USD per million tokens in and out) and `max_cost` (USD, for each judge)
    are for judges over an API; `baseline` is the run that judges of preferences compare with.
    A stage is ended after `stall_minutes` without progress; 0 is for never.
    `trust_remote_code` names models under test and judges' models as the user wrote them.
    `servers` are the URLs that engine server asks, `ray_address` the cluster that engine ray works on.
    `shard` is the part of the documents that is asked. `bias` is the file of what decoding subtracts.
    `defences` are put around each model, a run each; empty for the bare models alone. `levels`, as
    H,S or all, are those of helpfulness and safety that each model is asked for, likewise.
    """

    models: tuple[str, ...]
    suite: str = "bfpo"
    tasks: str | None = None
    engine: str = "auto"
    engine_arguments: dict[str, Any] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    ray_address: str | None = None
    shard: Shard | None = None
    trust_remote_code: tuple[str, ...] = ()
    allow_pickle: bool = False
    judges: tuple[str, ...] = ()
    judge_url: str | None = None
    judge_price: tuple[float, float] | None = None
    max_cost: float | None = None
    baseline: Path | None = None
    max_new_tokens: int | None = None
    limit: int | None = None
    seed: int = 0
    out: Path = Path("runs")
    leaderboard: Path | None = None
    chat_template: bool = True
    num_fewshot: int | None = None
    system_prompt: Path | None = None
    bias: Path | None = None
    strict: bool = False
    allow_drift: bool = False
    offline: bool = False
    stall_minutes: float = 30
    defences: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    @property
    def stall_seconds(self) -> float | None:
        """How long a stage may make no progress; None for ever."""
        return 60 * self.stall_minutes or None

    def folder(self, run: str) -> Path:
        """Of the run with this id, or of the part of it that is asked."""
        return self.out / f"{run}{self.shard.suffix if self.shard is not None else ''}"


def ray_of(request: Request) -> Remote | None:
    """The Ray that models are asked to run on; None where none is."""
    return Remote(ray_address=request.ray_address) if request.engine == "ray" else None


def judge_options(request: Request) -> JudgeOptions:
    """How judges run. Beside models under test, `--engine` and the context are those models' affair."""
    alone = not request.models
    given = request.engine_arguments
    return JudgeOptions(
        ray=ray_of(request),
        engine=request.engine if alone or request.engine == "transformers" else "auto",
        arguments=given if alone else {k: v for k, v in given.items() if k != "max_model_len"},
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
        url=request.judge_url,
        price=request.judge_price,
        max_cost=request.max_cost,
        offline=request.offline,
    )


def pull_command(request: Request) -> str:
    """The `data pull` that fetches what the request needs."""
    words = ["bfpo-bench", "data", "pull", "--suite", request.suite]
    words += ["--tasks", request.tasks] if request.tasks else []
    for judge in request.judges:
        words += ["--judge", judge]
    for model in request.models:
        words += ["--model", model]
    return shlex.join(words)


def suite_of(request: Request) -> Suite:
    """The suite with what the request changes about it: system prompt and length of answers.

    Raises UserError for an unknown suite or a file that cannot be used.
    """
    suite = load_suite(request.suite)
    if request.system_prompt is not None:
        text = _system_prompt(request.system_prompt)
        suite = suite.model_copy(update={"system_prompt": text})
    if request.max_new_tokens is None:
        return suite
    if request.max_new_tokens < 1:
        raise UserError("--max-new-tokens must be at least 1.")
    return suite.capped(request.max_new_tokens)


def _system_prompt(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(
            f"--system-prompt {path} cannot be read ({error.strerror}): give a text file."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"--system-prompt {path} is not UTF-8 text: save it as such.") from error
    if not text:
        raise UserError(f"--system-prompt {path} is empty: write the prompt into it, or leave it.")
    return text


def few_shot(request: Request, tasks: Sequence[TaskSpec]) -> dict[str, int]:
    """Task -> examples in each prompt, for those that get any or whose YAML states a number."""
    asked = {t.name: (t, t.examples(request.num_fewshot)) for t in tasks}
    return {name: n for name, (t, n) in asked.items() if n or t.num_fewshot}


def settings_of(request: Request, suite: Suite, tasks: Sequence[TaskSpec]) -> Settings:
    """What is asked, of whichever model: the run id and the comparability key rest on it."""
    return Settings(
        suite=suite.name,
        suite_version=suite.version,
        tasks={t.name: t.identity for t in tasks},
        limit=request.limit,
        seed=request.seed,
        temperature=suite.decoding.temperature,
        top_p=suite.decoding.top_p,
        max_new_tokens=suite.decoding.max_new_tokens,
        context=_context(request, suite),
        chat_template=request.chat_template,
        few_shot=few_shot(request, tasks),
        system_prompt=suite.system_prompt,
        samples=_of(tasks, suite.samples),
        task_decoding=_of(tasks, suite.task_decoding),
        **scoring_settings(suite, tasks),
    )


def scoring_settings(suite: Suite, tasks: Sequence[TaskSpec]) -> dict[str, Any]:
    """Those of the settings that decide about scores, and not about responses (`SCORING`)."""
    return {
        "weights": dict(suite.weights),
        "dimensions": {name: list(cells) for name, cells in suite.dimensions.items()},
        "placement": _of(tasks, suite.placement),
    }


def _of(tasks: Sequence[TaskSpec], by_task: Mapping[str, Any]) -> dict[str, Any]:
    names = {t.name for t in tasks}
    return {k: v.model_dump(exclude_none=True) for k, v in by_task.items() if k in names}


def _context(request: Request, suite: Suite) -> int:
    """Prompts are cut to it, so it belongs to the settings even where an engine argument lowers it."""
    asked = request.engine_arguments.get("max_model_len")
    if asked is None:
        return suite.context
    if not isinstance(asked, int) or asked < 2:
        raise UserError(f"--engine-arg max_model_len must be a number of tokens, not {asked!r}.")
    return min(suite.context, asked)
