"""`bfpo-bench judges`: who can score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import judges_evaluate

if TYPE_CHECKING:
    from rich.table import Table

    from bfpo_bench.judges.spec import JudgeSpec

_WIDE = 150
"""Columns of a terminal that hold the table of judges side by side."""

app = typer.Typer(help="Who scores generative responses.", no_args_is_help=True)


@app.callback()
def judges() -> None:
    """Who scores generative responses."""


@app.command("list")
def list_(json_: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the judges that `--judge` takes, what each measures and which model it needs."""
    from bfpo_bench.judges.load import known_judges

    specs = known_judges()
    if json_:
        import json

        typer.echo(json.dumps([s.model_dump() for s in specs], indent=2))
        return
    from bfpo_bench.cli.ui import Terminal

    console = Terminal()
    console.print(_wide(specs) if console.width >= _WIDE else _narrow(specs))


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _wide(specs: Sequence[JudgeSpec]) -> Table:
    table = _table()
    table.add_column("--judge", no_wrap=True)
    table.add_column("measures", no_wrap=True)
    for heading, ratio in (("what it does", 3), ("model", 2), ("licence", 2), ("agreement", 2)):
        table.add_column(heading, overflow="fold", ratio=ratio)
    for s in specs:
        table.add_row(_name(s), s.kind, s.title, _model(s), s.licence, _agreement(s))
    return table


def _narrow(specs: Sequence[JudgeSpec]) -> Table:
    """The same in two columns, for terminals that six do not fit."""
    table = _table()
    table.add_column("--judge, measures", no_wrap=True)
    table.add_column("what it does, model, licence, agreement with people", overflow="fold")
    for s in specs:
        lines = [s.title, _model(s), s.licence, _agreement(s)]
        table.add_row(f"{_name(s)}\n  {s.kind}", "\n".join([*filter(None, lines), ""]))
    return table


def _name(spec: JudgeSpec) -> str:
    return f"{spec.name}=MODEL" if spec.engine != "none" and spec.model is None else spec.name


def _model(spec: JudgeSpec) -> str:
    if spec.engine == "api":
        return "any model of an OpenAI-compatible server"
    return spec.model or ("" if spec.engine == "none" else "any of yours")


def _agreement(spec: JudgeSpec) -> str:
    return spec.agreement or "agreement not measured here"


app.command("evaluate")(judges_evaluate.evaluate)
