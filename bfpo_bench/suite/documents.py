"""Load tasks through lm-eval at pinned data revisions and pick the documents to ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.names import is_utf8
from bfpo_bench.suite.data import DataRevision, pinned
from bfpo_bench.suite.lock import DataLock, Observed, check, observe
from bfpo_bench.suite.sampling import choose, fingerprint
from bfpo_bench.suite.suites import DocumentSample
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class LoadedTask:
    """A task with its data in memory.

    `task` is lm-eval's own object; `doc_ids` are sorted positions in its evaluation documents, and
    `fingerprint` is the hash of just those documents as the task sees them, `available` counts all.
    `observed` is the whole split as the data lock knows it, None where the task names no columns;
    `drift` says how it differs from a verified entry, where that was allowed, `doubt` how it differs
    from an unverified one. `prompts` are the chosen documents' user prompts (generative tasks).
    """

    spec: TaskSpec
    task: Any
    doc_ids: tuple[int, ...]
    fingerprint: str
    available: int
    observed: Observed | None = None
    drift: str | None = None
    doubt: str | None = None
    prompts: tuple[str, ...] = ()

    def documents(self) -> list[Mapping[str, Any]]:
        """The chosen documents, as the task has processed them."""
        documents = self.task.eval_docs
        return [documents[i] for i in self.doc_ids]

    def part(self, doc_ids: Sequence[int]) -> LoadedTask:
        """The same with some of its chosen documents; `fingerprint` stays that of all."""
        prompts = dict(zip(self.doc_ids, self.prompts, strict=True)) if self.prompts else {}
        return replace(
            self,
            doc_ids=tuple(doc_ids),
            prompts=tuple(prompts[i] for i in doc_ids) if prompts else (),
        )


@dataclass(frozen=True)
class Selection:
    """Which documents of each task are asked, with how many examples (for tasks that are named; the
    others have what their YAML says), and what their data may be."""

    samples: Mapping[str, DocumentSample]
    limit: int | None
    examples: Mapping[str, int]
    lock: DataLock
    allow_drift: bool = False


def load_documents(
    specs: Sequence[TaskSpec],
    data: Mapping[str, DataRevision],
    selection: Selection,
    progress: Callable[[str], None],
) -> tuple[list[LoadedTask], dict[str, str]]:
    """Every task with its chosen documents, in the order given, and task -> reason for those whose
    data cannot be used; `progress` is told each name."""
    loaded, failed = [], {}
    for spec in specs:
        progress(spec.name)
        try:
            loaded.append(_load(spec, data[spec.name], selection))
        except UserError as error:
            failed[spec.name] = str(error)
    return loaded, failed


def _load(spec: TaskSpec, data: DataRevision, selection: Selection) -> LoadedTask:
    task = load_task(spec, data, selection.examples.get(spec.name))
    observed = observe(spec, raw_rows(spec, task)) if spec.columns else None
    drift, doubt = _against_lock(spec, observed, selection)
    documents = task.eval_docs
    ids = choose(documents, selection.samples.get(spec.name), selection.limit)
    if not ids:
        raise UserError(f"Task {spec.name} has no documents in {spec.hub_id}: check its data.")
    asked = [documents[i] for i in ids]
    if selection.examples.get(spec.name):
        # The pool of examples decides about the prompts as the documents do
        asked.append({"examples": fingerprint(list(task.fewshot_docs()))})
    prints = fingerprint(asked)
    loaded = LoadedTask(spec, task, tuple(ids), prints, len(documents), observed, drift, doubt)
    return replace(loaded, prompts=tuple(_prompts(loaded)))


def _against_lock(
    spec: TaskSpec, observed: Observed | None, selection: Selection
) -> tuple[str | None, str | None]:
    if observed is None:
        return None, None
    found = check(spec.name, selection.lock.entries.get(spec.name), observed)
    if found.state != "drifted":
        return None, found.sentence
    if not selection.allow_drift:
        raise UserError(f"{found.sentence}; --allow-drift measures them all the same and says so.")
    return found.sentence, None


def _prompts(loaded: LoadedTask) -> Iterator[str]:
    spec = loaded.spec
    if spec.kind != "generative":
        return
    for doc_id, document in zip(loaded.doc_ids, loaded.documents(), strict=True):
        try:
            prompt = loaded.task.doc_to_text(document)
            started = [spec.started_with.field] if spec.started_with else []
            lacking = [field for field in (*spec.keep, *started) if field not in document]
        except Exception as error:
            raise UserError(unusable(spec, f"its document {doc_id}", error)) from error
        if lacking:
            raise UserError(
                f"Task {spec.name}: its documents have no field {', '.join(lacking)}, which its "
                f"metadata key `{'keep' if lacking[0] in spec.keep else 'started_with'}` names: mend "
                "the data or the key."
            )
        if not isinstance(prompt, str) or not prompt.strip():
            raise UserError(
                f"Task {spec.name}: its document {doc_id} has an empty prompt: mend the data "
                "or the task's doc_to_text."
            )
        if not is_utf8(prompt):
            raise UserError(
                f"Task {spec.name}: the prompt of its document {doc_id} has half a character (a lone "
                "surrogate), which no tokenizer takes: mend the data."
            )
        yield prompt


def unusable(spec: TaskSpec, what: str, error: Exception) -> str:
    """A sentence for an error that lm-eval met in a task's data, whatever it is."""
    return (
        f"Task {spec.name}: {what} cannot be used ({type(error).__name__}: {first_line(error)}): "
        f"mend the data, or {spec.path.name}."
    )


