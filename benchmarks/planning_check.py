"""Runs that exist, held against what `planning.py` predicts for them: bytes, files, seconds.

    bfpo-bench run --engine null --model A --model B --suite bfpo --limit 100
    python benchmarks/planning_check.py runs/*

Give it runs of a whole suite with hundreds of responses: of smaller ones most is what every run has, and
that is taken for suite bfpo's. Texts are counted in bytes, since a small model's tokens are short.
Seconds are those of the manifests, by the clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from benchmarks.planning import TOKEN_BYTES, Stored, Workload, run_bytes
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import read


@dataclass(frozen=True)
class Measured:
    """A run folder. `text` are bytes of prompts, answers and choices; the others bytes beside them."""

    name: str
    work: Workload
    verdicts: int
    text: int
    stored: Stored
    whole: int
    files: int
    seconds: dict[str, float]

    @property
    def predicted(self) -> float:
        return run_bytes(self.work, 1.0, self.verdicts)


def measure(folder: Path) -> Measured:
    """Everything in one run folder, read once."""
    run = RunFolder(folder)
    files = [f for f in folder.rglob("*") if f.is_file()]
    whole = sum(f.stat().st_size for f in files)
    answers = list(read(run.responses_file))
    answered = sum(len(r["response"].encode()) for r in answers)
    asked = sum(len(m["content"].encode()) for r in answers for m in r["messages"])
    samples = sorted(folder.glob("discriminative/samples_*.jsonl"))
    lines = [json.loads(line) for f in samples for line in f.open(encoding="utf-8")]
    chosen = sum(len(str(a).encode()) for s in lines for pair in s["arguments"] for a in pair)
    choices = sum(len(s["arguments"]) for s in lines)
    judged = [f for f in folder.glob("verdicts/*.jsonl")]
    verdicts = sum(1 for f in judged for _ in f.open("rb"))
    parts = {
        "response": (_size([run.responses_file]) - asked - answered, len(answers)),
        "verdict": (_size(judged), verdicts),
        "choice": (_size([run.likelihoods_file]), choices),
        "sample": (_size(samples) - chosen, len(lines)),
    }
    text = asked + answered + chosen
    rest = whole - text - sum(size for size, _ in parts.values())
    each = {name: size / count if count else 0.0 for name, (size, count) in parts.items()}
    return Measured(
        name=folder.name,
        work=Workload(
            prompts=len(answers),
            prompt_tokens=round(asked / TOKEN_BYTES),
            new_tokens=round(answered / TOKEN_BYTES),
            choices=choices,
            choice_tokens=round(chosen / TOKEN_BYTES),
            documents=len(lines),
        ),
        verdicts=verdicts,
        text=text,
        stored=Stored(**each, run=rest),
        whole=whole,
        files=len(files),
        seconds=_seconds(run),
    )


def _size(files: Sequence[Path]) -> int:
    return sum(f.stat().st_size for f in files if f.is_file())


def _seconds(run: RunFolder) -> dict[str, float]:
    """Of each part, over all sessions."""
    manifest = run.manifest()
    assert manifest is not None
    found: dict[str, float] = {}
    for session in manifest.sessions:
        for name, seconds in (session.get("seconds") or {}).items():
            found[name] = found.get(name, 0.0) + seconds
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and print; returns what `--json` writes."""
    made = parser(__doc__, repeats=1)
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the folder of a run")
    options = made.parse_args(arguments)
    found = [measure(folder) for folder in options.runs]
    columns = ["run", "responses", "choices", "verdicts", "files", "MB"]
    columns += [f"bytes a {name}" for name in ("response", "verdict", "choice", "sample")]
    table(
        "Bytes beside the texts",
        [*columns, "the rest, kB"],
        [
            (
                m.name,
                m.work.prompts,
                m.work.choices,
                m.verdicts,
                m.files,
                m.whole / 1e6,
                *(getattr(m.stored, name) for name in ("response", "verdict", "choice", "sample")),
                m.stored.run / 1e3,
            )
            for m in found
        ],
    )
    names = list(dict.fromkeys(name for m in found for name in m.seconds))
    rows = [(name, *(m.seconds.get(name) for m in found)) for name in names]
    table("Seconds of its parts, by the clock", ["", *(m.name for m in found)], rows)
    told = [Ratio(f"{m.name}: bytes, predicted / measured", m.predicted / m.whole) for m in found]
    ratio_table("Predicted against measured", told)
    for m in found:
        if Stored().run > m.predicted / 2:
            print(
                f"{m.name} is too small to say anything: of the {m.predicted / 1e3:.0f} kB predicted "
                f"{Stored().run / 1e3:.0f} are for what every run of a whole suite has."
            )
    figures = {"runs": [asdict(m) for m in found]}
    write_json(options.json, command(__file__, arguments), told, figures)
    return figures


if __name__ == "__main__":
    main()
