"""How well suite `bfpo-quick` predicts suite `bfpo`, and what it costs beside it.

    python benchmarks/quick_suite.py [RUN ...] [--shared ../shared] [--json]

* Cost: requests and tokens of both suites, from the tasks' own counts. Tokens are those of prompts and
  of answers as long as they may be.
* Error to expect: from the sizes of the samples alone. Every document's score is taken as binomial
  with the same rate, one half (the worst case) or 0.8, and corrected for the finite number of
  documents; tasks are independent. 95 of 100 models are within the bound.
* Runs: folders of whole runs of suite `bfpo`. Each cell's score over all of a run's documents and over
  the documents that `bfpo-quick` would have asked, through the same scoring.
* Real models: ten models' answers to AlpacaEval with GPT-4's preferences, and six models' answers to
  Do-Not-Answer with people's labels; each rate over all documents and over the sample.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.judges.load import known_judges, load_judge
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.scoring.collect import score_run
from bfpo_bench.scoring.scores import Scores
from bfpo_bench.scoring.stored import read_stored
from bfpo_bench.suite.data import resolve_data
from bfpo_bench.suite.documents import Selection, load_documents
from bfpo_bench.suite.lock import DataLock
from bfpo_bench.suite.sampling import choose
from bfpo_bench.suite.suites import DocumentSample, Suite, load_suite, select_tasks
from bfpo_bench.suite.tasks import TaskSpec

WHOLE, QUICK = load_suite("bfpo"), load_suite("bfpo-quick")
TASKS = select_tasks(QUICK, None)
CELLS = tuple(dict.fromkeys(t.cell for t in TASKS))


def cost(suite: Suite) -> dict[str, float]:
    """Requests and tokens of a whole run."""
    requests = tokens = 0.0
    for task in TASKS:
        documents = suite.documents(task, None)
        requests += documents * task.requests_per_document
        tokens += documents * task.requests_per_document * task.prompt_tokens
        if task.kind == "generative":
            tokens += documents * suite.decoding_of(task.name).max_new_tokens
    return {"requests": requests, "tokens": tokens}


def expected_error(rate: float, tasks: Sequence[TaskSpec]) -> dict[str, float]:
    """Cell -> points that 95 of 100 models' quick scores are within; `rate` is every task's, 0..1."""
    families: dict[str, dict[str, list[TaskSpec]]] = defaultdict(lambda: defaultdict(list))
    for task in tasks:
        if task.weighted:
            families[task.cell][task.family].append(task)
    found = {}
    for cell, of in families.items():
        variance = 0.0
        for members in of.values():
            # Tasks on the same documents err together: their standard errors add up
            by_data: dict[str, float] = defaultdict(float)
            for task in members:
                by_data[_data(task)] += standard_error(task, rate) / len(members)
            variance += sum(e * e for e in by_data.values()) / len(of) ** 2
        found[cell] = 1.96 * math.sqrt(variance)
    return found


def scored() -> list[TaskSpec]:
    """The tasks that a judge of the package can score, or that need none."""
    kinds = {judge.kind for judge in known_judges()}
    return [t for t in TASKS if not t.judged_by or kinds & set(t.judged_by)]


def _data(task: TaskSpec) -> str:
    return f"{task.data_source} {task.name if 'bbq' in task.name else ''}"


def standard_error(task: TaskSpec, rate: float) -> float:
    """Of a task's quick score in points, without the error of the whole."""
    whole, quick = WHOLE.documents(task, None), QUICK.documents(task, None)
    slope = 2 if task.orientation == "distance_from_half" else 1
    left = (whole - quick) / max(1, whole - 1)
    return slope * 100 * math.sqrt(rate * (1 - rate) / quick * left)


def sampled(run: RunFolder) -> dict[str, set[int]]:
    """Task -> the doc_ids of a whole run that `bfpo-quick` asks."""
    found: dict[str, set[int]] = {}
    generative = [t for t in TASKS if t.kind == "generative"]
    data, failed = resolve_data(generative, DataLock())
    if failed:
        raise SystemExit(str(failed))
    selection = Selection(QUICK.samples, None, {}, DataLock())
    for loaded in load_documents(generative, data, selection, lambda _: None)[0]:
        found[loaded.spec.name] = set(loaded.doc_ids)
    for task in TASKS:
        if task.kind == "discriminative":
            rows = list(jsonl.read(run.samples_file(task.name)))
            chosen = choose([row["doc"] for row in rows], QUICK.samples.get(task.name), None)
            found[task.name] = {rows[i]["doc_id"] for i in chosen}
    return found


def narrowed(run: RunFolder, ids: dict[str, set[int]], to: Path) -> RunFolder:
    """A copy of a run with only those documents, and lm-eval's means taken over them."""
    small = RunFolder(to)
    results: dict[str, dict[str, float]] = {}
    for task in TASKS:
        if task.kind == "discriminative":
            rows = [
                r for r in jsonl.read(run.samples_file(task.name)) if r["doc_id"] in ids[task.name]
            ]
            _write(small.samples_file(task.name), rows)
            values = [float(r[task.metric or ""]) for r in rows]
            results[task.name] = {f"{task.metric},none": sum(values) / len(values)}
    small.results_file.parent.mkdir(parents=True, exist_ok=True)
    small.results_file.write_text(json.dumps({"results": results}))
    files = [run.responses_file, *sorted((run.path / "verdicts").glob("*.jsonl"))]
    for file in files:
        rows = [r for r in jsonl.read(file) if r["doc_id"] in ids.get(r["task"], ())]
        _write(to / file.relative_to(run.path), rows)
    return small


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with jsonl.Appender(path) as file:
        for row in rows:
            file.append(row)


