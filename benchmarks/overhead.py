"""What the harness costs: the respond stage's generation against the engine alone, same token ids.

    python benchmarks/overhead.py [--model ID_OR_PATH] [--engine transformers|vllm] [--requests N]
        [--tasks N] [--new-tokens N] [--no-command]

All sides run in one process on one loaded engine, in turns:

- alone: the engine's own batch interface: `LLM.generate` for vLLM, and plain `model.generate` over
  batches of 64, sorted by length, for transformers;
- respond: what the respond stage does with the same requests: stream, decode, and append each
  response to a file. The requests of all tasks are one batch;
- a task at a time: the engine alone again, called for one task after another.

One more pass, not timed, is watched from outside: when the first response is in the file, and what
memory the process has when 25 to 100 % are. At last `bfpo-bench run` is started on the same prompts
and watched in the same way, up to its row in the leaderboard.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import (
    Ratio,
    command,
    in_turns,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    write_json,
)
from benchmarks.made_suite import texts, write_suite
from benchmarks.watch import Watch, watching
from bfpo_bench.cache import default_cache
from bfpo_bench.demo.model import ensure_demo_model
from bfpo_bench.engines.base import GenerationRequest
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.tokens import render
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages.asked import Asked
from bfpo_bench.stages.respond import generate_responses

ALONE_ROWS = 64
"""Rows a batch of plain transformers: the usual choice on a CPU, and not taken from the harness."""
GOALS = {"transformers": "<= 1.05", "vllm": "<= 1.03"}


def build(tokenizer: Any, count: int, tasks: int, context: int, new: int) -> list[Asked]:
    """Prompts of 8 to 48 words of plain English, of each task in turn, the same each time."""
    asked = []
    for number, text in enumerate(texts(count)):
        messages = [{"role": "user", "content": text}]
        rendered = render(tokenizer, messages, tokenizer.chat_template is not None)
        request = GenerationRequest(tuple(rendered.tokens)[: context - new], new, seed=number)
        task = f"bench_{number * tasks // count}"
        asked.append(Asked(task, number, messages, request, 0, False, False))
    return asked


def alone(engine: Any, requests: Sequence[GenerationRequest]) -> int:
    """Generate through the engine's own interface; returns the number of new tokens."""
    if engine.name == "vllm":
        from vllm import SamplingParams

        prompts = [{"prompt_token_ids": list(r.prompt)} for r in requests]
        params = [
            SamplingParams(
                temperature=0.0,
                max_tokens=r.max_new_tokens,
                stop_token_ids=engine._stop,
                detokenize=False,
            )
            for r in requests
        ]
        outputs = engine.llm.generate(prompts, params, use_tqdm=False)
        return sum(t not in engine._stop for o in outputs for t in o.outputs[0].token_ids)
    return _alone_transformers(engine, requests)


def _alone_transformers(engine: Any, requests: Sequence[GenerationRequest]) -> int:
    import torch
    from transformers import GenerationConfig

    order = sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt))
    pad, total = engine._stop[0], 0
    for start in range(0, len(order), ALONE_ROWS):
        batch = [requests[i] for i in order[start : start + ALONE_ROWS]]
        width = max(len(r.prompt) for r in batch)
        ids = torch.full((len(batch), width), pad)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(batch):
            ids[row, width - len(request.prompt) :] = torch.tensor(request.prompt)
            mask[row, width - len(request.prompt) :] = 1
        config = GenerationConfig(
            max_new_tokens=batch[0].max_new_tokens,
            do_sample=False,
            eos_token_id=list(engine._stop),
            pad_token_id=pad,
        )
        with torch.inference_mode():
            out = engine.model.generate(
                input_ids=ids.to(engine.device),
                attention_mask=mask.to(engine.device),
                generation_config=config,
            )
        total += int((out[:, width:] != pad).sum())
    return total


def a_task_at_a_time(engine: Any, asked: Sequence[Asked]) -> int:
    """The engine alone, called once for each task; returns the number of new tokens."""
    return sum(
        alone(engine, [a.request for a in asked if a.task == task])
        for task in dict.fromkeys(a.task for a in asked)
    )


def respond(engine: Any, tokenizer: Any, asked: list[Asked]) -> int:
    """What the respond stage does with the same requests; returns the number of new tokens."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        generate_responses(run, engine, tokenizer, asked, lambda progress: None)
        return sum(r.response_tokens for r in run.responses())


def watched(engine: Any, tokenizer: Any, asked: list[Asked]) -> Watch:
    """The same, watched."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        with watching(lambda: run.responses_file) as watch:
            generate_responses(run, engine, tokenizer, asked, lambda progress: None)
        return watch


