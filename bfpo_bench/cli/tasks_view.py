"""A suite's tasks on a terminal: a table for 80 columns, and all there is to know for 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.tasks_words import chance, judge, metric_and_direction, revision
from bfpo_bench.cli.ui import plain
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec

_DOCUMENTS = 9
_NOTE = (
    "Scores are percentages, and higher is better. The direction is that of the raw metric p. "
    "A task is answered and stored, and not scored, until a judge of a kind that it names has run."
)


def table(suite: Suite, tasks: Sequence[TaskSpec]) -> Table:
    """The tasks by cell: name, documents asked, who scores them, family."""
    found = _empty(suite)
    found.add_column("task", no_wrap=True)
    found.add_column("docs", justify="right", no_wrap=True, min_width=5)
    found.add_column("scored by", overflow="fold", no_wrap=True)
    found.add_column("family", overflow="fold")
    for cell in dict.fromkeys(t.cell for t in tasks):
        found.add_section()
        found.add_row(Text(cell, style="bold"))
        for task in (t for t in tasks if t.cell == cell):
            by = " or ".join(task.judged_by) or task.metric
            found.add_row(f" {task.name}", _documents(suite, task), by, plain(task.family))
    return found


def long_table(
    suite: Suite, tasks: Sequence[TaskSpec], revisions: Mapping[str, str], width: int
) -> Table:
    """The tasks by cell, several lines each: what it is and its data, documents, metric and
    direction, judge and chance, licence. `revisions` is task -> commit of its data, `width` the
    terminal's: nothing is folded within a word from 100 columns on."""
    found = _empty(suite)
    found.padding = 0  # the box parts the columns by a space, and the widths below fill the rest
    found.caption = _NOTE
    found.caption_justify = "left"
    first, metric, by, licence = _widths(width)
    found.add_column("task, data @ revision", overflow="fold", width=first)
    found.add_column("docs", justify="right", no_wrap=True, width=_DOCUMENTS)
    found.add_column("metric, direction", overflow="fold", width=metric)
    found.add_column("judge, chance", overflow="fold", width=by)
    found.add_column("licence", overflow="fold", width=licence)
    for cell in dict.fromkeys(t.cell for t in tasks):
        found.add_section()
        found.add_row(Text(cell, style="bold"))
        for task in (t for t in tasks if t.cell == cell):
            found.add_row(*_details(suite, task, revisions))
    return found


def _widths(width: int) -> tuple[int, int, int, int]:
    """Of the task's, the metric's, the judge's and the licence's column."""
    others = (23, 13, 13) if width >= 100 else (18, 12, 9)
    return (max(28, width - _DOCUMENTS - sum(others) - 6), *others)


def _empty(suite: Suite) -> Table:
    return Table(
        title=plain(f"{suite.name}@{suite.version}: {suite.title}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _documents(suite: Suite, task: TaskSpec) -> str:
    return f"{suite.documents(task, None):,}"


def _details(suite: Suite, task: TaskSpec, revisions: Mapping[str, str]) -> tuple[Text, ...]:
    data = f"{plain(task.hub_id or 'in the package')}\n@ {revision(task, revisions)}"
    first = Text(f"{task.name}\n", style="bold")
    first.append(f"{plain(task.title)}\n{data}\n", style="not bold")
    asked = _documents(suite, task)
    of = "" if suite.documents(task, None) == task.documents else f"\nof {task.documents:,}"
    by = [judge(task)] if task.judged_by else []
    by += [f"chance {chance(task)}"] if task.chance is not None else []
    by += [] if task.weighted else ["not weighted"]
    return (
        first,
        Text(asked + of),
        Text("\n".join(metric_and_direction(task)).replace("; ", "\n")),
        Text("\n".join(by)),
        Text(plain(task.licence)),
    )
