"""How fast `bfpo-bench contamination` reads a training set, and in how much memory.

    python benchmarks/contamination.py [--rows 1000000] [--prompts 80000] [--json FILE]

Everything is synthetic. Words are drawn from a vocabulary of 20,000 by Zipf's law, so that common
words repeat as they do in language. Prompts have 6 to 60 words. A row is a chat of about 200 words,
one line of a JSONL file, which is written first (about 1.4 GB for 1 M rows) and not timed. One row in
1,000 holds a prompt word for word in other punctuation, one in 1,000 the first nine tenths of a long
one; what was planted and not found is printed. Seconds and memory are those of a process of its own
that builds the index, reads the file and matches it.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from bfpo_bench.suite.contamination import EvaluationPrompt, Index, scan
from bfpo_bench.suite.training_texts import open_training

VOCABULARY = 20_000
PLANT_EVERY = 1000
LONG = 40
BLOCK = 10_000


def vocabulary(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    letters = np.array(list("etaoinshrdlu"))
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(rng.choice(letters, rng.integers(2, 10)))] = None
    weights = 1 / (np.arange(VOCABULARY) + 2.7)
    return list(words), np.cumsum(weights / weights.sum())


def texts(rng: np.random.Generator, lengths: np.ndarray) -> Iterator[list[str]]:
    words, cumulative = vocabulary(np.random.default_rng(0))
    for start in range(0, len(lengths), BLOCK):
        block = lengths[start : start + BLOCK]
        drawn = np.searchsorted(cumulative, rng.random(int(block.sum())))
        ends = np.cumsum(block)
        for end, length in zip(ends.tolist(), block.tolist(), strict=True):
            yield [words[min(i, VOCABULARY - 1)] for i in drawn[end - length : end].tolist()]


def make_prompts(number: int) -> list[EvaluationPrompt]:
    rng = np.random.default_rng(1)
    made = texts(rng, rng.integers(6, 61, number))
    return [EvaluationPrompt("synthetic", i, (" ".join(words),)) for i, words in enumerate(made)]


def write_rows(path: Path, number: int, prompts: int) -> None:
    """The training file; prompts are planted in turn, whole ones and cut ones."""
    asked = [prompt.texts[0].split() for prompt in make_prompts(prompts)]
    long = [words for words in asked if len(words) >= LONG]
    rng = np.random.default_rng(2)
    with path.open("w") as file:
        for i, words in enumerate(texts(rng, rng.integers(120, 281, number))):
            question, answer = words[:40], words[40:]
            if i % PLANT_EVERY == 0:
                whole = asked[i // PLANT_EVERY % len(asked)]
                question = [whole[0].upper() + ",", *whole[1:]]
            elif i % PLANT_EVERY == PLANT_EVERY // 2:
                cut = long[i // PLANT_EVERY % len(long)]
                question = [*cut[: len(cut) * 9 // 10], *question[:5]]
            turns = (("user", question), ("assistant", answer))
            chat = [{"role": r, "content": " ".join(w).capitalize() + "."} for r, w in turns]
            file.write(json.dumps({"messages": chat}) + "\n")


def measure(path: str, prompts: int, answer: Any) -> None:
    made = make_prompts(prompts)
    started, cpu = time.perf_counter(), time.process_time()
    index = Index(made)
    built = time.perf_counter()
    kinds: dict[tuple[int, str], None] = {}

    def on_hit(hit: Any) -> None:
        if hit.row % PLANT_EVERY in (0, PLANT_EVERY // 2):
            kinds[hit.row, hit.kind] = None

    found = scan(index, open_training(path, None, ()).rows, on_hit, lambda rows: None)
    read = time.perf_counter()
    answer.put(
        {
            "index_seconds": round(built - started, 1),
            "seconds": round(read - built, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "rows_per_second": round(found.rows / (read - built)),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "whole_found": sum(row % PLANT_EVERY == 0 and k == "exact" for row, k in kinds),
            "cut_found": sum(row % PLANT_EVERY != 0 and k == "near" for row, k in kinds),
        }
    )


def scanned(rows: int, prompts: int) -> dict[str, Any]:
    """One reading of a fresh file, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, rows, prompts)
        size = path.stat().st_size
        answer = spawn.Queue()
        process = spawn.Process(target=measure, args=(str(path), prompts, answer))
        process.start()
        measured = answer.get()
        process.join()
    return {
        "rows": rows,
        "prompts": prompts,
        "file_mb": round(size / 1e6),
        **measured,
        "whole_planted": -(-rows // PLANT_EVERY),
        "cut_planted": (rows + PLANT_EVERY // 2 - 1) // PLANT_EVERY,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__, repeats=1)
    made.add_argument("--rows", type=int, default=1_000_000)
    made.add_argument("--prompts", type=int, default=80_000)
    options = made.parse_args(arguments)
    found = [scanned(options.rows, options.prompts) for _ in range(options.repeats)]

    def middle(key: str) -> float:
        return statistics.median(entry[key] for entry in found)

    keys = ("file_mb", "index_seconds", "seconds", "cpu_seconds", "rows_per_second", "peak_mb")
    title = f"{options.rows:,} rows, {options.prompts:,} prompts"
    table(title, ["medians", ""], [(key.replace("_", " "), middle(key)) for key in keys])
    one = found[0]
    ratios = [
        Ratio("whole prompts, found / planted", one["whole_found"] / one["whole_planted"], ">= 1"),
        Ratio("cut prompts, found / planted", one["cut_found"] / one["cut_planted"], ">= 1"),
    ]
    ratio_table("Ratios", ratios)
    write_json(options.json, command(__file__, arguments), ratios, {"rounds": found})


if __name__ == "__main__":
    main()
