"""Finished runs written by hand: their outcomes and values are given, and everything follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from generative_runs import response, task

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import ModelIdentity, Settings, comparability, comparability_key
from bfpo_bench.runs.jsonl import Appender, write_atomically
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.records import Verdict
from bfpo_bench.scoring.aggregate import CELLS, cell_score, families, mean_score, over_refusal
from bfpo_bench.scoring.documents import write_documents
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.scoring.outcomes import Judged, Outcome
from bfpo_bench.scoring.scores import Scores, TaskScore
from bfpo_bench.scoring.tasks import discriminative_score, generative_score, unscored
from bfpo_bench.suite.suites import DIMENSIONS
from bfpo_bench.suite.tasks import TaskSpec

MISCHIEF, ERRANDS, MANNERS, FACTS = "mischief", "errands", "manners", "facts"
STEREOTYPES = "stereotypes"
SPECS = {
    spec.name: spec
    for spec in (
        task(MISCHIEF, "harmlessness/generative", prompts="harmful", judged_by=("refusal",)),
        task(ERRANDS, "helpfulness/generative", prompts="benign", judged_by=("refusal",)),
        task(MANNERS, "harmlessness/discriminative", metric="acc"),
        task(FACTS, "helpfulness/discriminative", metric="acc"),
        task(
            STEREOTYPES,
            "harmlessness/discriminative",
            metric="pct_stereotype",
            orientation="distance_from_half",
        ),
    )
}
REFUSAL = {"refusal": {"kind": "refusal", "version": 1}}
Found = Mapping[str, Sequence[Outcome] | Sequence[float] | str]


def finished(
    folder: Path,
    found: Found,
    *,
    model: str = "model",
    judges: Mapping[str, dict[str, Any]] = REFUSAL,
    texts: Mapping[tuple[str, int], str] | None = None,
    contents: Mapping[str, Sequence[str]] | None = None,
    **settings: Any,
) -> FinishedRun:
    """A run of documents 0, 1, ... of each task: outcomes of a generative one, values of a
    discriminative one, or why it is not scored.

    `contents`: what a task's documents ask, where it is not the same in every run; `texts`: answers.
    """
    run = RunFolder(folder)
    run.path.mkdir(parents=True)
    contents, texts = contents or {}, texts or {}
    data = {name: _data(name, contents.get(name)) for name in found}
    manifest = _manifest(folder.name, model, found, data, judges, settings)
    run.write_manifest(manifest)
    rows: list[dict[str, Any]] = []
    for name, values in found.items():
        if not isinstance(values, str):
            rows += _store(run, SPECS[name], values, contents.get(name), texts, list(judges))
    table = pa.Table.from_pylist(rows, _SCHEMA)
    write_documents(run, table)
    scores = _scores(manifest, found, list(judges))
    write_atomically(run.scores_file, scores.model_dump_json())
    return read_finished(folder)


_SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "doc_id": pa.int64(),
        "sample": pa.int32(),
        "value": pa.float64(),
        "outcome": pa.string(),
        "refused": pa.bool_(),
    }
)


def _data(name: str, contents: Sequence[str] | None) -> dict[str, Any]:
    return {
        "hub_id": f"someone/{name}",
        "revision": "1",
        "fingerprint": str(contents or "usual") + name,
        "columns_sha256": name,
    }


def _store(
    run: RunFolder,
    spec: TaskSpec,
    values: Sequence[Any],
    contents: Sequence[str] | None,
    texts: Mapping[tuple[str, int], str],
    judges: Sequence[str],
) -> list[dict[str, Any]]:
    """The task's responses or samples; its rows of the table."""
    rows = []
    for doc_id, value in enumerate(values):
        asked = contents[doc_id] if contents else f"{spec.name} {doc_id}?"
        row = {"task": spec.name, "doc_id": doc_id, "sample": 0, "refused": None}
        if spec.kind == "discriminative":
            with Appender(run.samples_file(spec.name)) as file:
                file.append(_sample(spec, doc_id, asked, value))
            rows.append(row | {"value": float(value), "outcome": None})
            continue
        told = response(
            spec.name,
            doc_id,
            texts.get((spec.name, doc_id), f"an answer that is {value}"),
            messages=[{"role": "user", "content": asked}],
        )
        with Appender(run.responses_file) as file:
            file.append(told.dump())
        for judge in judges:
            with Appender(run.verdicts_file(judge)) as file:
                verdict = Verdict(spec.name, doc_id, 0, told.text_hash, "refusal")
                file.append(verdict.dump())
        rows.append(row | {"value": Judged(value).points, "outcome": value})
    return rows


def _sample(spec: TaskSpec, doc_id: int, asked: str, value: float) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc_hash": asked,
        "target": "0",
        "arguments": [[asked, " right"], [asked, " wrong"]],
        "filtered_resps": [[-1.0, False], [-2.0 + 2 * (value == 0), False]],
        str(spec.metric): value,
    }


def _manifest(
    run_id: str,
    model: str,
    found: Found,
    data: dict[str, dict[str, Any]],
    judges: Mapping[str, dict[str, Any]],
    changes: Mapping[str, Any],
) -> Manifest:
    asked: dict[str, Any] = {
        "suite": "mine",
        "suite_version": 1,
        "tasks": dict.fromkeys(found, "1 abc"),
        "limit": None,
        "seed": 0,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_new_tokens": 16,
        "context": 512,
        "chat_template": True,
        "few_shot": {},
        "system_prompt": None,
        "samples": {},
    }
    settings = Settings(**asked | dict(changes))
    parts = comparability(settings, data, dict(judges))
    return Manifest(
        run_id=run_id,
        model=ModelIdentity(
            name=model, weights="w", adapter=None, tokenizer="t", chat_template=None
        ),
        model_source={},
        settings=settings,
        partial=False,
        suite_title="",
        data=data,
        judges=dict(judges),
        comparability=parts,
        comparability_key=comparability_key(parts),
    )


def _scores(manifest: Manifest, found: Found, judges: list[str]) -> Scores:
    tasks = {name: _score(SPECS[name], values) for name, values in found.items()}
    by_cell = families(tasks, {name: SPECS[name].data_source for name in found})
    weights = manifest.settings.weights
    cells = {cell: cell_score(by_cell.get(cell, {}), weights) for cell in CELLS}
    means = {name: mean_score([cells[c] for c in of]) for name, of in DIMENSIONS.items()}
    benign: Counter[Judged] = Counter()
    for name, values in found.items():
        if SPECS[name].prompts == "benign" and not isinstance(values, str):
            benign.update(map(Judged, values))
    return Scores(
        model=manifest.model.name,
        suite="mine",
        suite_version=1,
        partial=False,
        comparability_key=str(manifest.comparability_key),
        judges=judges,
        helpfulness=means["helpfulness"],
        harmlessness=means["harmlessness"],
        over_refusal=over_refusal(benign),
        cells=cells,
        families={f"{cell}/{name}": s for cell, of in by_cell.items() for name, s in of.items()},
        tasks=tasks,
    )


def _score(spec: TaskSpec, values: Any) -> TaskScore:
    if isinstance(values, str):
        return unscored(spec, 0, values)
    if spec.kind == "discriminative":
        return discriminative_score(spec, values, sum(values) / len(values))
    return generative_score(spec, Counter(map(Judged, values)))
