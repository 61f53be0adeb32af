"""A report's responses: a light index of all of them, and their texts in chunks, read on demand.

Rows lie by task, document, sample and run, so that all runs' answers to a document share a chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.leaderboard.report.chunks import INDEX, ChunkWriter, columns, smallest
from bfpo_bench.leaderboard.report.collect import collect
from bfpo_bench.leaderboard.report.merged import FAILED, FOLDED, SPLIT, Merged, merged
from bfpo_bench.leaderboard.report.rows import run_ids
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.said import ABSENT, LABELS

if TYPE_CHECKING:
    import numpy as np

SCRIPTS = tuple(
    f"responses/{name}.js"
    for name in ("data", "filter", "search", "text", "address", "detail", "list", "form", "browse")
)
"""Of static/, classic scripts, in the order in which the page loads them, after the markup of
pages/_responses.html.jinja. With the last there are `bfpoResponses.mount(element, manifest)` and
`bfpoResponses.open({run, task, cell, outcome, judge, label, split, doc, sample})`."""

STYLES = ("responses/browse.css",)

_FOLDER = "data"
_REPORT_EVERY = 200


@dataclass(frozen=True)
class ResponsesData:
    """`manifest` (JSON-able, a few kilobytes) is what the page embeds and `mount` gets. `files` were
    written, named from the report's folder, `bytes_written` in all."""

    manifest: dict[str, Any]
    files: tuple[str, ...]
    bytes_written: int


def write_responses(
    runs: Sequence[FinishedRun], out: Path, report: Callable[[int, int], None]
) -> ResponsesData:
    """Write every run's responses into the folder `out`/data, which must not be there yet.

    `report` hears (rows written, rows in all). Memory: some 200 bytes a response, and one chunk.
    Tasks of free text come first. Raises UserError for a damaged run, naming file and line, and
    FileExistsError where there is such a folder.
    """
    folder = out / _FOLDER
    folder.mkdir(parents=True)
    collected = [collect(run) for run in runs]
    judges = list(dict.fromkeys(judge for run in runs for judge in run.manifest.judges))
    tasks = dict.fromkeys(task for found in collected for task in found)
    made = [merged(task, _cell(task, runs), collected) for task in tasks]
    made.sort(key=lambda one: not one.generative)
    writer = ChunkWriter(folder)
    _write_texts(made, judges, writer, report)
    content, places = columns(_index(made, judges, writer.firsts))
    writer.write(INDEX, content)
    manifest = {
        "rows": sum(len(one.part) for one in made),
        "documents": writer.documents,
        "chunks": len(writer.firsts),
        "folder": _FOLDER,
        "columns": places,
        "runs": _named(runs),
        "tasks": [_told(one) for one in made],
        "judges": judges,
        "labels": list(LABELS),
        "outcomes": list(OUTCOMES),
        "flags": {"split": SPLIT, "failed": FAILED, "folded": FOLDED},
        "absent": ABSENT,
    }
    files = tuple(f"{_FOLDER}/{path.name}" for path in sorted(folder.iterdir()))
    return ResponsesData(manifest, files, writer.bytes_written)


def _write_texts(
    made: Sequence[Merged],
    judges: Sequence[str],
    writer: ChunkWriter,
    report: Callable[[int, int], None],
) -> None:
    done, total = 0, sum(len(one.part) for one in made)
    for one in made:
        for document in one.documents(judges):
            writer.add(document.dump())
            done += len(document.rows)
            if writer.documents % _REPORT_EVERY == 0:
                report(done, total)
    writer.flush()
    report(done, total)


def _index(
    made: Sequence[Merged], judges: Sequence[str], chunks: Sequence[int]
) -> Mapping[str, np.ndarray]:
    """Columns of rows (`run` to `label_<judge's number>`), of documents (`task`, `doc_id`, and
    `first`, its first row) and of chunks (`chunk`, its first document)."""
    import numpy as np

    def rows(of: Callable[[Merged], np.ndarray], kind: type = np.int64) -> np.ndarray:
        return np.concatenate([np.empty(0, kind), *(of(one) for one in made)]).astype(kind)

    def run(one: Merged) -> np.ndarray:
        return np.array([number for number, _ in one.parts])[one.part]

    def labels(judge: str) -> np.ndarray:
        return rows(lambda one: one.labels(judge), np.uint8)

    starts = np.cumsum([0, *(len(one.part) for one in made)])
    documents = [len(one.firsts) for one in made]
    return {
        "run": smallest(rows(run)),
        "sample": smallest(rows(lambda one: one.column(lambda part: part.samples))),
        "value": rows(lambda one: one.column(lambda part: part.values), np.float32),
        "outcome": rows(lambda one: one.column(lambda part: part.outcomes), np.uint8),
        "refused": rows(lambda one: one.column(lambda part: part.refused), np.uint8),
        "flags": rows(lambda one: one.flags(judges), np.uint8),
        **{f"label_{number}": labels(judge) for number, judge in enumerate(judges)},
        "task": smallest(np.repeat(np.arange(len(made)), documents)),
        "doc_id": smallest(rows(lambda one: one.column(lambda part: part.doc_ids)[one.firsts])),
        "first": smallest(
            np.concatenate(
                [
                    np.empty(0, np.int64),
                    *(s + one.firsts for s, one in zip(starts[:-1], made, strict=True)),
                ]
            )
        ),
        "chunk": smallest(np.array(chunks, np.int64)),
    }


def _named(runs: Sequence[FinishedRun]) -> list[dict[str, str]]:
    """The runs as the page calls them: by the model, and where that is not enough by the run id."""
    times = Counter(run.name for run in runs)
    found = []
    for run, id_ in zip(runs, run_ids(runs), strict=True):
        short = f"{run.run_id[-8:]}{id_.removeprefix(run.run_id)}"
        name = run.name if times[run.name] == 1 else f"{run.name} ({short})"
        found.append({"id": id_, "name": name})
    return found


def _told(one: Merged) -> dict[str, Any]:
    return {"name": one.task, "cell": one.cell, "generative": one.generative}


def _cell(task: str, runs: Sequence[FinishedRun]) -> str:
    return next(run.scores.tasks[task].cell for run in runs if task in run.scores.tasks)
