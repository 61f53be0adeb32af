"""What it costs to ask vLLM through servers or Ray, and what a second worker brings.

    python benchmarks/scale.py [--model ID_OR_PATH] [--requests N] [--new-tokens N] [--side NAME ...]

The same requests, as token ids, go to the vllm engine in its own process, to engine `server` with one
real `vllm serve` on 127.0.0.1 and with two, and to engine `ray` with one worker and with two. Every
side is started, asked and ended, in turns; each model runs on one thread, so two workers have two cores
(and the client shares them).

Ray's workers load in every call. So each side is asked a few requests twice, of which the first pays for
compilations, and then all: what the quicker of the two takes is what a call begins with, and is told
apart. Compared is the rest of the whole call, in whatever batches its results come.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from benchmarks.common import Lap, Ratio, command, in_turns, parser, ratio_table, table, write_json
from benchmarks.made_suite import texts
from benchmarks.vllm_serve import served, wait_until_ready
from benchmarks.watch import cpu_seconds

MODEL = "karpathy/stories260K-head64"
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TORCHDYNAMO_DISABLE": "1",
}
VLLM = {"dtype": "float32", "enforce_eager": True}
FEW = 16
"""Requests of the calls before: one batch."""
SAME_TOKENS = 16
"""Greedy answers count as the same where they begin with so many equal tokens: batches differ."""


@dataclass(frozen=True)
class Side:
    """An engine with so many servers or workers."""

    engine: str
    workers: int = 1


SIDES = {
    "alone": Side("vllm"),
    "server, 1": Side("server", 1),
    "server, 2": Side("server", 2),
    "ray, 1": Side("ray", 1),
    "ray, 2": Side("ray", 2),
}


@dataclass(frozen=True)
class Asked:
    """One side. Seconds: `load` until the engine is there, `few` and `whole` of the calls with FEW and
    with all requests; `pace` for all requests at the pace of those that `whole` has more than `few`.
    `cpu_seconds` are those of `pace`. `answers` by position, None where the engine failed."""

    load: float
    few: float
    whole: float
    pace: float
    cpu_seconds: float
    answers: tuple[tuple[int, ...] | None, ...]


def asked(
    generate: Callable[[Sequence[Any]], Iterable[tuple[int, Any]]],
    requests: Sequence[Any],
    load: float,
    clock: Callable[[], float],
) -> Asked:
    """Ask the first few twice, then all. Raises ValueError for no more than those few."""
    if len(requests) <= FEW:
        raise ValueError(f"{len(requests)} requests: take more than {FEW}")
    before = [_timed(generate, requests[:FEW], clock) for _ in range(2)]
    few, few_worked = min(lap[0] for lap in before), min(lap[1] for lap in before)
    whole, worked, answers = _timed(generate, requests, clock)
    share = len(requests) / (len(requests) - FEW)
    return Asked(
        load, few, whole, (whole - few) * share, (worked - few_worked) * share, tuple(answers)
    )


def _timed(
    generate: Callable[[Sequence[Any]], Iterable[tuple[int, Any]]],
    requests: Sequence[Any],
    clock: Callable[[], float],
) -> tuple[float, float, list[tuple[int, ...] | None]]:
    """Seconds, CPU seconds and answers of one call, read to its end."""
    answers: list[tuple[int, ...] | None] = [None] * len(requests)
    began, worked = clock(), cpu_seconds()
    for position, found in generate(requests):
        answers[position] = getattr(found, "tokens", None)
    return clock() - began, cpu_seconds() - worked, answers


def ask(side: Side, model: str, requests: int, new_tokens: int) -> Asked:
    """Start the side, ask it, end it. Call it in a process of its own."""
    from bfpo_bench.engines.base import GenerationRequest
    from bfpo_bench.engines.select import load_engine
    from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
    from bfpo_bench.engines.tokens import render

    os.environ.update(ENVIRONMENT)
    subject = resolve_subject(model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    files = model_files(subject, tokenizer, 8192, {}, 0)
    chat = tokenizer.chat_template is not None
    prompts = [
        render(tokenizer, [{"role": "user", "content": text}], chat).tokens
        for text in texts(requests)
    ]
    wanted = [
        GenerationRequest(tuple(tokens)[: files.context - new_tokens], new_tokens, seed=number)
        for number, tokens in enumerate(prompts)
    ]
    began = time.perf_counter()
    with ExitStack() as stack:
        files = _placed(side, files, stack)
        engine = load_engine(side.engine, files)
        stack.callback(engine.close)
        load = time.perf_counter() - began
        return asked(engine.generate, wanted, load, time.perf_counter)


def _placed(side: Side, files: Any, stack: ExitStack) -> Any:
    """The files with the engine's arguments, and with servers that run until `stack` ends."""
    from bfpo_bench.engines.base import Remote

    if side.engine == "server":
        urls = [
            stack.enter_context(served(files.folder, files.context)) for _ in range(side.workers)
        ]
        for url in urls:
            wait_until_ready(url)
        return replace(files, remote=Remote(servers=tuple(urls), served="model"))
    if side.engine == "ray":
        return replace(files, arguments={**VLLM, "workers": side.workers})
    return replace(files, arguments=dict(VLLM) if side.engine == "vllm" else {})


