"""tasks/README.md: all tasks of a folder, read from their YAMLs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from bfpo_bench.cli.tasks_words import chance, judge, metric_and_direction
from bfpo_bench.cli.ui import plain
from bfpo_bench.suite.tasks import Cell, TaskSpec

_ABOUT = """\
# Tasks

Written by `bfpo-bench tasks --markdown` from the metadata of the YAMLs here. Change those, not this page.

Each task is an lm-eval YAML named `bfpo_*`, and plain `lm_eval` can run it. A folder is a cell of the grid:
helpfulness or harmlessness, measured by the log-likelihood of given answers (discriminative) or by free text
that is judged (generative). Which of these tasks count, and what of each is asked, is for a suite to say:
`bfpo-bench tasks --suite NAME --long` shows one.

- **Documents** counts the whole published set. A comment in the YAML says where the count is from general
  knowledge and was not made here.
- **Metric** is the raw one, p, with what is good. Scores are percentages made of it, and higher is better. A
  generative task is scored by a judge of a kind that it names; until one has run it is answered, stored and
  not scored. The metric of a task that several kinds can score is that of the first. Plain `lm_eval` has no
  judges and reports text rules in their place.
- **Chance** is what guessing gives on the raw metric.
- **Data** names the repository on the hub, its configuration or file, and the split. The data lock names the
  commit where one is known for certain, which is nowhere yet: a run loads main (or what the YAML names), and
  its manifest says which commit that was. `bfpo-bench data verify` holds the data against the lock.
- **Licence** is that of the data, as far as it is known here. Look at the data set's own page before you pass
  data or answers on.
- A task marked † is measured and not weighted, unless a suite says otherwise.
"""
_HEAD = (
    "| task | what it is | documents | metric, direction | chance | judge | data | licence | paper | source |",
    "|---|---|--:|---|--:|---|---|---|---|---|",
)


def markdown(specs: Iterable[TaskSpec]) -> str:
    """The page's whole text: a section a cell, in the grid's order, a line a task by name."""
    tasks = sorted(specs, key=lambda task: task.name)
    cells = [cell for cell in get_args(Cell) if any(task.cell == cell for task in tasks)]
    sections = (_section(cell, [t for t in tasks if t.cell == cell]) for cell in cells)
    return "\n".join((_ABOUT, *sections))


def _section(cell: str, tasks: Sequence[TaskSpec]) -> str:
    counted = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    lines = (f"## {cell}", "", f"{counted}.", "", *_HEAD, *map(_row, tasks))
    return "\n".join(lines) + "\n"


def _row(task: TaskSpec) -> str:
    metric, direction = metric_and_direction(task)
    cells = (
        f"`{task.name}`" + ("" if task.weighted else " †"),
        task.title,
        f"{'about ' * task.documents_estimated}{task.documents:,}",
        f"{metric}: {direction}",
        chance(task),
        judge(task),
        ", ".join(_data(task)),
        task.licence,
        task.paper,
        task.source,
    )
    return f"| {' | '.join(map(_escaped, cells))} |"


def _data(task: TaskSpec) -> list[str]:
    """Repository, configuration or file, and split."""
    files = task.dataset_kwargs.get("data_files")
    file = files.get(task.split) if isinstance(files, Mapping) else files
    named = task.dataset_name or (str(file).rsplit("@main/")[-1] if file else None)
    return [part for part in (task.hub_id or "in the package", named, task.split) if part]


def _escaped(text: str) -> str:
    """Text that stays within its cell."""
    return plain(" ".join(text.split())).replace("|", "\\|")
