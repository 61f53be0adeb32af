"""Multiple choice on transformers: our engine against lm-eval's HF backend, same texts, same model.

    python benchmarks/multiple_choice.py [--model ID_OR_PATH | --random-llama] [--limit N] [--tasks GLOBS]

The documents are the first N of each discriminative task of suite `bfpo` (0: all of them), and as many
made ones of the shape of HHH: a long dialogue and two long answers. Both sides have a model of their
own in one process, float32 on a CPU, the same context, and score task after task in turns; each task
is a call of its own, so nothing is shared between tasks. lm-eval's batch size is the fastest of 1,
4, 8, 16 and 32 on a sample of every task. Timed is what a user waits for: tokenising, scoring, and the sums.

Peak memory is measured in a process for each side: the highest resident memory while a task is
scored, and how much of that is above what the process held with the model loaded.

`--random-llama` measures a Llama of 15 million parameters and a vocabulary of 32,000 with random
weights and the tokenizer of --model.
"""

from __future__ import annotations

import argparse
import ctypes
import fnmatch
import gc
import multiprocessing
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import (
    Lap,
    Ratio,
    command,
    in_turns,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    timed,
    write_json,
)
from benchmarks.multiple_choice_vllm import Texts, read
from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.tokens import scoring_request

MODEL = "fixtures/refuser-9M"
MADE = "made, as HHH"
GOALS = {"*bbq_ambig": 3.0, "*bbq_disambig": 3.0, MADE: 3.0, "*truthfulqa_mc2": 5.0}
"""How many times as fast; every other task at least as fast."""
BATCHES = (1, 4, 8, 16, 32)
MIB = 2**20
Answers = list[tuple[float, bool]]
Score = Callable[[Texts], Answers]

TEXT = """people often ask how a plan should change when the weather turns and what to pack for a long
walk in the hills because a good friend would give advice that is kind and true and short enough to
remember while cooking dinner or mending a bicycle in the garden on a quiet Sunday afternoon"""


def made(count: int) -> Texts:
    """Dialogues of four turns with two answers each, of words drawn with a fixed seed."""
    draw, words = random.Random(0), TEXT.split()

    def said(low: int, high: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(low, high)))

    found = []
    for _ in range(count):
        turns = [f"{who}: {said(30, 70)}." for who in ("Human", "Assistant") * 2]
        context = "\n\n".join([*turns, f"Human: {said(10, 40)}?", "Assistant:"])
        found += [(context, f" {said(40, 80)}.") for _ in range(2)]
    return found


def ours(model: str, context: int) -> Score:
    subject = resolve_subject(model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    files = model_files(subject, tokenizer, context, {"device": "cpu", "dtype": "float32"}, 0)
    engine = load_engine("transformers", files)

    def score(texts: Texts) -> Answers:
        requests = [scoring_request(tokenizer, c, a, context)[0] for c, a in texts]
        told: list[Any] = [None] * len(requests)
        for position, found in engine.loglikelihoods(requests):
            assert not isinstance(found, Failure)
            told[position] = found.logprob, found.greedy
        return told

    return score


def theirs(model: str, context: int, batch: int | None) -> Score:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    folder = str(resolve_subject(model).base.materialise())
    lm = HFLM(folder, device="cpu", dtype="float32", max_length=context, batch_size=batch or 16)

    def score(texts: Texts, rows: int | None = None) -> Answers:
        lm.batch_size_per_gpu = rows or batch or 16
        asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(texts)]
        return [(float(p), bool(g)) for p, g in lm.loglikelihood(asked, disable_tqdm=True)]

    return score


SIDES = ("lm-eval", "ours")


def side_of(name: str, model: str, context: int, batch: int) -> Score:
    """A side, loaded; only lm-eval's has a batch size."""
    return theirs(model, context, batch) if name == "lm-eval" else ours(model, context)


def best_batch(model: str, context: int, tasks: Mapping[str, Texts]) -> dict[int, float]:
    """Batch size -> lm-eval's CPU seconds on up to 24 requests of each task."""
    score: Any = theirs(model, context, None)
    sample = [pair for texts in tasks.values() for pair in texts[:24]]
    score(sample[:8])
    return {n: timed(partial(score, sample, n)).cpu_seconds for n in BATCHES}


def peaks(
    side: str, model: str, context: int, batch: int, tasks: Mapping[str, Texts], answer: Any
) -> None:
    """A process of its own: for each task MiB above the loaded model, and in all."""
    score = side_of(side, model, context, batch)
    score(next(iter(tasks.values()))[:2])
    found = {}
    for name, texts in tasks.items():
        gc.collect()
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        # Linux starts the peak anew at this process's wish, which getrusage cannot
        Path("/proc/self/clear_refs").write_text("5")
        before = psutil.Process().memory_info().rss
        score(texts)
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
        found[name] = {"above": (peak - before) / MIB, "all": peak / MIB}
    answer.send(found)