def in_a_process(side: Side, model: str, requests: int, new_tokens: int) -> Asked:
    """`ask` in a fresh process: a second model in one process is not reliable."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(ask, side, model, requests, new_tokens).result()


def quotient(laps: dict[str, list[Lap]], over: str, under: str, name: str = "pace") -> float:
    """Median over the rounds of a figure of `over` by that of `under` in the same round."""
    pairs = zip(laps[over], laps[under], strict=True)
    return median(getattr(a.result, name) / getattr(b.result, name) for a, b in pairs)


def same(one: Asked, other: Asked) -> float:
    """The share of answers that begin alike."""
    pairs = list(zip(one.answers, other.answers, strict=True))
    alike = (
        a is not None and b is not None and a[:SAME_TOKENS] == b[:SAME_TOKENS] for a, b in pairs
    )
    return sum(alike) / len(pairs)


def ratios(laps: dict[str, list[Lap]]) -> list[Ratio]:
    found = []
    for name in laps:
        if name != "alone" and "alone" in laps:
            found += [
                Ratio(f"time, {name} / engine alone", quotient(laps, name, "alone")),
                Ratio(
                    f"CPU time, {name} / engine alone", quotient(laps, name, "alone", "cpu_seconds")
                ),
                Ratio(
                    f"answers as the engine's alone, {name}",
                    same(laps[name][0].result, laps["alone"][0].result),
                    ">= 0.9",
                ),
            ]
    for engine in ("server", "ray"):
        one, two = f"{engine}, 1", f"{engine}, 2"
        if one in laps and two in laps:
            found.append(Ratio(f"pace, {two} / {one}", quotient(laps, one, two)))
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and print; returns what `--json` writes."""
    made = parser(__doc__)
    made.add_argument("--model", default=MODEL)
    made.add_argument("--requests", type=int, default=5000)
    made.add_argument("--new-tokens", type=int, default=32)
    made.add_argument("--side", action="append", choices=list(SIDES), help="repeatable")
    options = made.parse_args(arguments)
    os.environ.update(ENVIRONMENT)
    told = (options.model, options.requests, options.new_tokens)
    calls = {name: partial(in_a_process, SIDES[name], *told) for name in options.side or SIDES}
    laps = in_turns(calls, options.repeats)
    found_ratios = ratios(laps)
    show(laps, found_ratios)
    found = {"sides": {name: [figures(lap.result) for lap in each] for name, each in laps.items()}}
    write_json(options.json, command(__file__, arguments), found_ratios, found)
    return found


def figures(result: Asked) -> dict[str, float]:
    """What is written of one pass."""
    lost = sum(answer is None for answer in result.answers)
    tokens = sum(len(answer or ()) for answer in result.answers)
    names = ("load", "few", "whole", "pace", "cpu_seconds")
    return {name: getattr(result, name) for name in names} | {"tokens": tokens, "failures": lost}


def show(laps: dict[str, list[Lap]], told: Sequence[Ratio]) -> None:
    columns = ["load", "few", "whole", "pace", "cpu_seconds", "tokens", "failures"]
    rows = [
        (name, *(median(figures(lap.result)[column] for lap in each) for column in columns))
        for name, each in laps.items()
    ]
    title = (
        f"Medians: seconds to load, of {FEW} requests, of all, of all at the pace of the others; "
        "CPU seconds of it"
    )
    table(title, ["side", *columns], rows)
    ratio_table("Ratios, medians over the rounds", told)


if __name__ == "__main__":
    main()
