"""`bfpo-bench tasks`: what can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import options

if TYPE_CHECKING:
    from bfpo_bench.suite.suites import Suite


def tasks(
    suite: options.Suite = "bfpo",
    path: bool = typer.Option(
        False, "--path", help="Print the folder of task YAMLs alone, for lm-eval's --include_path."
    ),
    long: bool = typer.Option(
        False, "--long", help="Also metric, direction, judge, chance, data revision and licence."
    ),
    markdown_: bool = typer.Option(
        False,
        "--markdown",
        help="Print all tasks of the suite's folder as a page: tasks/README.md.",
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List a suite's tasks, or say where their lm-eval YAMLs lie.

    lm_eval run --include_path "$(bfpo-bench tasks --path)" --tasks 'bfpo_*' ...
    """
    from bfpo_bench.suite.suites import load_suite, select_tasks, suite_folder

    found = load_suite(suite)
    if path:
        typer.echo(suite_folder(found))
        return
    if markdown_:
        from bfpo_bench.cli.tasks_markdown import markdown
        from bfpo_bench.suite.tasks import load_tasks

        typer.echo(markdown(load_tasks(suite_folder(found)).values()), nl=False)
        return
    specs = select_tasks(found, None)
    if json_:
        import json

        typer.echo(
            json.dumps([s.model_dump(mode="json", exclude={"path"}) for s in specs], indent=2)
        )
        return
    from bfpo_bench.cli.tasks_view import long_table, table
    from bfpo_bench.cli.ui import Terminal

    console = Terminal()
    if long:
        console.print(long_table(found, specs, _revisions(found), console.width))
    else:
        console.print(table(found, specs))


def _revisions(suite: Suite) -> dict[str, str]:
    """Task -> the commit of its data that the data lock pins, where it pins one."""
    from bfpo_bench.suite.lock import load_lock

    entries = load_lock(suite.data_lock).entries
    return {name: entry.revision for name, entry in entries.items() if entry.revision}
