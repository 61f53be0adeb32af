"""`bfpo-bench judges`: who can score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import judges_evaluate

if TYPE_CHECKING:
    from bfpo_bench.judges.spec import JudgeSpec

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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("--judge", no_wrap=True)
    table.add_column("measures", no_wrap=True)
    table.add_column("what it does", overflow="fold", ratio=3)
    table.add_column("licence", overflow="fold", ratio=1)
    table.add_column("agreement with people", overflow="fold", ratio=1)
    for s in specs:
        name = f"{s.name}=MODEL" if s.engine != "none" and s.model is None else s.name
        table.add_row(name, s.kind, _what(s), s.licence, s.agreement or "not measured here")
    Console().print(table)


def _what(spec: JudgeSpec) -> str:
    model = f" Model: {spec.model}." if spec.model else ""
    return f"{spec.title.rstrip('.')}.{model} Labels: {', '.join(spec.labels)}."


app.command("evaluate")(judges_evaluate.evaluate)
