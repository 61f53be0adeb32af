"""Suites: which tasks are measured, with which decoding, and what of each is asked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bfpo_bench.errors import UserError, key_path
from bfpo_bench.names import Name, existing, shortened
from bfpo_bench.nearest import nearest
from bfpo_bench.suite.tasks import Cell, Orientation, TaskSpec, load_tasks, tasks_dir


class Decoding(BaseModel):
    """How subjects answer generative tasks. Temperature 0 is greedy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: Annotated[int, Field(ge=1)] = 512


class TaskDecoding(BaseModel):
    """What one task asks for in place of the suite's decoding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None


class Placement(BaseModel):
    """Where a suite puts a task and how it scores it, in place of what the task's YAML says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell | None = None
    family: str | None = None
    weighted: bool | None = None
    orientation: Orientation | None = None
    judged_by: tuple[str, ...] | None = None


class DocumentSample(BaseModel):
    """A fixed sample of a task's documents, the same for every seed: see `suite.sampling`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: Annotated[int, Field(ge=1)]
    stratify_by: tuple[str, ...] = ()


Dimension = Literal["helpfulness", "harmlessness"]
DIMENSIONS: dict[Dimension, tuple[Cell, ...]] = {
    "helpfulness": ("helpfulness/discriminative", "helpfulness/generative"),
    "harmlessness": ("harmlessness/discriminative", "harmlessness/generative"),
}


class Suite(BaseModel):
    """One suite file.

    `context` caps every subject's context, so that engines cut prompts alike. `judges` are those of
    a run that names none. `placement` and `task_decoding` are by task; `weights` by family, 1 where
    none is given; `dimensions` says of which cells a dimension is the mean. `assumed` lists in words
    what the suite's source leaves open. `data_lock` is a lock file of the suite's own tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    version: int
    title: str
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    include_path: Path | None = None
    decoding: Decoding = Decoding()
    context: Annotated[int, Field(ge=128)] = 8192
    system_prompt: str | None = None
    samples: dict[str, DocumentSample] = Field(default_factory=dict)
    judges: tuple[str, ...] = ()
    task_decoding: dict[str, TaskDecoding] = Field(default_factory=dict)
    placement: dict[str, Placement] = Field(default_factory=dict)
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    dimensions: dict[Dimension, Annotated[tuple[Cell, ...], Field(min_length=1)]] = Field(
        default_factory=lambda: dict(DIMENSIONS)
    )
    assumed: tuple[str, ...] = ()
    data_lock: Path | None = None

    def decoding_of(self, task: str) -> Decoding:
        """How `task` is answered: the suite's decoding with what it asks for that task."""
        own = self.task_decoding.get(task, TaskDecoding()).model_dump(exclude_none=True)
        return self.decoding.model_copy(update=own)

    def capped(self, max_new_tokens: int) -> Suite:
        """The suite with that many new tokens for every task."""
        new = {"max_new_tokens": max_new_tokens}
        by_task = {t: d.model_copy(update=new) for t, d in self.task_decoding.items()}
        decoding = self.decoding.model_copy(update=new)
        return self.model_copy(update={"decoding": decoding, "task_decoding": by_task})

    def documents(self, task: TaskSpec, limit: int | None) -> int:
        """How many documents of `task` are asked, from metadata."""
        sample = self.samples.get(task.name)
        count = min(task.documents, sample.documents) if sample else task.documents
        return count if limit is None else min(count, limit)


def _packaged() -> dict[str, Path]:
    package = Path(__file__).resolve().parents[1]
    files = sorted((package / "suite" / "suites").glob("*.yaml"), key=lambda f: f.stem)
    return {f.stem: f for f in files} | {"bfpo-demo": package / "demo" / "suite.yaml"}


def suite_names() -> list[str]:
    """The suites that come with the package."""
    return list(_packaged())


