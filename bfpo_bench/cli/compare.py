"""`bfpo-bench compare`: whether one run is better than another, and where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
    from bfpo_bench.leaderboard.compare.flips import SideBySide
    from bfpo_bench.leaderboard.compare.gate import GateResult
    from bfpo_bench.leaderboard.compare.result import Comparison


def compare(
    a: str = typer.Argument(
        ...,
        metavar="A",
        help="The run to compare with: its folder, run id or model.",
        autocompletion=complete.runs,
    ),
    b: str = typer.Argument(
        ..., metavar="B", help="The run that may be better or worse.", autocompletion=complete.runs
    ),
    out: Path = typer.Option(
        Path("runs"), metavar="DIR", help="Where runs lie that are named by run id or model."
    ),
    gate: Path | None = typer.Option(
        None,
        metavar="RULES.yaml",
        help="Exit with 1 where the differences break one of these rules.",
    ),
    flips: int = typer.Option(
        3, metavar="N", min=0, help="Show N documents that changed for the worse, N for the better."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON, with every flip."),
    markdown: bool = typer.Option(False, "--markdown", help="Print Markdown."),
    output: Path | None = typer.Option(
        None, metavar="FILE", help="Write the JSON or Markdown here, and print the tables."
    ),
) -> None:
    """Compare two runs, paired on their documents: B minus A, in points.

    Every difference has a paired bootstrap interval; tasks have p-values, McNemar's where it fits,
    corrected by Holm for the number of tasks. What differs in the comparability keys is said first.
    A task that was worded, scored or judged in another way is not compared, nor is a mean that
    counts it.

        bfpo-bench compare runs/BASE-1a2b3c4d runs/TUNED-5e6f7a8b

    Exit codes: 0, also where B is worse; 1 a rule of --gate broke; 2 something to change.
    """
    from bfpo_bench.errors import UserError
    from bfpo_bench.leaderboard.compare.comparison import compare_runs
    from bfpo_bench.leaderboard.compare.flips import side_by_side
    from bfpo_bench.leaderboard.compare.gate import check_gate, read_rules
    from bfpo_bench.leaderboard.compare.sides import named_run
    from bfpo_bench.leaderboard.compare.words import chosen_flips

    if json_ and markdown:
        raise UserError("--json and --markdown exclude each other: give one of them.")
    if output is not None and not (json_ or markdown):
        raise UserError(f"--output {output} needs --json or --markdown: say which to write.")
    rules = None if gate is None else read_rules(gate)
    sides = named_run(a, out), named_run(b, out)
    comparison = compare_runs(*sides)
    result = None if rules is None else check_gate(rules, comparison)
    examples = [] if json_ and not output else side_by_side(*sides, chosen_flips(comparison, flips))
    text = _text(comparison, examples, result, json_) if json_ or markdown else None
    if text is not None and output is None:
        typer.echo(text, nl=False)
    else:
        _print(comparison, examples, result)
    if text is not None and output is not None:
        _write(output, text)
    raise typer.Exit(0 if result is None or result.passed else 1)


def _text(
    comparison: Comparison,
    examples: Sequence[SideBySide],
    result: GateResult | None,
    as_json: bool,
) -> str:
    if as_json:
        import json

        told = comparison.model_dump() | {"gate": result and result.model_dump()}
        return json.dumps(told, indent=2) + "\n"
    from bfpo_bench.leaderboard.compare.markdown import to_markdown

    # A response may hold lone surrogates, which UTF-8 has no room for
    return to_markdown(comparison, examples, result).encode("utf-8", "backslashreplace").decode()


def _print(
    comparison: Comparison, examples: Sequence[SideBySide], result: GateResult | None
) -> None:
    from bfpo_bench.cli.compare_view import print_comparison
    from bfpo_bench.cli.ui import Terminal

    print_comparison(Terminal(), comparison, examples, result)


def _write(output: Path, text: str) -> None:
    from bfpo_bench.errors import UserError
    from bfpo_bench.runs.jsonl import write_atomically

    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}): give another --output."
        ) from error
