"""`bfpo-bench contamination`: which evaluation prompts a training set holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bfpo_bench.cli import complete, options

if TYPE_CHECKING:
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.suite.contamination import Findings, Hit, TaskFindings

_EXAMPLES = 10
_EXAMPLES_A_TASK = 2
_COLUMNS = ("row", "task", "doc_id", "kind", "overlap")


def contamination(
    train: str = typer.Option(
        ...,
        metavar="FILE_OR_DATASET",
        help="A .jsonl, .json, .csv, .parquet or .txt file, or a data set of the hub as "
        "org/name, org/name:config or org/name@revision.",
    ),
    suite: options.Suite = "bfpo",
    tasks: list[str] = typer.Option(
        [],
        metavar="GLOBS",
        help="Look only for these of the suite's tasks.",
        autocompletion=complete.tasks,
    ),
    text_column: list[str] = typer.Option(
        [], metavar="NAME", help="Read only this column. Repeatable.", show_default="all text"
    ),
    split: str | None = typer.Option(
        None, metavar="NAME", help="Which split of a hub data set.", show_default="train"
    ),
    out: Path | None = typer.Option(
        None, metavar="FILE", help="Write every hit to this .csv or .jsonl file."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Report which of a suite's prompts occur in a training set.

    Exact: the same words in the same order, whatever case and punctuation.
    Near: one row holds at least 70 % of a prompt's 13-grams.

    All documents of a task are looked for, also where the suite samples.
    Exit code 0 whatever is found.

        bfpo-bench contamination --train sft.jsonl --out hits.csv
    """
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.errors import UserError
    from bfpo_bench.suite.contamination import Index, scan
    from bfpo_bench.suite.evaluation_prompts import load_prompts
    from bfpo_bench.suite.lock import load_lock
    from bfpo_bench.suite.suites import load_suite, select_tasks
    from bfpo_bench.suite.training_texts import open_training

    chosen, ui = load_suite(suite), RichUi()
    specs = select_tasks(chosen, options.globs(tasks))
    if out is not None and out.resolve() == Path(train).resolve():
        raise UserError(f"--out {out} is the training file itself: name another file.")
    with _hit_file(out) as on_hit:
        training = open_training(train, split, text_column)
        with _loading(ui) as report:
            prompts, failed = load_prompts(specs, load_lock(chosen.data_lock), report)
        if not prompts:
            raise UserError(next(iter(failed.values())))
        index = Index(p for of_task in prompts.values() for p in of_task)
        with _reading(ui, training.total) as progress:
            found = scan(index, training.rows, on_hit, progress)
    by_task = found.by_task({name: len(of_task) for name, of_task in prompts.items()})
    if json_:
        import json

        named = {"train": training.name, "suite": f"{chosen.name}@{chosen.version}"}
        typer.echo(json.dumps(named | _as_json(found, by_task, failed), indent=2))
    else:
        _print(training.name, found, by_task, failed)
    raise typer.Exit(3 if failed else 0)


@contextmanager
def _hit_file(path: Path | None) -> Iterator[Callable[[Hit], None]]:
    """Writes hits as they are found; the file appears, or replaces an old one, when all is done."""
    if path is None:
        yield lambda hit: None
        return
    import csv
    import errno
    import json

    from bfpo_bench.errors import UserError

    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl"):
        raise UserError(f"--out {path} is neither .csv nor .jsonl: name the file accordingly.")
    draft = path.with_name(f".{path.name}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = draft.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(
            f"--out {path} cannot be written ({error.strerror}): name another file."
        ) from error
    try:
        with file:
            rows = csv.writer(file, lineterminator="\n")
            if kind == ".csv":
                rows.writerow(_COLUMNS)
                yield lambda hit: rows.writerow(_record(hit).values())
            else:
                yield lambda hit: print(json.dumps(_record(hit)), file=file)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _loading(ui: RichUi) -> Iterator[Callable[[str, int, int], None]]:
    from bfpo_bench.progress import Progress

    with ui.stage("evaluation prompts") as report:
        yield lambda name, done, total: report(Progress(name, done, total))