def load_task(spec: TaskSpec, data: DataRevision, examples: int | None = None) -> Any:
    """lm-eval's task object over the data at the resolved revision, with `examples` in each prompt.

    Raises UserError for data that cannot be read or do not have what the task asks of them.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    from bfpo_bench.hub import ensure_known

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        config = load_yaml(spec.path) | pinned(spec, data)
        if examples is not None:
            config["num_fewshot"] = examples
        task = TaskManager(include_defaults=False).load([config])["tasks"][spec.name]
        # process_docs and templates run here, on the first document: a missing column shows now
        task.eval_docs  # noqa: B018
    except UserError:
        raise
    except Exception as error:
        if spec.hub_id is not None:
            ensure_known(error, spec.hub_id, "dataset")
        raise UserError(_unreadable(spec, data, error)) from error
    return task


def _unreadable(spec: TaskSpec, data: DataRevision, error: Exception) -> str:
    where = f"{spec.hub_id}@{data.sha}" if data.sha else str(spec.path)
    what = f"Task {spec.name} could not be loaded from {where}"
    if lacking := _lacking_columns(spec, data):
        return (
            f"{what}: its data have no column {', '.join(lacking)}: check the data set's revision."
        )
    cause = _innermost(error)
    if isinstance(cause, StopIteration):
        return f"{what}: its data have no rows: check the data set's revision."
    if isinstance(cause, UnicodeDecodeError):
        return f"{what}: its data are not UTF-8 text: check the data set's revision."
    return (
        f"{what} ({type(cause).__name__}: {first_line(cause)}): without a network fetch its data "
        "beforehand with `bfpo-bench data pull`, else check the task."
    )


def _innermost(error: BaseException) -> BaseException:
    """What set an error off: `datasets` wraps whatever a file's reader says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _lacking_columns(spec: TaskSpec, data: DataRevision) -> list[str]:
    """Columns that the task uses and its data do not have: lm-eval's own words name none."""
    from datasets import load_dataset

    try:
        config: dict[str, Any] = {
            "dataset_path": spec.dataset_path,
            "dataset_kwargs": spec.dataset_kwargs,
        }
        config |= pinned(spec, data)
        rows = load_dataset(
            config["dataset_path"], spec.dataset_name, split=spec.split, **config["dataset_kwargs"]
        )
    except Exception:
        # The error that is being explained says more than this one
        return []
    return [column for column in spec.columns if column not in rows.column_names]


def raw_rows(spec: TaskSpec, task: Any) -> Any:
    """The evaluated split as a `datasets.Dataset`, before the task's process_docs."""
    return task.dataset[spec.split]