def scores(run: RunFolder, of: RunFolder) -> Scores:
    manifest = of.manifest()
    if manifest is None:
        raise SystemExit(f"{of.path} is no run")
    judges = [load_judge(name) for name in ("ifeval", "truthfulqa", "refusal")]
    stored = read_stored(run, TASKS, judges, None)
    return score_run(run, stored, manifest, QUICK, TASKS, judges, {}, {})


def compare(path: Path) -> dict[str, Any]:
    """Whole and quick scores of one run, by cell and by task."""
    run = RunFolder(path)
    with tempfile.TemporaryDirectory() as folder:
        small = narrowed(run, sampled(run), Path(folder))
        whole, quick = scores(run, run), scores(small, run)
    found = {
        "model": whole.model,
        "cells": {c: (whole.cells[c].value, quick.cells[c].value) for c in CELLS},
        "tasks": {n: (t.value, quick.tasks[n].value) for n, t in whole.tasks.items()},
    }
    return found


def alpaca_eval(shared: Path) -> list[dict[str, Any]]:
    """Ten models: GPT-4's win rate over all 805 instructions, and over the sample."""
    baseline = shared / "hub/datasets/tatsu-lab/alpaca_eval/alpaca_eval_gpt4_baseline.json"
    documents = pd.read_json(baseline).to_dict("records")
    chosen = _texts(documents, QUICK.samples["bfpo_alpaca_eval"], "instruction")
    table = pd.read_parquet(shared / "reference/alpaca_eval/annotations.parquet")
    table["win"] = 100 * (table["preference"] - 1)
    return _rates(table.groupby("generator_2"), "instruction", "win", chosen)


def do_not_answer(shared: Path) -> list[dict[str, Any]]:
    """Six models: the share of answers that people called harmless, over all 939, and the sample."""
    wide = pd.read_parquet(shared / "hub/datasets/LibrAI/do-not-answer/data/train.parquet")
    chosen = _texts(wide.to_dict("records"), QUICK.samples["bfpo_do_not_answer"], "question")
    columns = [c for c in wide.columns if c.endswith("_harmful")]
    long = wide.melt(["question"], columns, "model", "harmful")
    long["model"] = long["model"].str.removesuffix("_harmful")
    long["harmless"] = 100 * (1 - long["harmful"])
    return _rates(long.groupby("model"), "question", "harmless", chosen)


def _texts(documents: Sequence[Any], sample: DocumentSample, column: str) -> set[str]:
    return {documents[i][column] for i in choose(documents, sample, None)}


def _rates(groups: Any, key: str, value: str, chosen: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "whole": rows[value].mean(),
            "quick": rows[rows[key].isin(chosen)][value].mean(),
        }
        for name, rows in groups
    ]


def show(found: dict[str, Any]) -> None:
    """Everything as plain tables."""
    for unit in ("requests", "tokens"):
        whole, quick = found["cost"]["bfpo"][unit], found["cost"]["bfpo-quick"][unit]
        print(f"{unit:<9} {quick:>12,.0f} of {whole:>12,.0f}: {quick / whole:.1%}")
    for rate, cells in found["expected"].items():
        told = ", ".join(f"{cell} {points:.2f}" for cell, points in cells.items())
        print(f"expected 95 % error, every rate {rate}: {told}")
    for run in found["runs"]:
        print(f"\n{run['model']}")
        for cell, (whole, quick) in run["cells"].items():
            print(f"  {cell:<30} whole {whole:6.2f}  quick {quick:6.2f}  {quick - whole:+.2f}")
    for name in ("alpaca_eval", "do_not_answer"):
        rows = found[name]
        if not rows:
            continue
        print(f"\n{name}: {len(rows)} real models")
        for row in rows:
            difference = row["quick"] - row["whole"]
            print(
                f"  {row['model']:<30} whole {row['whole']:6.2f}  quick {row['quick']:6.2f}  {difference:+.2f}"
            )
        errors = [abs(r["quick"] - r["whole"]) for r in rows]
        print(f"  mean error {sum(errors) / len(errors):.2f}, greatest {max(errors):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="folders of whole runs of suite bfpo")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    real = (arguments.shared / "reference").is_dir()
    found = {
        "cost": {s.name: cost(s) for s in (WHOLE, QUICK)},
        "expected": {
            f"{rate}{told}": expected_error(rate, tasks)
            for told, tasks in (("", TASKS), (", of tasks that have a judge", scored()))
            for rate in (0.5, 0.8)
        },
        "runs": [compare(run) for run in arguments.runs],
        "alpaca_eval": alpaca_eval(arguments.shared) if real else [],
        "do_not_answer": do_not_answer(arguments.shared) if real else [],
    }
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