def memory(
    side: str, model: str, context: int, batch: int, tasks: Mapping[str, Texts]
) -> dict[str, dict[str, float]]:
    spawn = multiprocessing.get_context("spawn")
    mine, other = spawn.Pipe()
    process = spawn.Process(target=peaks, args=(side, model, context, batch, tasks, other))
    process.start()
    other.close()
    found: dict[str, dict[str, float]] = mine.recv()
    process.join()
    return found


def random_llama(model: str, folder: Path) -> str:
    """15 million parameters, vocabulary of 32,000, the tokenizer of `model`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    source = resolve_subject(model).base.materialise()
    for file in source.iterdir():
        if "token" in file.name or file.suffix == ".jinja":
            shutil.copy(file, folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=288,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def goal(task: str) -> float:
    return next((g for name, g in GOALS.items() if fnmatch.fnmatch(task, name)), 1.0)


def figures(task: str, texts: Texts, laps: Mapping[str, Sequence[Lap]]) -> dict[str, Any]:
    a, b = (laps[side][0].result for side in SIDES)
    return {
        "task": task,
        "choices": len(texts),
        "medians": medians(laps),
        "ratio": quotient(laps, "lm-eval", "ours"),
        "cpu_ratio": quotient(laps, "lm-eval", "ours", cpu=True),
        "difference": max(abs(x[0] - y[0]) for x, y in zip(a, b, strict=True)),
        "greedy_differs": sum(x[1] != y[1] for x, y in zip(a, b, strict=True)),
    }


def task_ratios(row: Mapping[str, Any]) -> list[Ratio]:
    """By CPU time, for which the goal is set, and by the clock."""
    least = f">= {goal(row['task'])}"
    return [
        Ratio(f"{row['task']}: CPU time lm-eval / ours", row["cpu_ratio"], least),
        Ratio(f"{row['task']}: time lm-eval / ours", row["ratio"]),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    made_parser = parser(__doc__)
    made_parser.add_argument("--model", default=MODEL)
    made_parser.add_argument("--random-llama", action="store_true")
    made_parser.add_argument("--limit", type=int, default=60, help="documents a task; 0: all")
    made_parser.add_argument("--tasks", metavar="GLOBS", help="separated by commas")
    made_parser.add_argument("--context", type=int, default=1024)
    options = made_parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        model = options.model
        if options.random_llama:
            model = random_llama(model, Path(name))
        measure(options, model, command(__file__, arguments))


def measure(options: argparse.Namespace, model: str, told: str) -> None:
    asked = read(options.limit or None, options.tasks)
    tasks: dict[str, Texts] = {
        name: [(c.context, c.continuation) for c in found] for name, found in asked.items()
    }
    tasks[MADE] = made(options.limit or 200)
    tried = best_batch(model, options.context, tasks)
    batch = min(tried, key=lambda n: tried[n])
    loaded = {side: side_of(side, model, options.context, batch) for side in SIDES}
    for score in loaded.values():
        score(tasks[MADE][:8])
    found = []
    for name, texts in tasks.items():
        laps = in_turns({s: partial(f, texts) for s, f in loaded.items()}, options.repeats)
        found.append(figures(name, texts, laps))
        print(f"{name}: {found[-1]['cpu_ratio']:.1f}", flush=True)
    held = {side: memory(side, model, options.context, batch, tasks) for side in SIDES}
    report(options, told, found, held, tried)


def report(
    options: argparse.Namespace,
    told: str,
    found: Sequence[dict[str, Any]],
    held: Mapping[str, Mapping[str, Mapping[str, float]]],
    tried: Mapping[int, float],
) -> None:
    rows = []
    for row in found:
        middle, more = row["medians"], [held[side][row["task"]]["above"] for side in SIDES]
        cpu = [middle[side]["cpu_seconds"] for side in SIDES]
        wide = [
            row["task"],
            row["choices"],
            *cpu,
            row["ratio"],
            row["cpu_ratio"],
            goal(row["task"]),
        ]
        rows.append([*wide, *more, f"{row['difference']:.0e}", row["greedy_differs"]])
    columns = ["task", "choices", "lm-eval, CPU s", "ours", "times as fast", "by CPU", "goal"]
    columns += ["lm-eval, MiB", "ours", "difference, nats", "greedy differs"]
    batch = min(tried, key=lambda n: tried[n])
    table(f"Medians of {options.repeats}; lm-eval's HF backend at batch {batch}", columns, rows)
    ratios = [ratio for row in found for ratio in task_ratios(row)]
    most = {side: max(peak["all"] for peak in tasks.values()) for side, tasks in held.items()}
    ratios += [
        Ratio("peak memory, ours / lm-eval", most["ours"] / most["lm-eval"], "<= 1"),
        Ratio("greatest difference, nats", max(row["difference"] for row in found), "<= 0.0001"),
    ]
    ratio_table("Ratios, medians over the rounds", ratios)
    write_json(
        options.json,
        told,
        ratios,
        {"tasks": list(found), "memory_mib": held, "batch_cpu_seconds": tried},
    )


if __name__ == "__main__":
    main()
