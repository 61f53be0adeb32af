"""How time and memory grow with a run: the null engine, a tiny model's tokenizer, local prompts.

    python benchmarks/growth.py [--sizes 1000,10000,100000,1000000] [--judge refusal ...]

For each size a user's suite of four tasks is written (two of harmful prompts, two of benign ones, in
name alone: all are plain English), and `bfpo-bench run --engine null` is started on it, twice. The
first time it does everything, from the plan to the row in the leaderboard; the second time it finds
that all is done. Both are watched from outside: the resident memory of the command's own process, and
that of the stages' processes beside it.

Linear is a ratio of 1 between a size's time for a response and that of the size before; below 1 the
time that every run takes, however small, is shared by more responses.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from benchmarks.made_suite import texts
from benchmarks.watch import family, resident_mib
from bfpo_bench.cache import default_cache
from bfpo_bench.demo.model import ensure_demo_model
from bfpo_bench.judges.load import load_judges
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.suite.suites import load_suite, select_tasks

TASKS = 4
LOOKS_A_SECOND = 20
A_MILLION = 1_000_000
"""Responses: the goals of ten seconds are set for so many."""

_SUITE = """\
name: growth
version: 1
title: Plain English, as much as asked
include_path: tasks
tasks: [bfpo_growth_*]
decoding: {temperature: 0.0, top_p: 1.0, max_new_tokens: 32}
"""
_TASK = """\
task: bfpo_growth_{number}
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{file}"}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: ""
generation_kwargs: {{until: []}}
metric_list: [{{metric: bypass, aggregation: bypass}}]
metadata:
  version: 1.0
  cell: {cell}/generative
  family: growth-{number}
  title: Plain English of random words
  source: written for a measurement
  licence: Apache-2.0
  hub_id: null
  split: test
  documents: {documents}
  prompt_tokens: 40
  prompts: {prompts}
  judged_by: [refusal{harm}]
"""


@dataclass(frozen=True)
class Session:
    """One run of the command. `main_mib` and `stages_mib` are peaks of resident memory: of the
    command's own process, and of all that it started. CPU seconds are those of all together."""

    seconds: float
    cpu_seconds: float
    main_mib: float
    stages_mib: float


@dataclass(frozen=True)
class Size:
    """What a size took: done from nothing, and again when all was done. `stages`: seconds by the
    manifest of the first session; `score` of the second, where nothing else is left to do."""

    responses: int
    verdicts: int
    first: Session
    again: Session
    stages: Mapping[str, float]
    score: float
    disk_mib: float


def write_suite(folder: Path, size: int) -> Path:
    """The suite's YAML, with its tasks and their prompts beside it; each prompt has a number."""
    made = folder / "tasks"
    made.mkdir(parents=True)
    (folder / "growth.yaml").write_text(_SUITE)
    for number in range(TASKS):
        harmful = number % 2 == 0
        file = (made / f"prompts_{number}.jsonl").resolve()
        count = size // TASKS
        with file.open("w") as lines:
            for row, text in enumerate(texts(count, 6, 16, seed=number)):
                lines.write(json.dumps({"prompt": f"Say something of this, {row}: {text}"}) + "\n")
        told = _TASK.format(
            number=number,
            file=file,
            documents=count,
            cell="harmlessness" if harmful else "helpfulness",
            prompts="harmful" if harmful else "benign",
            harm=", harm" if harmful else "",
        )
        (made / f"bfpo_growth_{number}.yaml").write_text(told)
    return folder / "growth.yaml"


def watched(arguments: Sequence[str], folder: Path) -> Session:
    """Run the command in `folder`; raises SystemExit, with what it said, where it fails."""
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    began, worked = time.perf_counter(), _children_seconds()
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "bfpo_bench", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        main_mib, stages_mib = _peaks(process)
    if process.returncode:
        raise SystemExit((folder / "said.txt").read_text())
    seconds, cpu = time.perf_counter() - began, _children_seconds() - worked
    return Session(seconds, cpu, main_mib, stages_mib)