@contextmanager
def _reading(ui: RichUi, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with rows a second; without a terminal a line every 100,000 rows."""
    import time

    from rich import progress as bars

    started = time.monotonic()

    def rate(rows: int) -> str:
        return f"{rows / max(time.monotonic() - started, 1e-3):,.0f} rows/s"

    if not ui.console.is_interactive:

        def line(rows: int) -> None:
            if rows % 100_000 == 0:
                ui.note(f"training rows: {rows:,}, {rate(rows)}")

        yield line
        return
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("training rows"),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=ui.console, transient=True) as shown:
        bar = shown.add_task("", total=total, rate="")

        def update(rows: int) -> None:
            if rows % 1000 == 0:
                shown.update(bar, completed=rows, rate=rate(rows))

        yield update


def _record(hit: Hit) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in _COLUMNS} | {"overlap": round(hit.overlap, 4)}


def _examples(found: Findings) -> list[Hit]:
    """The first hits of each task, in the order of rows."""
    by_task: dict[str, list[Hit]] = {}
    for hit in sorted(found.best.values(), key=lambda h: (h.row, h.doc_id)):
        by_task.setdefault(hit.task, []).append(hit)
    return [h for hits in by_task.values() for h in hits[:_EXAMPLES_A_TASK]][:_EXAMPLES]


def _as_json(
    found: Findings, by_task: Sequence[TaskFindings], failed: Mapping[str, str]
) -> dict[str, Any]:
    from dataclasses import asdict

    from bfpo_bench.suite.contamination import FLOOR, NEAR, NGRAM

    return {
        "rows": found.rows,
        "texts": found.texts,
        "rules": {"ngram": NGRAM, "shortest": FLOOR, "near": NEAR},
        "tasks": [asdict(t) | {"percent": round(t.percent, 4)} for t in by_task],
        "not_checked": dict(failed),
        "examples": [_record(hit) for hit in _examples(found)],
    }


def _print(
    name: str, found: Findings, by_task: Sequence[TaskFindings], failed: Mapping[str, str]
) -> None:
    from rich import box
    from rich.table import Table

    from bfpo_bench.cli.ui import Terminal, plain

    style: dict[str, Any] = {"box": box.SIMPLE_HEAD, "title_justify": "left", "pad_edge": False}
    table = Table(title=f"Evaluation prompts in {plain(name)}", **style)
    table.add_column("task", no_wrap=True)
    for column in ("prompts", "exact", "near", "percent"):
        table.add_column(column, justify="right")
    for t in by_task:
        counts = (f"{t.prompts:,}", f"{t.exact:,}", f"{t.near:,}", f"{t.percent:.1f}")
        table.add_row(plain(t.task), *counts, style="yellow" if t.percent else None)
    console = Terminal()
    console.print(table)
    if examples := _examples(found):
        shown = Table(*_COLUMNS, title="For example", **style)
        for hit in examples:
            shown.add_row(*(plain(str(value)) for value in _record(hit).values()))
        console.print(shown)
    for sentence in _sentences(found, by_task, failed):
        console.print(plain(sentence), markup=False, highlight=False, soft_wrap=True)


def _sentences(
    found: Findings, by_task: Sequence[TaskFindings], failed: Mapping[str, str]
) -> list[str]:
    prompts, seen = sum(t.prompts for t in by_task), len(found.best)
    said = f"{found.rows:,} rows read; {seen:,} of {prompts:,} evaluation prompts occur in them. "
    said += (
        "A model trained on them has seen these prompts: its scores there are not those of a model "
        "that meets them for the first time."
        if seen
        else "Paraphrases and translations are not looked for."
    )
    return [said, *(f"Not checked: {reason}" for reason in failed.values())]