def whole_command(options: argparse.Namespace, model: str) -> dict[str, Any]:
    """`bfpo-bench run` over as many prompts, from its start to its row, watched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = write_suite(folder, options.requests, options.tasks, options.new_tokens)
        words = [sys.executable, "-m", "bfpo_bench", "run", "--model", model, "--json"]
        words += ["--suite", str(suite), "--engine", options.engine, "--out", str(folder / "runs")]
        words += ["--leaderboard", str(folder / "made.csv")]
        errors = folder / "stderr"

        def responses() -> Path | None:
            return next((folder / "runs").glob("*/responses.jsonl"), None)

        began = time.perf_counter()
        with errors.open("wb") as err, (folder / "stdout").open("wb") as out:
            process = subprocess.Popen(words, stdout=out, stderr=err)
            with watching(responses, psutil.Process(process.pid)) as watch:
                code = process.wait()
        if code not in (0, 3):
            raise SystemExit(f"bfpo-bench run ended with {code}: {errors.read_text()[-2000:]}")
        return {
            "seconds": time.perf_counter() - began,
            "first_response_seconds": watch.first,
            "run": json.loads((folder / "stdout").read_text())[0].get("seconds"),
            "memory": watch.quarters(),
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every figure; the engine is loaded once."""
    model = options.model or str(ensure_demo_model(default_cache()))
    subject = resolve_subject(model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    files = model_files(subject, tokenizer, 8192, {}, 0)
    engine = load_engine(options.engine, files)
    asked = build(tokenizer, options.requests, options.tasks, files.context, options.new_tokens)
    requests = [a.request for a in asked]
    for warm in (requests[:32], requests[-32:]):
        alone(engine, warm)
    respond(engine, tokenizer, asked[:32])
    sides = {
        "alone": lambda: alone(engine, requests),
        "respond": lambda: respond(engine, tokenizer, asked),
        "a task at a time": lambda: a_task_at_a_time(engine, asked),
    }
    laps = in_turns(sides, options.repeats)
    watch = watched(engine, tokenizer, asked)
    described = engine.describe()
    engine.close()
    return {
        "model": subject.name,
        "engine": described,
        "requests": len(asked),
        "new_tokens": {name: found[0].result for name, found in laps.items()},
        "medians": medians(laps),
        "laps": {n: [[lap.seconds, lap.cpu_seconds] for lap in f] for n, f in laps.items()},
        "ratio": quotient(laps, "respond", "alone"),
        "ratio_cpu": quotient(laps, "respond", "alone", cpu=True),
        "ratio_tasks": quotient(laps, "a task at a time", "respond"),
        "first_response_seconds": watch.first,
        "memory": watch.quarters(),
        "command": whole_command(options, model) if options.command else None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--model", help="hub id or folder; without it the demo's model")
    made.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    made.add_argument("--requests", type=int, default=256)
    made.add_argument("--tasks", type=int, default=12)
    made.add_argument("--new-tokens", type=int, default=64)
    made.add_argument("--command", action=argparse.BooleanOptionalAction, default=True)
    options = made.parse_args(arguments)
    found = measure(options)
    goal = GOALS[options.engine]
    ratios = [
        Ratio(f"{options.engine}: time, respond / engine alone", found["ratio"], goal),
        Ratio(f"{options.engine}: CPU time, respond / engine alone", found["ratio_cpu"]),
        Ratio(f"{options.engine}: time, a task at a time / one batch", found["ratio_tasks"]),
    ]
    show(found, ratios)
    write_json(options.json, command(__file__, arguments), ratios, {"overhead": found})


def show(found: dict[str, Any], ratios: Sequence[Ratio]) -> None:
    rows = [
        (name, lap["seconds"], lap["cpu_seconds"], found["new_tokens"][name])
        for name, lap in found["medians"].items()
    ]
    title = f"{found['model']} on {found['engine']['engine']}, {found['requests']:,} requests"
    table(title, ["medians", "seconds", "CPU seconds", "new tokens"], rows)
    watched = [("generation", None, found["first_response_seconds"], found["memory"])]
    if (told := found["command"]) is not None:
        first = told["first_response_seconds"]
        watched.append(("bfpo-bench run", told["seconds"], first, told["memory"]))
    memory = [
        (name, whole, first, *(q["mib_all"] for q in quarters))
        for name, whole, first, quarters in watched
    ]
    headings = ["from its start", "whole, s", "first response, s"]
    headings += [f"MiB at {percent} %" for percent in (25, 50, 75, 100)]
    table("First stored response and resident memory of all processes", headings, memory)
    ratio_table("Ratios, medians over the rounds", ratios)


if __name__ == "__main__":
    main()
