"""What a campaign of runs takes: tokens, GPU-hours, judges, storage. Arithmetic alone; nothing is run.

    python benchmarks/planning.py --models 100 --suite bfpo --parameters 8e9 --device h100
    python benchmarks/planning.py --prompts 10000000 --tokens-in 80 --tokens-out 512
    python benchmarks/planning.py --page                     # the tables of docs/scale.md

Tokens are those of `bfpo-bench plan`. GPU-hours lie between two published rates: see ANCHORS, and
docs/scale.md for what is assumed. Storage and the harness's own time are figures measured by
`benchmarks/planning_check.py`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.common import command, table, write_json
from benchmarks.published_rates import (
    DEVICES,
    Hours,
    gpu_hours,
    gpus_a_copy,
    hours_on,
    together,
    two_figures,
)


@dataclass(frozen=True)
class Workload:
    """What one model is asked: prompts to answer and choices to score, with their tokens in all.

    `new_tokens` is the budget: answers that end sooner take less. `harmful` are the prompts among
    `prompts` that a judge of harm reads.
    """

    prompts: int
    prompt_tokens: int
    new_tokens: int
    harmful: int = 0
    choices: int = 0
    choice_tokens: int = 0
    documents: int = 0


def suite_workload(name: str) -> Workload:
    """That of a suite, from the tasks' metadata, as `bfpo-bench plan` tells it."""
    from bfpo_bench.plan import estimate
    from bfpo_bench.request import Request
    from bfpo_bench.suite.suites import load_suite, select_tasks

    suite, request = load_suite(name), Request(models=("planned",), suite=name)
    told = [estimate(suite, task, request) for task in select_tasks(suite, None)]
    answered = [e for e in told if e.task.kind == "generative"]
    chosen = [e for e in told if e.task.kind != "generative"]
    return Workload(
        prompts=sum(e.requests for e in answered),
        prompt_tokens=sum(e.prompt_tokens for e in answered),
        new_tokens=sum(e.new_tokens for e in answered),
        harmful=sum(
            e.requests
            for e in answered
            if e.task.prompts == "harmful" and "harm" in e.task.judged_by
        ),
        choices=sum(e.requests for e in chosen),
        choice_tokens=sum(e.prompt_tokens for e in chosen),
        documents=sum(e.documents for e in chosen),
    )


@dataclass(frozen=True)
class JudgeLoad:
    """Tokens that a judge reads and writes: its instructions, the prompt and the answer, each time."""

    verdicts: int
    tokens_in: float
    tokens_out: float

    def usd(self, price_in: float, price_out: float) -> float:
        """At USD per million tokens in and out."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


def judge_load(
    work: Workload, share: float, instructions: int, writes: int, verdicts: int
) -> JudgeLoad:
    """Of `verdicts` answers of mean length; `share` of the budget of new tokens is written."""
    read = (work.prompt_tokens + share * work.new_tokens) / work.prompts
    return JudgeLoad(verdicts, verdicts * (instructions + read), verdicts * writes)


@dataclass(frozen=True)
class Stored:
    """Bytes in a run folder, as `benchmarks/planning_check.py` measures them beside the texts.

    `sample` is of a document of choices in lm-eval's form, which repeats the text for each choice;
    `run` is what every run of a suite has.
    """

    response: float = 700.0
    verdict: float = 200.0
    choice: float = 140.0
    sample: float = 1500.0
    run: float = 430_000.0


TOKEN_BYTES = 4.4
"""Of English text in a vocabulary of 128,000: an assumption; other languages and code differ."""


def run_bytes(work: Workload, share: float, verdicts: int, stored: Stored = Stored()) -> float:
    """Of one model's run with so many verdicts."""
    texts = work.prompt_tokens + share * work.new_tokens + work.choice_tokens
    return (
        stored.run
        + texts * TOKEN_BYTES
        + work.prompts * stored.response
        + verdicts * stored.verdict
        + work.choices * stored.choice
        + work.documents * stored.sample
    )


def of_all(work: Workload, models: int) -> Workload:
    """What all models together are asked."""
    return replace(work, **{name: value * models for name, value in vars(work).items()})


JUDGE_PARAMETERS = 13e9
"""HarmBench's classifier."""
LOCAL_JUDGE = (400, 1)
"""Tokens of instructions that it reads with every answer, and tokens that it writes."""
HOSTED_JUDGE = (300, 100)
"""The same of a judge over an API that gives a reason."""


FLEETS = (8, 64)
"""Numbers of GPUs for which hours by the clock are told."""


