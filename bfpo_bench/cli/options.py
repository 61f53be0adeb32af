"""Options that `run` and `plan` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bfpo_bench.cli import complete

Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Subject: hub id, id@revision, folder, or a LoRA adapter. Repeatable.",
        show_default=False,
    ),
]
Suite = Annotated[
    str,
    typer.Option(
        metavar="SUITE",
        help="What is measured: a name or a YAML file.",
        autocompletion=complete.suites,
    ),
]
Tasks = Annotated[
    list[str],
    typer.Option(
        metavar="GLOBS",
        help="Only these of the suite's tasks, separated by commas, or of its cells, as in "
        "'*/generative': the row is partial. Repeatable.",
        autocompletion=complete.tasks,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="ENGINE",
        help="auto, vllm, transformers, server or ray; auto: vLLM where it can serve the model, else "
        "transformers. null asks no model and measures nothing: it tries out everything else.",
        autocompletion=complete.engines,
    ),
]
EngineArgs = Annotated[
    list[str],
    typer.Option(
        "--engine-arg",
        metavar="K=V",
        help="For the engine, such as dtype=bfloat16 or gpu_memory_utilization=0.8. Repeatable.",
        show_default=False,
    ),
]
Servers = Annotated[
    list[str],
    typer.Option(
        "--server",
        metavar="URL",
        help="With --engine server: an OpenAI-compatible server, up to /v1. Repeatable: requests are "
        "spread over all of them. Its key: BFPO_SERVER_API_KEY or OPENAI_API_KEY.",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="With --engine ray: a running cluster, as HOST:PORT or auto.",
        show_default="a Ray of this machine's own",
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Ask and judge only the I-th of N parts, for N jobs that share nothing but files; "
        "`runs merge` makes the run of them.",
    ),
]
Judges = Annotated[
    list[str],
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="NAME or NAME=MODEL of `judges list`, or a judge folder. Repeatable: the first of a kind "
        "decides. A judge of refusals always joins.",
        show_default="harm and refusal, embedded",
        autocompletion=complete.judges,
    ),
]
JudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--judge-url",
        metavar="URL",
        help="OpenAI-compatible server of judges over an API. Its key: BFPO_JUDGE_API_KEY or "
        "OPENAI_API_KEY.",
        show_default="$OPENAI_BASE_URL, or OpenAI's",
    ),
]
JudgePrice = Annotated[
    str | None,
    typer.Option(
        "--judge-price",
        metavar="IN,OUT",
        help="What that server costs, in USD per million tokens in and out.",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="USD", help="Spend at most this on each judge over an API."),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="RUN",
        help="The run folder whose answers a judge of preferences compares with.",
        show_default="the data's own answers",
        autocompletion=complete.runs,
    ),
]
MaxNewTokens = Annotated[
    int | None, typer.Option(metavar="N", help="Cap answers below or above what the suite says.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Ask only the first N documents of each task: the row is partial."
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Of sampled decoding and of the run's id.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where run folders live.")]
Leaderboard = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Where the row goes.",
        show_default="leaderboards/<suite>.csv",
        autocompletion=complete.leaderboards,
    ),
]
NoChatTemplate = Annotated[
    bool,
    typer.Option(
        "--no-chat-template",
        help="Ask generative prompts as plain text, for base models. Default: through the model's "
        "template, if it has one.",
    ),
]

NumFewshot = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Examples in each discriminative prompt, drawn as lm-eval draws them, for tasks with a "
        "split to draw from.",
        show_default="what each task says",
    ),
]
SystemPrompt = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A text file: the system prompt of generative tasks."),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Stop when a task's data cannot be used. Default: leave the task out; the row is "
        "partial, the exit code 3.",
    ),
]
AllowDrift = Annotated[
    bool,
    typer.Option(
        "--allow-drift",
        help="Measure also on data that differ from the data lock's verified entries, and record it.",
    ),
]
TrustRemoteCode = Annotated[
    list[str],
    typer.Option(
        "--trust-remote-code",
        metavar="MODEL",
        help="Let this model, written as --model or --judge NAME=MODEL does, run code of its own. "
        "Repeatable.",
        show_default="no model's code is run",
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Load weights that PyTorch pickled, by its restricted unpickler, where a model has no "
        "safetensors.",
    ),
]
StallTimeout = Annotated[
    float,
    typer.Option(
        "--stall-timeout",
        metavar="MINUTES",
        min=0,
        help="End a stage that made no progress for so long: 0 for never. Loading, compiling and the "
        "first answer of a phase may take four times as long.",
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Use only what `bfpo-bench data pull` has fetched, and say at once what is missing.",
    ),
]


def engine_arguments(pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs with YAML scalars as values.

    Raises UserError for one without '=', and for those that would trust every model alike.
    """
    import yaml

    from bfpo_bench.errors import UserError

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(
                f"--engine-arg {pair!r} is not KEY=VALUE: write for example dtype=float32."
            )
        try:
            found[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(
                f"The value of --engine-arg {pair!r} is not YAML: put it in quotes."
            ) from error
    if "trust_remote_code" in found:
        raise UserError(
            "--engine-arg trust_remote_code would hold for every model: name those that may run code "
            "of their own with --trust-remote-code MODEL."
        )
    if "hf_token" in found:
        raise UserError(
            "--engine-arg hf_token would be written into the run's manifest: set HF_TOKEN in the "
            "environment."
        )
    if found.get("load_format") in ("pt", "npcache"):
        raise UserError(
            f"--engine-arg load_format={found['load_format']} would read pickles: leave it out, and "
            "give --allow-pickle where a model has nothing else."
        )
    return found


def globs(given: list[str]) -> str | None:
    """All that --tasks was given, as one; None where it was not."""
    return ",".join(given) or None


def judge_price(given: str | None) -> tuple[float, float] | None:
    """`IN,OUT` as two numbers. Raises UserError for anything else."""
    from bfpo_bench.errors import UserError

    if given is None:
        return None
    try:
        price_in, price_out = (float(part) for part in given.split(","))
    except ValueError as error:
        raise UserError(
            f"--judge-price {given!r} is not IN,OUT: write USD per million tokens, such as 10,30."
        ) from error
    return price_in, price_out
