"""The command line: one small file a command; each imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from bfpo_bench import __version__
from bfpo_bench.cli import (
    bias,
    compare,
    contamination,
    data,
    demo,
    doctor,
    groups,
    iterate,
    judge,
    judges,
    leaderboard,
    levels,
    merge,
    pairs,
    patch,
    plan,
    push,
    report,
    run,
    runs,
    segments,
    serve_check,
    snip,
    sweep,
    tasks,
    train,
    winrate,
)

app = typer.Typer(
    name="bfpo-bench",
    help="How helpful is a language model, how harmless, and what did it trade?\n\n"
    "Start with `bfpo-bench demo` (no network), then `bfpo-bench run --model ID_OR_PATH`.",
    epilog="Exit codes: 0 done; 1 a gate was broken, or a bug; 2 something to change, said "
    "in one sentence; 3 finished, but something failed or stayed unscored for a fault; 130 stopped. "
    "--debug shows tracebacks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
# In the order in which `--help` lists them
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Measure": (run.run, plan.plan, judge.judge),
    "Understand": (compare.compare, report.report, winrate.winrate, contamination.contamination),
    "Share": (push.push,),
    "Train": (
        train.train,
        sweep.sweep,
        pairs.pairs,
        iterate.iterate,
        segments.segments,
        groups.groups,
        levels.levels,
        merge.merge,
        bias.bias,
        snip.snip,
        patch.patch,
    ),
    "Set up": (demo.demo, doctor.doctor, serve_check.serve_check, tasks.tasks),
}


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bfpo-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_print_version
    ),
) -> None:
    """What is asked of the program itself; its help is that of `app`."""


for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(judges.app, name="judges", rich_help_panel="Measure")
app.add_typer(leaderboard.app, name="leaderboard", rich_help_panel="Understand")
app.add_typer(runs.app, name="runs", rich_help_panel="Share")
app.add_typer(data.app, name="data", rich_help_panel="Set up")


def main() -> None:
    """Run the command; UserErrors become one sentence and exit code 2, a signal to stop exit code 130."""
    from bfpo_bench.cli.stopping import EXIT_CODE, stopping

    debug = "--debug" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--debug"]
    with stopping() as stop:
        try:
            _check_arguments()
            app()
        except BaseException as error:
            stop.ended = True
            # Once asked to stop, an error is what a library made of it, or failed on the way out
            if stop.asked or isinstance(error, KeyboardInterrupt) or _code(error) == EXIT_CODE:
                if debug and isinstance(error, Exception):
                    raise
                stop.say()
                sys.exit(EXIT_CODE)
            sentence = _sentence(error)
            if debug or sentence is None:
                raise
            from bfpo_bench.cli.complain import complain
            from bfpo_bench.cli.ui import plain

            complain(f"error: {plain(sentence)}", "red")
            sys.exit(2)


def _check_arguments() -> None:
    """Raises UserError for an argument that no file could hold, as the manifest does the command."""
    from bfpo_bench.errors import UserError

    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError as error:
        raise UserError("An argument is not UTF-8 text: write it as such.") from error


def _code(error: BaseException) -> Any:
    return error.code if isinstance(error, SystemExit) else None


def _sentence(error: BaseException) -> str | None:
    """What to tell the user; None for a bug."""
    from bfpo_bench.errors import DISK_FAULTS, UserError, disk_sentence

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        return disk_sentence(error)
    return None
