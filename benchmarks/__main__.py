"""Every measurement of speed, one after another, each with what a laptop finishes.

    python -m benchmarks [--only NAME ...] [--quick] [--results FOLDER]

Each script runs in a process of its own, prints its tables, and writes all its figures to
`FOLDER/NAME.json`; a table of all ratios comes last. Where HF_ENDPOINT is not set, the stand-in for
the hub of ../shared is started; what needs it, or vLLM, Ray, TRL or Chromium, is left out with the reason where
there is none. `--quick` shows in minutes that everything runs: its figures say little.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.common import table

HERE = Path(__file__).resolve().parent
HUB = HERE.parent / ".." / "shared" / "hub"
REAL = "karpathy/stories260K-head64"
CHAT = "fixtures/rambler-9M"


@dataclass(frozen=True)
class Entry:
    """One call of a script. `needs` names what a laptop may lack: hub, vllm, ray, trl or chromium."""

    script: str
    arguments: str = ""
    quick: str = ""
    needs: tuple[str, ...] = ()


ENTRIES = {
    "start": Entry("start", "", "--repeats 1"),
    "start_plan": Entry("start", f"--model {REAL}", f"--model {REAL} --repeats 1", ("hub",)),
    "overhead": Entry(
        "overhead", "--requests 512", "--requests 16 --repeats 1 --new-tokens 8 --no-command"
    ),
    "overhead_vllm": Entry(
        "overhead",
        f"--engine vllm --model {REAL} --requests 5000 --new-tokens 32",
        f"--engine vllm --model {REAL} --requests 64 --repeats 1 --new-tokens 8 --no-command",
        ("hub", "vllm"),
    ),
    "multiple_choice": Entry(
        "multiple_choice", "--random-llama", "--random-llama --limit 4 --repeats 1", ("hub",)
    ),
    "multiple_choice_vllm": Entry(
        "multiple_choice_vllm", "", "--limit 4 --repeats 1", ("hub", "vllm")
    ),
    "bias": Entry("bias", "", "--requests 8 --new-tokens 8 --repeats 1", ("hub",)),
    "bias_vllm": Entry(
        "bias",
        "--engine vllm",
        "--engine vllm --requests 8 --new-tokens 8 --repeats 1",
        ("hub", "vllm"),
    ),
    "official_path": Entry(
        "official_path",
        f"--model {CHAT} --prompts 128",
        f"--model {REAL} --prompts 8 --single 4 --new-tokens 16 --repeats 1",
        ("hub",),
    ),
    "official_path_vllm": Entry(
        "official_path",
        f"--model {CHAT} --prompts 512 --batch 1 --engine vllm",
        f"--model {REAL} --prompts 8 --single 4 --new-tokens 16 --repeats 1 --batch 1 --engine vllm",
        ("hub", "vllm"),
    ),
    "scale": Entry("scale", "", "--requests 64 --new-tokens 8 --repeats 1", ("hub", "vllm", "ray")),
    "report": Entry("report", "", "--models 2 --responses 200 --repeats 1", ("chromium",)),
    "growth": Entry("growth", "--sizes 1000,10000", "--sizes 50,100"),
    "judging": Entry("judging", "", "--responses 16 --single 4 --repeats 1", ("hub",)),
    "judging_vllm": Entry(
        "judging",
        "--engine vllm",
        "--engine vllm --responses 16 --single 4 --repeats 1",
        ("hub", "vllm"),
    ),
    "training": Entry(
        "training", "", "--steps 1 --repeats 1 --batch 2 --words 8 --hidden 64 --layers 1", ("trl",)
    ),
    "methods": Entry(
        "methods",
        "",
        "--steps 1 --repeats 1 --pairs 1 --hidden 64 --layers 1 --prompts 4 --new-tokens 4 --only control-tokens",
        ("trl",),
    ),
    "contamination": Entry(
        "contamination", "--rows 100000", "--rows 2000 --prompts 1000 --repeats 1"
    ),
}


@contextmanager
def hub(environment: Mapping[str, str]) -> Iterator[dict[str, str] | None]:
    """What a script's environment needs to find the models; None where there is no hub."""
    if "HF_ENDPOINT" in environment:
        yield {}
        return
    if not (HUB / "serve.py").is_file():
        yield None
        return
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, str(HUB / "serve.py"), str(HUB)]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip().removeprefix("HF_ENDPOINT=")
            yield {"HF_ENDPOINT": endpoint, "HF_HOME": home}
        finally:
            server.terminate()
            server.wait()


def lacking(entry: Entry, has_hub: bool) -> str | None:
    """Why it cannot run here."""
    if "hub" in entry.needs and not has_hub:
        return "needs HF_ENDPOINT, or the stand-in for the hub in ../shared"
    if "trl" in entry.needs and find_spec("trl") is None:
        return "needs TRL: pip install -e '.[train]'"
    if "ray" in entry.needs and find_spec("ray") is None:
        return "needs Ray: pip install -e '.[ray]'"
    if "chromium" in entry.needs and (
        shutil.which("chromium") is None or find_spec("playwright") is None
    ):
        return "needs Chromium and playwright: Debian's package chromium, pip install -e '.[dev]'"
    if "vllm" in entry.needs:
        from bfpo_bench.cache import default_cache
        from bfpo_bench.engines.probe import probe_vllm

        probe = probe_vllm(cache=default_cache())
        return None if probe.usable else f"needs vLLM: {probe.reason}"
    return None


def run(name: str, quick: bool, file: Path, environment: Mapping[str, str]) -> str | None:
    """One script, its figures in `file`; why it failed, or None."""
    entry = ENTRIES[name]
    words = (entry.quick if quick else entry.arguments).split()
    print(f"\n== {name}: python benchmarks/{entry.script}.py {' '.join(words)}", flush=True)
    file.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, str(HERE / f"{entry.script}.py"), *words, "--json", str(file)],
        env={**os.environ, **environment},
        cwd=HERE.parent,
    )
    return None if done.returncode == 0 else f"ended with exit code {done.returncode}"


def summary(names: Sequence[str], results: Path, reasons: Mapping[str, str]) -> None:
    """Every ratio of every script, and what did not run."""
    rows: list[Sequence[object]] = []
    for name in names:
        if name in reasons:
            rows.append((name, reasons[name], None, None, None))
            continue
        for ratio in json.loads((results / f"{name}.json").read_text())["ratios"]:
            met = ratio.get("met")
            rows.append((name, ratio["what"], ratio["value"], ratio.get("goal"), met))
    table("All ratios", ["script", "what", "", "goal", "met"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 where a script failed."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--only", action="append", choices=list(ENTRIES), help="repeatable")
    made.add_argument("--quick", action="store_true", help="see that everything runs")
    made.add_argument("--results", type=Path, default=HERE / "results", metavar="FOLDER")
    options = made.parse_args(arguments)
    names = options.only or list(ENTRIES)
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    with hub(os.environ) as environment:
        for name in names:
            reason = lacking(ENTRIES[name], environment is not None)
            if reason is not None:
                skipped[name] = f"left out: {reason}"
                print(f"\n== {name}: {skipped[name]}", flush=True)
                continue
            file = options.results.resolve() / f"{name}.json"
            fault = run(name, options.quick, file, environment or {})
            if fault is not None:
                failed[name] = fault
    summary(names, options.results, skipped | failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
