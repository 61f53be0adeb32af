"""Read the `bfpo_*` task YAMLs without lm-eval: what a task is, where its data lies, how it scores."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bfpo_bench.errors import UserError, key_path
from bfpo_bench.names import Name

Kind = Literal["discriminative", "generative"]

_DECIDES = (
    "cell",
    "family",
    "weighted",
    "metric",
    "orientation",
    "prompts",
    "judged_by",
    "hub_id",
    "columns",
    "keep",
    "baseline",
    "started_with",
)
_DEEPEST = 500
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


Cell = Literal[
    "harmlessness/discriminative",
    "harmlessness/generative",
    "helpfulness/discriminative",
    "helpfulness/generative",
]
Orientation = Literal["higher", "distance_from_half", "complement"]


class StartedWith(BaseModel):
    """The field of a document whose first `tokens`, of the subject's own tokenizer, its answer begins
    with; a shorter text begins it whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    tokens: Annotated[int, Field(ge=0)]


class TaskSpec(BaseModel):
    """One task as its YAML states it. Counts are upstream's, not those of a loaded data set.

    `columns` are the raw data columns that the task uses, as the data lock hashes them; `keep` are
    the fields of a document that its response is stored with, for judges; `baseline` is the one of
    them that holds the answer which a judge of preferences compares with; `until` are the strings
    that end an answer; `started_with` says what is put into the model's mouth. `num_fewshot` is None unless the YAML
    states it. `documents_estimated`: nobody has counted the whole data.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    path: Path
    version: float
    title: str
    cell: Cell
    family: str
    weighted: bool = True
    dataset_path: str | None = None
    dataset_name: str | None = None
    dataset_kwargs: dict[str, Any] = Field(default_factory=dict)
    hub_id: str | None = None
    split: str
    num_fewshot: int | None = None
    few_shot_split: str | None = None
    documents: int
    documents_estimated: bool = False
    requests_per_document: float = 1
    prompt_tokens: float
    source: str
    paper: str = ""
    licence: str
    columns: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    baseline: str | None = None
    until: tuple[str, ...] = ()
    started_with: StartedWith | None = None
    chance: float | None = None
    metric: str | None = None
    orientation: Orientation = "higher"
    prompts: Literal["harmful", "benign"] | None = None
    judged_by: tuple[str, ...] = ()
    content: str = ""

    @property
    def identity(self) -> str:
        """Version and content hash: what the run id and the comparability key know the task by."""
        return f"{self.version:g} {self.content}"

    @property
    def kind(self) -> Kind:
        return self.cell.split("/")[1]  # type: ignore[return-value]

    def examples(self, asked: int | None) -> int:
        """Few-shot examples in each prompt when the user asks for `asked` (None: what the YAML says).

        As in lm-eval a YAML that states 0 is left at 0. A task without a split to draw from stays at
        0 too: lm-eval would draw from the documents under test, and could show one its own answer.
        """
        if self.kind == "generative" or self.num_fewshot == 0 or self.few_shot_split is None:
            return self.num_fewshot or 0
        return (self.num_fewshot or 0) if asked is None else asked

    @property
    def data_source(self) -> str:
        """Names the documents the task draws on: tasks that share it do not vary independently."""
        files = self.dataset_kwargs.get("data_files")
        return "|".join(str(x) for x in (self.dataset_path, self.dataset_name, self.split, files))


def tasks_dir() -> Path:
    """The folder of task YAMLs: in a checkout the top-level `tasks/`, in a wheel beside the package."""
    package = Path(__file__).resolve().parents[1]
    shipped, checkout = package / "_tasks", package.parent / "tasks"
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    if shipped.is_dir():
        return shipped
    raise UserError(
        f"The task folder is missing beside the package ({shipped}): reinstall bfpo-bench."
    )


class Function(str):
    """A `!function` value: its dotted name, and the file beside the YAML that holds it, if one does."""

    file: Path | None = None


def read_yaml(path: Path) -> dict[str, Any]:
    """One lm-eval YAML with its `include`s merged as lm-eval 0.4.13 merges them (the includer wins).

    `!function` values become their dotted names; nothing is imported.
    """

    class Loader(_LOADER):
        pass

    def function(loader: Any, node: Any) -> Function:
        name = Function(loader.construct_scalar(node))
        beside = path.parent / f"{name.rpartition('.')[0]}.py"
        name.file = beside if beside.is_file() else None
        return name

    Loader.add_constructor("!function", function)
    try:
        content = path.read_bytes()
        _check_depth(content)
        own = yaml.load(content, Loader=Loader)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend the include.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid YAML ({' '.join(str(error).split())}): mend it."
        ) from error
    if not isinstance(own, dict):
        raise UserError(f"{path} does not hold a YAML mapping: mend it.")
    included = own.pop("include", [])
    merged: dict[str, Any] = {}
    for entry in included if isinstance(included, list) else [included]:
        merged.update(read_yaml(path.parent / entry))
    return {**merged, **own}


def _check_depth(content: bytes) -> None:
    """Raises ValueError where the YAML nests so deep that libyaml would run out of stack, which no
    Python error tells of. Few marks cannot nest deep, and most files have few."""
    if sum(map(content.count, (b"[", b"{", b"-", b"?", b":"))) <= _DEEPEST:
        return
    depth = 0
    for event in yaml.parse(content, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(f"it nests deeper than {_DEEPEST} levels")


def parse_task(path: Path, config: dict[str, Any]) -> TaskSpec:
    """A TaskSpec from one YAML's merged content; its `metadata` carries what lm-eval has no key for."""
    metadata = dict(config.get("metadata") or {})
    split = config.get("test_split") or config.get("validation_split") or metadata.get("split")
    if config.get("output_type") == "generate_until" and (
        config.get("num_fewshot") or config.get("description")
    ):
        raise UserError(
            f"{path}: generative tasks are asked without examples and description: remove "
            "num_fewshot and description, or put the text into doc_to_text."
        )
    if config.get("output_type") == "multiple_choice" and metadata.get("started_with"):
        raise UserError(f"{path}: a choice is no answer to be started: remove started_with.")
    known = {k: v for k, v in config.items() if k in TaskSpec.model_fields and v is not None}
    kwargs = known.get("dataset_kwargs")
    if not isinstance(kwargs, dict):
        known.pop("dataset_kwargs", None)
    dataset = config.get("dataset_path")
    if metadata.get("hub_id") is None and isinstance(dataset, str) and dataset.count("/") == 1:
        known["hub_id"] = metadata["hub_id"] = dataset
    until = (config.get("generation_kwargs") or {}).get("until") or []
    own = {
        "name": config["task"],
        "path": path,
        "split": split,
        "few_shot_split": _few_shot_split(config, split),
        "until": [until] if isinstance(until, str) else until,
        "content": _content(config),
    }
    try:
        return TaskSpec(**{**known, **metadata, **own})
    except ValidationError as error:
        first = error.errors()[0]
        where = key_path(first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: metadata key {where}: {reason}.") from error


def _few_shot_split(config: dict[str, Any], evaluated: str | None) -> str | None:
    """Where lm-eval 0.4.13 draws examples from: the split named for it, training, then validation."""
    named = [config.get(f"{kind}_split") for kind in ("fewshot", "training", "validation")]
    return next((split for split in named if split is not None and split != evaluated), None)


def _content(config: dict[str, Any]) -> str:
    """8 hex digits over all that decides what is asked and how it is scored; prose is left out.

    Code that a `!function` names counts with its file's text, or with lm-eval's version where it is
    lm-eval's or reads lm-eval's own tasks.
    """
    metadata = {k: v for k, v in (config.get("metadata") or {}).items() if k in _DECIDES}
    told = json.dumps(config | {"metadata": metadata}, sort_keys=True, default=str)
    code = sorted({_code(name) for name in _functions(config)})
    return hashlib.sha256("".join([told, *code]).encode()).hexdigest()[:8]


def _functions(value: Any) -> Iterator[Function]:
    if isinstance(value, Function):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _functions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _functions(inner)


def _code(name: Function) -> str:
    if name.file is not None:
        return name.file.read_text(encoding="utf-8")
    return f"lm-eval {_lm_eval_version()}"


# Reading a package's metadata takes milliseconds, and a hundred functions name it
@functools.cache
def _lm_eval_version() -> str:
    return version("lm-eval")


def load_tasks(folder: Path) -> dict[str, TaskSpec]:
    """All tasks under `folder` by name; group files and shared bases are passed over."""
    return dict(_load_tasks(folder.resolve()))


@functools.cache
def _load_tasks(folder: Path) -> dict[str, TaskSpec]:
    tasks: dict[str, TaskSpec] = {}
    for path in sorted(folder.rglob("*.yaml")):
        config = read_yaml(path)
        if not isinstance(config.get("task"), str):
            continue
        spec = parse_task(path, config)
        if spec.name in tasks:
            raise UserError(
                f"Task {spec.name} is defined twice ({tasks[spec.name].path} and {path}): rename one."
            )
        tasks[spec.name] = spec
    return tasks
