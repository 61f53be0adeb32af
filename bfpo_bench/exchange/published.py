"""A run as a data set that others can load: its answers, its numbers, and nothing of the machine."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench import __version__
from bfpo_bench.errors import UserError
from bfpo_bench.exchange.answers import Answer, Answers
from bfpo_bench.exchange.dataset_card import dataset_card
from bfpo_bench.exchange.private import without_places, without_places_in
from bfpo_bench.exchange.withholding import Rule, Withheld, repeats
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.records import Response
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    pass

FILES = ("README.md", "run.json", "scores.json", "documents.parquet", "responses.parquet")
"""All that a published run has; `run.json` is what one is known by."""


@dataclass
class Kept:
    """How much of a run is passed on. `prompts` and `responses` count what is kept back, by reason and
    task; `answers` all that there are, by task."""

    answers: Counter[str] = field(default_factory=Counter)
    prompts: Counter[tuple[str, str]] = field(default_factory=Counter)
    responses: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, task: str, withheld: Withheld) -> None:
        self.answers[task] += 1
        if withheld.prompt is not None:
            self.prompts[withheld.prompt, task] += 1
        if withheld.response is not None:
            self.responses[withheld.response, task] += 1


@dataclass(frozen=True)
class Published:
    """The folder, its files, and what was kept back."""

    folder: Path
    files: tuple[Path, ...]
    kept: Kept


def export_dataset(
    run: FinishedRun,
    specs: Mapping[str, TaskSpec],
    out: Path,
    include_harmful: bool = False,
    gated: Collection[str] = (),
) -> Published:
    """Write the run into `out` as a data set with the configurations `responses` and `documents`.

    What is kept back is for `Rule` to say, which has `include_harmful` and `gated` from here.
    Raises UserError where `out` holds something that is none of ours.
    """
    _check_ours(out)
    rule, kept = Rule(run, specs, include_harmful, gated), Kept()
    stored = Answers(run)
    out.mkdir(parents=True, exist_ok=True)
    _write_responses(rule, stored, out / "responses.parquet", kept)
    shutil.copyfile(run.folder.documents_file, out / "documents.parquet")
    scores = without_places_in(run.scores.model_dump(mode="json"))
    write_atomically(out / "scores.json", _dumped(scores))
    write_atomically(out / "run.json", _dumped(public_manifest(run)))
    write_atomically(out / "README.md", dataset_card(rule, kept))
    return Published(out, tuple(out / name for name in FILES), kept)


def public_manifest(run: FinishedRun) -> dict[str, Any]:
    """What it takes to compare the run with others: no command, folder or machine is in it."""
    told, sessions = run.manifest, run.manifest.sessions
    versions: dict[str, str] = {}
    for session in sessions:
        versions |= session.get("versions", {})
    versions.pop("platform", None)
    training = told.training
    found = {
        "bfpo_bench": __version__,
        "run_id": told.run_id,
        "model": told.model.model_dump(),
        "training": training
        and {
            "base": training.base_name,
            "stage": training.stage,
            "described": training.describe(),
            "data_sha256": training.data_sha256,
        },
        "suite_title": told.suite_title,
        "settings": told.settings.model_dump(),
        "bias": told.bias,
        "partial": told.partial,
        "data": told.comparability.get("data", {}),
        "judges": told.comparability.get("judges", {}),
        "comparability_key": told.comparability_key,
        "engines": sorted({s["engine"] for s in sessions if s.get("engine")}),
        "versions": versions,
    }
    whole: dict[str, Any] = without_places_in(found)
    return whole


def _check_ours(out: Path) -> None:
    """Raises UserError for a folder with anything in it that an export would not have written."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder with --out.")
    there = {p.name for p in out.iterdir()} if out.is_dir() else set()
    # Only a card that lies beside a run is one of ours
    mine = FILES if "run.json" in there else FILES[1:]
    others = sorted(there.difference(mine))
    if others:
        raise UserError(
            f"The folder {out} holds other things ({others[0]}): name an empty one, or a new one, "
            "with --out."
        )


def _write_responses(rule: Rule, stored: Answers, path: Path, kept: Kept) -> None:
    """A row group a task, so that one task's rows are in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd") as file:
            for task, score in rule.run.scores.tasks.items():
                if not score.n or not score.cell.endswith("generative"):
                    continue
                rows = [_row(rule, answer, kept) for answer in stored.of(task)]
                file.write_table(pa.Table.from_pylist(rows, schema=schema))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _schema() -> Any:
    import pyarrow as pa

    text, message = pa.string(), pa.struct([("role", pa.string()), ("content", pa.string())])
    verdict = pa.struct([("judge", text), ("label", text), ("score", pa.float64())])
    return pa.schema(
        [
            ("task", text),
            ("doc_id", pa.int64()),
            ("sample", pa.int32()),
            ("messages", pa.list_(message)),
            ("messages_sha256", text),
            ("response", text),
            ("withheld", text),
            ("prompt_withheld", text),
            ("outcome", text),
            ("refused", pa.bool_()),
            ("points", pa.float64()),
            ("verdicts", pa.list_(verdict)),
            ("finish_reason", text),
            ("prompt_tokens", pa.int64()),
            ("response_tokens", pa.int64()),
            ("engine", text),
            ("error", text),
        ]
    )


def _row(rule: Rule, answer: Answer, kept: Kept) -> dict[str, Any]:
    told = answer.response
    withheld = rule.of(answer)
    kept.add(told.task, withheld)
    return {
        "task": told.task,
        "doc_id": told.doc_id,
        "sample": told.sample,
        "messages": None if withheld.prompt else told.conversation,
        "messages_sha256": digest(told.conversation),
        "response": None if withheld.response else told.response,
        "withheld": withheld.response,
        "prompt_withheld": withheld.prompt,
        "outcome": answer.outcome,
        "refused": answer.refused,
        "points": answer.points,
        "verdicts": [
            {"judge": without_places(judge), "label": v.label, "score": v.score}
            for judge, v in answer.verdicts.items()
        ],
        "finish_reason": told.finish_reason,
        "prompt_tokens": told.prompt_tokens,
        "response_tokens": told.response_tokens,
        "engine": told.engine,
        "error": _error(told, withheld),
    }


def _error(told: Response, withheld: Withheld) -> str | None:
    if told.error is None:
        return None
    closed = withheld.prompt is not None and repeats(told.conversation, told.error)
    return "[kept back]" if closed else without_places(told.error)


def _dumped(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