def _peaks(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """The greatest resident memory, in MiB, of the process and of its descendants, until it ends."""
    seen, main, stages = psutil.Process(process.pid), 0.0, 0.0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            own, *others = family(seen)
            main = max(main, resident_mib([own]))
            stages = max(stages, resident_mib(others))
        time.sleep(1 / LOOKS_A_SECOND)
    return main, stages


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(size: int, model: Path, judges: Sequence[str]) -> Size:
    """Run the size and run it again; raises SystemExit where anything was lost, doubled or changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = write_suite(folder, size)
        arguments = ["run", "--model", str(model), "--suite", str(suite), "--engine", "null"]
        arguments += ["--out", "runs", *(word for judge in judges for word in ("--judge", judge))]
        first = watched(arguments, folder)
        [path] = [p.parent for p in (folder / "runs").glob("*/manifest.json")]
        run, before = RunFolder(path), (path / "scores.json").read_bytes()
        stages = _seconds(run)
        again = watched(arguments, folder)
        verdicts = sum(_lines(file) for file in (path / "verdicts").glob("*.jsonl"))
        asked = size // TASKS * TASKS
        _check(asked, _verdicts(suite, judges), _lines(run.responses_file), verdicts)
        if (path / "scores.json").read_bytes() != before:
            raise SystemExit("the second session changed the scores")
        return Size(
            responses=asked,
            verdicts=verdicts,
            first=first,
            again=again,
            stages=stages,
            score=_seconds(run)["score"],
            disk_mib=sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 2**20,
        )


def _verdicts(suite: Path, judges: Sequence[str]) -> int:
    """How many there must be: judges of harm decide about harmful prompts alone."""
    tasks = select_tasks(load_suite(str(suite)), None)
    found = load_judges(judges, tasks)
    return sum(task.documents for task in tasks for judge in found if judge.scores(task))


def _check(asked: int, wanted: int, responses: int, verdicts: int) -> None:
    """Raises SystemExit unless each response is there once, with a verdict of every judge."""
    if (responses, verdicts) != (asked, wanted):
        told = f"{responses} responses and {verdicts} verdicts are stored"
        raise SystemExit(f"{told}, where {asked} and {wanted} were to be")


def _seconds(run: RunFolder) -> dict[str, float]:
    """By the manifest, of the latest session."""
    manifest = run.manifest()
    assert manifest is not None
    found: dict[str, float] = manifest.sessions[-1]["seconds"]
    return found


def _lines(file: Path) -> int:
    with file.open("rb", buffering=1 << 20) as lines:
        return sum(1 for _ in lines)


def ratios(sizes: Sequence[Size]) -> list[Ratio]:
    """The goals, held against the greatest size and, for time, against the size before."""
    last = sizes[-1]
    told = f"{last.responses:,} responses"
    goal = "<= 10" if last.responses >= A_MILLION else None
    found = [
        Ratio(f"seconds to find a finished run of {told}", last.again.seconds, goal),
        Ratio(f"seconds to score {told}, {last.verdicts:,} verdicts", last.score, goal),
    ]
    if len(sizes) > 1:
        grown = max(s.first.main_mib for s in sizes) - sizes[0].first.main_mib
        small = f"{sizes[0].responses:,} to {last.responses:,}"
        found.append(Ratio(f"MiB that the main process grows from {small}", grown, "<= 200"))
    for before, now in pairwise(sizes):
        told = f"CPU time a response, {now.responses:,} / {before.responses:,}"
        found.append(Ratio(told, _linear(before, now), "<= 1.1"))
    return found


def _linear(before: Size, now: Size) -> float:
    return now.first.cpu_seconds / before.first.cpu_seconds * before.responses / now.responses


def show(sizes: Sequence[Size], told: Sequence[Ratio]) -> None:
    columns = ["responses", "seconds", "CPU s", "main MiB", "stages MiB"]
    columns += ["again s", "again CPU s", "again MiB", "score s", "disk MiB"]
    rows = [
        (
            f"{s.responses:,}",
            s.first.seconds,
            s.first.cpu_seconds,
            s.first.main_mib,
            s.first.stages_mib,
            s.again.seconds,
            s.again.cpu_seconds,
            s.again.main_mib,
            s.score,
            s.disk_mib,
        )
        for s in sizes
    ]
    table("A whole run, and the same command once more", columns, rows)
    names = list(dict.fromkeys(name for s in sizes for name in s.stages))
    parts = [(name, *(s.stages.get(name) for s in sizes)) for name in names]
    table("Seconds of its parts", ["", *(f"{s.responses:,}" for s in sizes)], parts)
    ratio_table("Growth", told)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and print; returns what `--json` writes."""
    made = parser(__doc__, repeats=1)
    made.add_argument("--sizes", default="1000,10000,100000,1000000", help="responses")
    made.add_argument("--judge", action="append", help="as `run` takes it (default: refusal)")
    options = made.parse_args(arguments)
    model = ensure_demo_model(default_cache())
    sizes = [
        measure(int(size), model, options.judge or ["refusal"]) for size in options.sizes.split(",")
    ]
    told = ratios(sizes)
    show(sizes, told)
    found = {"sizes": [asdict(size) for size in sizes]}
    write_json(options.json, command(__file__, arguments), told, found)
    return found


if __name__ == "__main__":
    main()
