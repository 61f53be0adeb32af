"""A report of many responses, in a real browser: how long it takes to write, to open, to filter.

    python benchmarks/report.py                              20 models x 12,000 responses
    python benchmarks/report.py --models 1 --responses 100000

The page lies on disk, and Chromium (Debian's package) has no network. Opened: from the navigation
until the first rows of the response browser stand there with their texts. Filtered: from the change
of a filter until the browser has painted the rows. Found: a rare word in all texts. Medians over
`--repeats`, each in a window of its own.
"""

from __future__ import annotations

import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from benchmarks.made_runs import answer, write_run
from bfpo_bench.leaderboard.report.make import make_page
from bfpo_bench.leaderboard.report.sources import read_sources
from bfpo_bench.leaderboard.report.write import write_report
from bfpo_bench.runs.records import Response

HARMFUL = ("bfpo_advbench", "bfpo_alert", "bfpo_harmbench_standard", "bfpo_jailbreakbench")
BENIGN = ("bfpo_xstest_safe", "bfpo_or_bench_hard")
TASKS = (*HARMFUL, *BENIGN)
OPEN_GOAL, FILTER_GOAL = 2.0, 0.2
RARE = "zyzzyva"

_FILTERS: Mapping[str, Mapping[str, str]] = {
    "task": {"task": BENIGN[0]},
    "outcome": {"outcome": "complied"},
    "cell and outcome": {"cell": "helpfulness/generative", "outcome": "over_refused"},
    "judge and label": {"judge": "refusal", "label": "partial_refusal"},
    "none": {},
}
_READY = """() => {
  const cells = [...document.querySelectorAll('[data-of=rows] .browse-excerpt')];
  return cells.length > 0 && cells.every((cell) => cell.querySelector('p'));
}"""
_FILTER = """(filters) => new Promise((resolve) => {
  const form = document.querySelector('.browse-filters');
  const began = performance.now();
  for (const name of ['cell', 'task', 'outcome', 'judge', 'label']) {
    form.elements[name].value = filters[name] || '';
  }
  form.dispatchEvent(new Event('change'));
  requestAnimationFrame(() => setTimeout(() => resolve({
    seconds: (performance.now() - began) / 1000,
    count: document.querySelector('[data-of=count]').textContent,
  }), 0));
})"""
_SEARCH = """(text) => new Promise((resolve) => {
  const form = document.querySelector('.browse-filters');
  const searching = document.querySelector('[data-of=searching]');
  let longest = 0;
  const seen = new PerformanceObserver((list) => {
    for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
  });
  seen.observe({ entryTypes: ['longtask'] });
  const began = performance.now();
  form.elements.text.value = text;
  form.dispatchEvent(new Event('change'));
  const wait = setInterval(() => {
    if (!searching.hidden) return;
    clearInterval(wait);
    setTimeout(() => resolve({
      seconds: (performance.now() - began) / 1000,
      longest: longest / 1000,
      count: document.querySelector('[data-of=count]').textContent,
    }), 100);
  }, 10);
})"""


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--models", type=int, default=20)
    made.add_argument("--responses", type=int, default=12000, help="of each model")
    asked = made.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        written = _written(Path(folder), asked.models, asked.responses)
        laps = [_measured(Path(folder) / "report") for _ in range(asked.repeats)]
    found = {name: statistics.median(lap[name] for lap in laps) for name in laps[0]}
    size = f"{asked.models} x {asked.responses:,} responses"
    table(f"Writing the report of {size}", ["", "figure"], list(written.items()))
    table(f"In Chromium, seconds, {size}", ["", "median"], list(found.items()))
    slowest = max(value for name, value in found.items() if name.startswith("filtered"))
    ratios = [
        Ratio(f"opened, seconds, {size}", found["opened"], f"<= {OPEN_GOAL}"),
        Ratio(f"slowest filter, seconds, {size}", slowest, f"<= {FILTER_GOAL}"),
    ]
    ratio_table("Goals", ratios)
    write_json(
        asked.json, command(__file__, arguments), ratios, {"written": written, "found": found}
    )


def _written(folder: Path, models: int, responses: int) -> dict[str, float]:
    """Seconds, sizes in MB and the peak of memory in MiB."""
    for number in range(models):
        write_run(
            folder / "runs" / f"m{number}", f"made/m{number}", TASKS, _answers(number, responses)
        )
    sources = read_sources([folder / "runs"], None, None)
    began = time.perf_counter()
    write_report(
        folder / "report", lambda draft: make_page(sources, draft, lambda done, total: None)
    )
    seconds = time.perf_counter() - began
    data = [file.stat().st_size for file in (folder / "report" / "data").iterdir()]
    return {
        "seconds": seconds,
        "chunks": len(data) - 1,
        "data, MB": sum(data) / 1e6,
        "index, MB": (folder / "report" / "data" / "index.js").stat().st_size / 1e6,
        "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _answers(
    model: int, responses: int
) -> Iterator[tuple[Response, Mapping[str, Mapping[str, Any]]]]:
    """Texts of made-up words: as long as real ones, and no easier to compress."""
    words = _vocabulary()
    for number in range(responses):
        task, doc_id = TASKS[number % len(TASKS)], number // len(TASKS)
        asked, draw = random.Random(number), random.Random(number * 1000 + model)
        prompt = " ".join(asked.choices(words, k=asked.randint(8, 40)))
        text = " ".join(draw.choices(words, k=draw.randint(20, 200)))
        if draw.random() < 0.0001:
            text += f" {RARE}"
        refusal = draw.choice(
            ("refusal", "compliance", "compliance", "partial_refusal", "unjudged")
        )
        said = {"refusal": {"label": refusal, "score": draw.random()}}
        if task in HARMFUL:
            harm = draw.choice(("harmful", "harmless", "harmless"))
            said["harm"] = {"label": harm, "score": draw.random()}
        yield answer(task, doc_id, prompt, text), said


def _vocabulary() -> list[str]:
    """5,000 words, the first of which are drawn far more often, as in any language."""
    draw = random.Random(0)
    parts = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = ["".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(5000)]
    return [word for rank, word in enumerate(words) for _ in range(1 + 2000 // (rank + 4))]


def _measured(report: Path) -> dict[str, float]:
    """Seconds in one fresh window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(f"{(report / 'index.html').as_uri()}#responses")
        page.wait_for_function(_READY)
        found = {"opened": time.perf_counter() - began}
        for name, filters in _FILTERS.items():
            found[f"filtered by {name}"] = page.evaluate(_FILTER, filters)["seconds"]
        began = time.perf_counter()
        page.locator("[data-of=rows] a").first.click()
        page.wait_for_selector(".browse-card")
        found["a document opened"] = time.perf_counter() - began
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="hidden")
        searched = page.evaluate(_SEARCH, RARE)
        found |= {
            "all texts searched": searched["seconds"],
            "longest pause meanwhile": searched["longest"],
        }
        browser.close()
    return found


if __name__ == "__main__":
    main()
