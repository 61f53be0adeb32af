"""`bfpo-bench demo --all`: every method in one table, from models that are made here."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from bfpo_bench.cache import default_cache
from bfpo_bench.cli.demo_compare import measured
from bfpo_bench.cli.execute import exit_code, measure, print_ends, print_json, print_leaderboard
from bfpo_bench.cli.train import check_installed
from bfpo_bench.cli.ui import RichUi, Terminal, duration
from bfpo_bench.demo.compare import ensure_models
from bfpo_bench.demo.methods.listed import Table
from bfpo_bench.demo.methods.make import make_all
from bfpo_bench.demo.methods.rows import Row, requests, row_of
from bfpo_bench.demo.scatter import Point, scatter
from bfpo_bench.demo.words import Measured, overview
from bfpo_bench.engines.select import check_engine
from bfpo_bench.errors import UserError
from bfpo_bench.pipeline import Finished
from bfpo_bench.plan import Plan
from bfpo_bench.runs.folder import check_writable

_WIDTH = 79
_ENGINES = ("auto", "transformers", "null")


def all_and_print(
    engine: str,
    out: Path,
    leaderboard: Path | None,
    command: Sequence[str],
    table: Table | None = None,
    as_json: bool = False,
) -> int:
    """Make every model, measure every row, print; returns the exit code. `table` is for others than the
    demo's.

    Raises UserError for what would keep anything from being made or measured, before that begins.
    """
    check_installed()
    check_engine(engine)
    if engine not in _ENGINES:
        raise UserError(
            f"--engine {engine} cannot serve every row of `demo --all` (a MidPO router is transformers' "
            "alone): leave --engine out."
        )
    check_writable(out)
    ui, table, cache = RichUi(), table or Table(), default_cache()
    began = time.monotonic()
    ensure_models(cache, command, ui, table.comparison)
    places = make_all(cache, command, ui, table.comparison, table.made)
    ui.note(f"models: {duration(time.monotonic() - began)}")
    common = {
        "suite": "bfpo-demo",
        "engine": "transformers" if engine == "auto" else engine,
        "out": out,
        "leaderboard": leaderboard,
    }
    plans: list[Plan] = []
    finished: list[Finished] = []
    found: list[tuple[Row, Finished]] = []
    began = time.monotonic()
    for request, rows in requests(table.rows, places, common):
        plan, some = measure(request, command)
        plans.append(plan)
        finished += some
        found += [(row_of(rows, places, one.planned), one) for one in some]
    ui.note(f"measured: {duration(time.monotonic() - began)}")
    if as_json:
        print_json(finished)
        return exit_code(finished)
    console = Terminal()
    print_leaderboard(console, plans[0], finished)
    _print_picture(found, table.subject)
    for plan, (_, rows) in zip(plans, requests(table.rows, places, common), strict=True):
        print_ends(console, plan, [f for row, f in found if row in rows])
    return exit_code(finished)


def _print_picture(found: Sequence[tuple[Row, Finished]], subject: str) -> None:
    """All rows on one plane, and in words those that decode as the model does: no others are ranked
    with them."""
    named = [(row, m) for row, f in found if (m := measured(f, row.name)) is not None]
    if len(named) < len(found):
        typer.echo("No picture: not every row has both scores.")
        return
    points = [Point(m.name, m.helpful.value, m.harmless.value) for _, m in named]
    for line in scatter(points, across="helpful", up="harmless", height=25):
        typer.echo(line)
    typer.echo("")
    ranked: list[Measured] = [m for row, m in named if row.bias is None]
    for line in overview(ranked, subject):
        typer.echo(textwrap.fill(line, _WIDTH, subsequent_indent="  "))
    typer.echo("")