def all_hours(device: str, parameters: float, work: Workload, share: float = 1.0) -> Hours:
    """GPU-hours for choices, reading and writing, without judges and loading."""
    read = work.choice_tokens + work.prompt_tokens
    return gpu_hours(device, parameters, read, share * work.new_tokens)


def judge_hours(device: str, work: Workload, share: float = 1.0) -> Hours:
    """GPU-hours of the local judge of harm."""
    load = judge_load(work, share, *LOCAL_JUDGE, work.harmful)
    return gpu_hours(device, JUDGE_PARAMETERS, load.tokens_in, load.tokens_out)


def rows(options: argparse.Namespace) -> list[tuple[str, str]]:
    """What the options come to, in words and figures."""
    work = (
        own_workload(options.prompts, options.tokens_in, options.tokens_out)
        if options.prompts
        else suite_workload(options.suite)
    )
    every, share = of_all(work, options.models), options.share
    written = share * every.new_tokens
    size = options.parameters
    hosted = judge_load(every, share, *HOSTED_JUDGE, every.harmful)
    price_in, price_out = options.price
    device = options.device
    judged = judge_hours(device, every, share)
    whole = together((all_hours(device, size, every, share), judged))
    return [
        ("prompts, choices", f"{every.prompts:,}, {every.choices:,}"),
        ("tokens in: prompts, choices", f"{every.prompt_tokens:,}, {every.choice_tokens:,}"),
        ("tokens out, at most", f"{every.new_tokens:,}"),
        ("GPUs a copy, in 16 bits", f"{gpus_a_copy(size)}"),
        ("GPU-hours: choices", str(gpu_hours(device, size, every.choice_tokens, 0))),
        ("GPU-hours: reading prompts", str(gpu_hours(device, size, every.prompt_tokens, 0))),
        ("GPU-hours: writing", str(gpu_hours(device, size, 0, written))),
        ("GPU-hours: a 13 B judge of harm", str(judged)),
        ("GPU-hours: all of these", str(whole)),
        *((f"hours on {n} GPUs", hours_on(n, whole, gpus_a_copy(size))) for n in FLEETS),
        ("API judge: tokens in, out", f"{hosted.tokens_in:,.0f}, {hosted.tokens_out:,.0f}"),
        ("API judge, USD", f"{hosted.usd(price_in, price_out):,.0f}"),
        ("GB stored", two_figures(options.models * run_bytes(work, share, 2 * work.prompts) / 1e9)),
    ]


def own_workload(prompts: int, tokens_in: int, tokens_out: int) -> Workload:
    """Prompts of one's own, all of which a judge of harm reads."""
    return Workload(prompts, prompts * tokens_in, prompts * tokens_out, harmful=prompts)


def _number(text: str) -> float:
    """NaN for what is none, which no bounds hold."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: give a whole number from 1 on")
    return int(text)


def _size(text: str) -> float:
    if not 1e6 <= (size := _number(text)) <= 1e14:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of parameters: give 8e9 for a model of 8 B"
        )
    return size


def _share(text: str) -> float:
    if not 0 < (share := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give a number above 0 and up to 1")
    return share


def _price(text: str) -> tuple[float, float]:
    first, _, second = text.partition(",")
    prices = _number(first), _number(second)
    if not all(0 <= price < math.inf for price in prices):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no prices: give USD a million tokens in and out, as 1,4"
        )
    return prices


def _suite(text: str) -> str:
    from bfpo_bench.errors import UserError
    from bfpo_bench.suite.suites import load_suite

    try:
        load_suite(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--models", type=_count, default=1)
    made.add_argument("--suite", type=_suite, default="bfpo")
    made.add_argument("--parameters", type=_size, default=8e9)
    made.add_argument("--device", default="h100", choices=DEVICES)
    made.add_argument("--prompts", type=_count, help="prompts of your own in the place of a suite")
    made.add_argument("--tokens-in", type=_count, default=80, help="a prompt of your own")
    made.add_argument("--tokens-out", type=_count, default=512, help="at most, for each of them")
    made.add_argument("--share", type=_share, default=1.0, help="of the new tokens that is written")
    made.add_argument(
        "--price", type=_price, default=(1.0, 4.0), metavar="IN,OUT", help="USD a million"
    )
    made.add_argument("--json", type=Path, metavar="FILE")
    made.add_argument("--page", action="store_true", help="print the tables of docs/scale.md")
    options = made.parse_args(arguments)
    if options.page:
        from benchmarks.planning_page import page

        print(page())
        return
    found = rows(options)
    told = command(__file__, arguments)
    table(told, ["", "in all"], found)
    write_json(options.json, told, [], {"planned": dict(found)})


if __name__ == "__main__":
    main()