def load_suite(name_or_file: str) -> Suite:
    """A packaged suite by name, or a user's own from a YAML file.

    Raises UserError for an unknown name (with the nearest ones) or a file that does not fit.
    """
    path = _packaged().get(name_or_file)
    if path is None:
        path = existing(name_or_file)
        if path is None or not path.is_file():
            raise UserError(
                f"There is no suite {shortened(name_or_file)!r}{nearest(name_or_file, suite_names())}: "
                f"name one of {', '.join(suite_names())}, or a YAML file."
            )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise UserError(f"Suite file {path} does not hold a YAML mapping: mend it.")
        suite = Suite.model_validate(content)
    except OSError as error:
        raise UserError(
            f"Suite file {path} cannot be read ({error.strerror}): mend that."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"Suite file {path} is not UTF-8 text: save it as such.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = key_path(first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"Suite file {path}, key {where}: {reason}: mend it, or remove the key."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # PyYAML lets the ValueError of a date such as 2024-13-45 through
        raise UserError(
            f"Suite file {path} is not valid YAML ({' '.join(str(error).split())}): mend it."
        ) from error
    if suite.include_path is not None:
        folder = (path.parent / suite.include_path).resolve()
        if not folder.is_dir():
            raise UserError(f"Suite {suite.name}: its include_path {folder} is not a folder.")
        suite = suite.model_copy(update={"include_path": folder})
    if suite.data_lock is not None:
        suite = suite.model_copy(update={"data_lock": (path.parent / suite.data_lock).resolve()})
    return suite


def suite_folder(suite: Suite) -> Path:
    """Where the suite's task YAMLs lie."""
    return suite.include_path or tasks_dir()


def select_tasks(suite: Suite, globs: str | None) -> list[TaskSpec]:
    """The suite's tasks in its own order, placed as it says, narrowed to those whose name, with or
    without its `bfpo_`, or cell where there is a slash in it, matches one of the comma-separated globs.

    Raises UserError for a glob that matches none of them, for a task or family that the suite names
    and does not have, and for weights that sum to nothing.
    """
    known = load_tasks(suite_folder(suite))
    mend = f", and no task in {suite_folder(suite)} is called so: mend the name"
    names = dict.fromkeys(
        n for g in suite.tasks for n in _match(g, list(known), f"Suite {suite.name} names", mend)
    )
    mine = {name: _placed(known[name], suite) for name in names}
    _check_names(suite, mine)
    _check_weights(suite, mine.values())
    if globs is None:
        return list(mine.values())
    said = f"No task of suite {suite.name} matches"
    mend = f": `bfpo-bench tasks --suite {suite.name}` lists them"
    asked = [g.strip() for g in globs.split(",") if g.strip()]
    wanted = {name for g in asked for name in _chosen(g, mine, said, mend)}
    if not wanted:
        raise UserError("--tasks names no task: give a name or a glob such as 'bfpo_ethics_*'.")
    return [task for name, task in mine.items() if name in wanted]


def _chosen(glob: str, mine: Mapping[str, TaskSpec], said: str, mend: str) -> list[str]:
    """The tasks that the glob names, by cell where it has a slash, which no task's name has."""
    if "/" not in glob:
        # Tables print the names without what all of ours begin with
        whole = glob if _matches(glob, mine) else f"bfpo_{glob}"
        return _match(whole if _matches(whole, mine) else glob, list(mine), said, mend)
    cells = list(dict.fromkeys(task.cell for task in mine.values()))
    found = _match(glob, cells, said, mend)
    return [name for name, task in mine.items() if task.cell in found]


def _placed(task: TaskSpec, suite: Suite) -> TaskSpec:
    """The task where and how the suite's placement has it."""
    if task.name not in suite.placement:
        return task
    own: dict[str, Any] = suite.placement[task.name].model_dump(exclude_none=True)
    placed = task.model_copy(update=own)
    if placed.kind != task.kind:
        raise UserError(
            f"Suite {suite.name} places {task.name} in {placed.cell}, and it is a {task.kind} task: "
            f"name a {task.kind} cell."
        )
    if placed.kind == "generative" and suite.placement[task.name].orientation is not None:
        raise UserError(
            f"Suite {suite.name} gives {task.name} an orientation, and it is a generative task, whose "
            "points have one: remove the orientation."
        )
    return placed


def _check_names(suite: Suite, mine: Mapping[str, TaskSpec]) -> None:
    parts: dict[str, Iterable[str]] = {
        "samples": suite.samples,
        "placement": suite.placement,
        "task_decoding": suite.task_decoding,
    }
    for key, names in parts.items():
        for name in names:
            if name not in mine:
                raise UserError(
                    f"Suite {suite.name}, key {key}, names {name}{nearest(name, list(mine))}, which "
                    "is none of its tasks: mend the name or add the task."
                )
    for name in suite.task_decoding:
        if mine[name].kind == "discriminative":
            raise UserError(
                f"Suite {suite.name}, key task_decoding, names {name}, which is a discriminative task "
                "and decodes nothing: remove it."
            )
    families = {task.family for task in mine.values()}
    for family in suite.weights:
        if family not in families:
            raise UserError(
                f"Suite {suite.name}, key weights, names the family {family}"
                f"{nearest(family, list(families))}, which none of its tasks has: mend the name."
            )


def _check_weights(suite: Suite, tasks: Iterable[TaskSpec]) -> None:
    by_cell: dict[str, dict[str, float]] = {}
    tasks = list(tasks)
    for task in tasks:
        if task.weighted:
            by_cell.setdefault(task.cell, {})[task.family] = suite.weights.get(task.family, 1.0)
    if not by_cell:
        raise UserError(
            f"Suite {suite.name}: none of its tasks is weighted, so there is nothing to score it by: "
            "give one of them `weighted: true` under `placement`."
        )
    for cell, weights in by_cell.items():
        if not sum(weights.values()) > 0:
            raise UserError(
                f"Suite {suite.name}: the weights of {cell} sum to nothing ({', '.join(weights)}): "
                "give one of its families a weight above 0."
            )


def _match(glob: str, names: Sequence[str], said: str, mend: str) -> list[str]:
    """The names that the glob matches. Raises UserError, of what was `said` and its `mend`, for none."""
    found = _matches(glob, names)
    if not found:
        raise UserError(f"{said} {glob!r}{nearest(glob, names)}{mend}.")
    return found


def _matches(glob: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if fnmatch.fnmatchcase(name, glob)]
