"""`bfpo-bench data`: pin, check and fetch the data that tasks are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bfpo_bench.cli import complete, options
from bfpo_bench.cli.complain import complain

if TYPE_CHECKING:
    from bfpo_bench.suite.lock import Checked, LockEntry
    from bfpo_bench.suite.pull import Read
    from bfpo_bench.suite.tasks import TaskSpec

app = typer.Typer(help="Check, pin or fetch the data that tasks are made of.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The lock file.", show_default="the suite's own"),
]
Tasks = Annotated[
    list[str],
    typer.Option(
        metavar="GLOBS",
        help="Only these of the suite's tasks, separated by commas. Repeatable.",
        autocompletion=complete.tasks,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def verify(
    suite: options.Suite = "bfpo",
    tasks: Tasks = [],  # noqa: B006
    file: File = None,
    json_: Json = False,
) -> None:
    """Read each task's data and compare them with the data lock.

    Exit code 2 where data that were verified have changed, or data cannot be read. Entries that
    nobody has verified are expectations: a difference from them is shown and is no error.
    """
    from bfpo_bench.cli.data_view import print_verified, verified
    from bfpo_bench.suite.lock import check, load_lock
    from bfpo_bench.suite.pull import read_tasks

    chosen, path = _asked(suite, options.globs(tasks), file)
    lock = load_lock(path)
    rows: list[tuple[Read, LockEntry | None, Checked | None]] = []
    with _progress("verify") as report:
        for read in read_tasks(chosen, lock, report):
            entry = lock.entries.get(read.spec.name)
            found = check(read.spec.name, entry, read.observed) if read.observed else None
            rows.append((read, entry, found))
    told = [verified(*row) for row in rows]
    if json_:
        import json

        typer.echo(json.dumps(told, indent=2))
    else:
        print_verified(told)
    raise typer.Exit(2 if any(t["state"] in ("drifted", "failed") for t in told) else 0)


@app.command()
def lock(
    suite: options.Suite = "bfpo",
    tasks: Tasks = [],  # noqa: B006
    file: File = None,
    json_: Json = False,
) -> None:
    """Write down what each task's data are now, and say what has changed.

    An entry whose data have changed is no longer `verified`: a person who has compared the whole
    data with their source says so in the file.
    """
    from datetime import UTC, datetime

    from bfpo_bench.cli.ui import plain
    from bfpo_bench.hub import commits_are_the_hubs
    from bfpo_bench.runs.jsonl import write_atomically
    from bfpo_bench.suite.lock import DataLock, entry_of, load_lock, relock
    from bfpo_bench.suite.pull import read_tasks

    chosen, path = _asked(suite, options.globs(tasks), file)
    known = load_lock(path) if path.exists() else DataLock()
    seen = f"read by `bfpo-bench data lock` on {datetime.now(UTC):%Y-%m-%d}, compared by nobody"
    entries, failed = dict(known.entries), []
    changed: dict[str, str] = {}
    with _progress("lock") as report:
        for read in read_tasks(chosen, None, report):
            name = read.spec.name
            if read.observed is None or read.data is None:
                failed.append(str(read.error))
                continue
            commit = read.data.sha if read.data.online and commits_are_the_hubs() else None
            new = entry_of(read.spec, read.observed, commit, seen)
            entries[name], change = relock(entries.get(name), new)
            if change is not None:
                changed[name] = change
    write_atomically(path, DataLock(entries=entries).dump())
    read_count = len(chosen) - len(failed)
    if json_:
        import json

        told = {"file": str(path), "read": read_count, "changed": changed, "failed": failed}
        typer.echo(json.dumps(told, indent=2))
    else:
        for name, change in changed.items():
            typer.echo(plain(f"{name}: {change}"))
        typer.echo(f"{path}: {read_count} entries read, {len(changed)} changed")
        if not commits_are_the_hubs():
            typer.echo("no commits are recorded: HF_ENDPOINT names another address than the hub's")
    _fail(failed, 2)


@app.command()
def pull(
    suite: options.Suite = "bfpo",
    tasks: Tasks = [],  # noqa: B006
    judge: options.Judges = [],  # noqa: B006
    model: options.Models = [],  # noqa: B006
    to: Path | None = typer.Option(
        None, metavar="DIR", help="Fetch into this folder, to be used as HF_HOME elsewhere."
    ),
    json_: Json = False,
) -> None:
    """Fetch everything a run needs: data, judges' models, and subjects if they are named.

    What is there already is not fetched again, and a download that broke off goes on.

        bfpo-bench data pull --model Qwen/Qwen2.5-0.5B-Instruct --to bundle
    """
    from bfpo_bench.suite import pull as pulling

    if to is not None:
        pulling.use_home(to)
    from bfpo_bench.cli.data_view import how_to_use
    from bfpo_bench.cli.ui import plain
    from bfpo_bench.judges.load import load_judges
    from bfpo_bench.suite.lock import load_lock
    from bfpo_bench.suite.suites import load_suite

    chosen, path = _asked(suite, options.globs(tasks), None)
    judges = load_judges(judge or load_suite(suite).judges, chosen)
    models = [*pulling.judge_models(judges), *model]
    with _progress("pull") as report:
        nltk = to / "nltk_data" if to is not None else None
        pulled = pulling.pull(chosen, load_lock(path), models, nltk, report)
    for note in pulled.notes:
        complain(plain(note), "yellow")
    if json_:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(pulled), indent=2))
    else:
        typer.echo(f"{len(pulled.fetched)} of {len(chosen) + len(models)} are here")
        if to is not None and not pulled.failed:
            typer.echo(how_to_use(to, suite, options.globs(tasks), judge, model))
    _fail(pulled.failed, 3)


def _asked(suite: str, tasks: str | None, file: Path | None) -> tuple[list[TaskSpec], Path]:
    """The tasks, and the lock file: the one named, or else the suite's, or else the package's."""
    from bfpo_bench.suite.lock import PACKAGED
    from bfpo_bench.suite.suites import load_suite, select_tasks

    chosen = load_suite(suite)
    return select_tasks(chosen, tasks), file or chosen.data_lock or PACKAGED


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    import os

    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.progress import Progress

    # Our bar counts the tasks; one more for each split that is built would break it
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    with RichUi().stage(title) as report:
        yield lambda what, done, total: report(Progress(what, done, total))


def _fail(sentences: list[str], code: int) -> None:
    from bfpo_bench.cli.ui import plain

    for sentence in dict.fromkeys(sentences):
        complain(plain(f"error: {sentence}"), "red")
    raise typer.Exit(code if sentences else 0)
