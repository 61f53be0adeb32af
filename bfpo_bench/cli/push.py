"""`bfpo-bench push`: a run to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.exchange.published import Kept, Published
    from bfpo_bench.exchange.push import Target


def push(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="A run's folder, as in runs/.", autocompletion=complete.runs
    ),
    to_hub: str = typer.Option(
        ..., "--to-hub", metavar="NAME", help="The data set's repository, as in org/name."
    ),
    private: bool = typer.Option(
        True, "--private/--public", help="Who can see it. You can open it later on its page."
    ),
    include_harmful: bool = typer.Option(
        False,
        "--include-harmful",
        help="Also responses to harmful prompts that are no clear refusals.",
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would go up, and stop."),
) -> None:
    """Publish a finished run as a data set on the Hugging Face hub: answers, scores and a card.

    It says what would go up, to the file, and asks. Responses to harmful prompts are kept back unless
    they are clear refusals; prompts of gated data sets, and of those without an open licence, always
    are. Nothing that goes up names this machine, its folders or its users. Needs HF_TOKEN, or
    `hf auth login`; a --dry-run without either asks the hub nothing.

        bfpo-bench push runs/MODEL-1a2b3c4d --to-hub org/MODEL-answers

    No other command uploads anything.
    """
    import sys
    import tempfile

    from bfpo_bench.cli.ui import Terminal, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.exchange.measured import check_measured
    from bfpo_bench.exchange.published import export_dataset
    from bfpo_bench.exchange.push import can_ask, look_at, prepare, upload
    from bfpo_bench.scoring.finished import read_finished
    from bfpo_bench.suite.tasks import load_tasks, tasks_dir

    if not (yes or dry_run or sys.stdin.isatty()):
        raise UserError("There is no terminal to ask on: give --yes to push, or --dry-run to look.")
    finished, specs = read_finished(run), load_tasks(tasks_dir())
    check_measured(finished)
    console = Terminal()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "run"
        if dry_run and not can_ask():
            published = export_dataset(finished, specs, files, include_harmful)
            _say(console, [*_unasked(to_hub, private), *_contents(published, include_harmful)])
            return
        target = look_at(to_hub, private)
        published = prepare(finished, specs, files, include_harmful)
        _say(console, [_announcement(target), *_contents(published, include_harmful)])
        if dry_run:
            return
        if not (yes or typer.confirm("Push it?")):
            console.print("Nothing was pushed.")
            raise typer.Exit(2)
        message = f"Answers and scores of {finished.run_id}, suite {finished.scores.suite}"
        address = upload(target, published, message)
    console.print(plain(f"pushed: {address}"), soft_wrap=True, highlight=False)


def _say(console: Terminal, lines: Sequence[str]) -> None:
    from bfpo_bench.cli.ui import plain

    for line in lines:
        console.print(plain(line), soft_wrap=True, highlight=False)


def _announcement(target: Target) -> str:
    how = "files replaced" if target.exists else "new"
    seen = _seen(target.private)
    return f"To the data set {target.name} on the hub ({seen}, {how}), as {target.account}:"


def _unasked(name: str, private: bool) -> list[str]:
    """What stands above the files of a dry run that asks nobody."""
    return [
        "The hub was not asked, for want of a token or a network: whether the name is free, and which "
        "data sets are gated besides those known here, was not checked.",
        f"To the data set {name} on the hub ({_seen(private)}):",
    ]


def _seen(private: bool) -> str:
    return "private" if private else "PUBLIC"


def _contents(published: Published, include_harmful: bool) -> list[str]:
    """The files, and what is kept back."""
    from bfpo_bench.cli.runs_view import size

    lines = [f"  {p.name}  {size(p.stat().st_size)}" for p in published.files]
    lines += kept_lines(published.kept)
    return [*lines, "HARMFUL RESPONSES ARE INCLUDED."] if include_harmful else lines


def kept_lines(kept: Kept) -> list[str]:
    """How many responses and prompts are kept back, and why."""
    from collections import Counter

    total, lines = kept.answers.total(), []
    for name, counted in (("responses", kept.responses), ("prompts", kept.prompts)):
        reasons: Counter[str] = Counter()
        for (reason, _), count in counted.items():
            reasons[reason] += count
        lines.append(f"kept back: {reasons.total():,} of {total:,} {name}")
        lines += [f"  {count:,} {reason}" for reason, count in reasons.most_common()]
    return lines
