"""`bfpo-bench push`: a run to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
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
    `hf auth login`.

        bfpo-bench push runs/MODEL-1a2b3c4d --to-hub org/MODEL-answers

    No other command uploads anything.
    """
    import sys
    import tempfile

    from bfpo_bench.cli.ui import Terminal, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.exchange.push import look_at, prepare, upload
    from bfpo_bench.scoring.finished import read_finished
    from bfpo_bench.suite.tasks import load_tasks, tasks_dir

    if not (yes or dry_run or sys.stdin.isatty()):
        raise UserError("There is no terminal to ask on: give --yes to push, or --dry-run to look.")
    finished, specs = read_finished(run), load_tasks(tasks_dir())
    console = Terminal()
    with tempfile.TemporaryDirectory() as folder:
        target = look_at(to_hub, private)
        published = prepare(finished, specs, Path(folder) / "run", include_harmful)
        for line in _announcement(target, published, include_harmful):
            console.print(plain(line), soft_wrap=True, highlight=False)
        if dry_run:
            return
        if not (yes or typer.confirm("Push it?")):
            console.print("Nothing was pushed.")
            raise typer.Exit(2)
        message = f"Answers and scores of {finished.run_id}, suite {finished.scores.suite}"
        address = upload(target, published, message)
    console.print(plain(f"pushed: {address}"), soft_wrap=True, highlight=False)


def _announcement(target: Target, published: Published, include_harmful: bool) -> list[str]:
    from bfpo_bench.cli.runs import size

    seen = "private" if target.private else "PUBLIC"
    how = "files replaced" if target.exists else "new"
    lines = [f"To the data set {target.name} on the hub ({seen}, {how}), as {target.account}:"]
    lines += [f"  {p.name}  {size(p.stat().st_size)}" for p in published.files]
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
