"""The command line: one small file a command; each imports what it needs when it is called."""

from __future__ import annotations

import sys
from typing import Any

import typer

from bfpo_bench.cli import (
    contamination,
    data,
    demo,
    doctor,
    judge,
    judges,
    leaderboard,
    merge,
    pairs,
    plan,
    run,
    tasks,
    train,
    winrate,
)

app = typer.Typer(
    name="bfpo-bench",
    help="How helpful is a language model, how harmless, and what did it trade?\n\n"
    "Start with `bfpo-bench demo` (no network), then `bfpo-bench run --model ID_OR_PATH`.",
    epilog="Exit codes: 0 everything scored; 2 something to change, said in one sentence; 3 finished, "
    "but tasks failed or stayed unscored for a fault; 130 stopped. --debug shows tracebacks.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(run.run)
app.command()(plan.plan)
app.command()(tasks.tasks)
app.add_typer(data.app, name="data")
app.command()(contamination.contamination)
app.command()(judge.judge)
app.add_typer(judges.app, name="judges")
app.command()(winrate.winrate)
app.add_typer(leaderboard.app, name="leaderboard")
app.command()(pairs.pairs)
app.command()(train.train)
app.command()(merge.merge)
app.command()(doctor.doctor)
app.command()(demo.demo)


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
            # Once asked to stop, an error is what a library made of it, or failed on the way out
            if stop.asked or isinstance(error, KeyboardInterrupt) or _code(error) == EXIT_CODE:
                if debug and isinstance(error, Exception):
                    raise
                stop.say()
                sys.exit(EXIT_CODE)
            sentence = _sentence(error)
            if debug or sentence is None:
                raise
            from bfpo_bench.cli.ui import plain

            typer.secho(f"error: {plain(sentence)}", fg="red", err=True)
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
