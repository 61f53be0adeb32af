"""Shards of a small run, written by hand: two tasks, and a judge of refusals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from manifests import MODEL, settings

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.manifest import Manifest, ShardRequest
from bfpo_bench.runs.parts import Needed, StoredShard
from bfpo_bench.runs.records import DataRecord, Response, StoredLikelihood, Verdict
from bfpo_bench.runs.shard import Shard

DOCUMENTS = {"talk": (0, 2, 3, 5, 8, 13, 21), "choose": (0, 1, 2, 3, 4)}
"""Task -> the documents chosen of it: answers to `talk` are judged, each of `choose` has two choices."""
NEEDED = Needed(("talk",), ("choose",), {"refusal": frozenset({"talk"})})
RUN = "m-1a2b3c4d"
JUDGE = {"kind": "refusal", "version": 1}

_REQUEST = ShardRequest(
    suite="bfpo",
    models=("m",),
    judges=(),
    judge_url=None,
    baseline=None,
    leaderboard=None,
    trust_remote_code=(),
    allow_pickle=False,
    strict=False,
    allow_drift=False,
    offline=False,
)


def response(doc_id: int, text: str = "No.", task: str = "talk") -> Response:
    asked = [{"role": "user", "content": f"Question {doc_id}?"}]
    return Response(task, doc_id, 0, asked, text, "stop", 3, 1, doc_id, "null")


def verdict(of: Response, label: Any = "refusal", **more: Any) -> Verdict:
    return Verdict(of.task, of.doc_id, of.sample, of.text_hash, label, **more)


def likelihoods(doc_id: int, task: str = "choose") -> list[StoredLikelihood]:
    return [StoredLikelihood(task, doc_id, c, -1.5 * (c + 1), c == 0, "null") for c in (0, 1)]


def append(path: Path, records: Iterable[Any]) -> None:
    with Appender(path) as file:
        for record in records:
            file.append(record.dump())


def shard_folder(out: Path, shard: Shard, **changes: Any) -> StoredShard:
    """A complete shard, its lines in the order 'last document first'. `changes` are to its manifest."""
    folder = RunFolder(out / f"{RUN}{shard.suffix}")
    mine = {task: shard.of(task, ids)[::-1] for task, ids in DOCUMENTS.items()}
    answers = [response(i) for i in mine["talk"]]
    append(folder.responses_file, answers)
    append(folder.verdicts_file("refusal"), map(verdict, answers))
    append(folder.likelihoods_file, (one for i in mine["choose"] for one in likelihoods(i)))
    records = {
        task: DataRecord("org/data", None, "c0ffee", f"print of {task}", len(ids), 99, 99)
        for task, ids in DOCUMENTS.items()
    }
    folder.write_data(records)
    command = ["bfpo-bench", "run", "--model", "m", "--shard", str(shard)]
    times = {"started": f"2026-01-0{shard.number}T00:00:00+00:00", "finished": "2026-01-09"}
    fields: dict[str, Any] = {
        "format": 2,
        "run_id": RUN,
        "model": MODEL,
        "model_source": {},
        "settings": settings(tasks={"talk": "1 cafe", "choose": "1 cafe"}),
        "partial": False,
        "suite_title": "",
        "shard": str(shard),
        "request": _REQUEST,
        "data": {task: record.dump() for task, record in records.items()},
        "judges": {"refusal": JUDGE},
        "counts": {
            "talk": {"documents": len(mine["talk"]), "requests": len(mine["talk"])},
            "choose": {"documents": len(mine["choose"]), "requests": 2 * len(mine["choose"])},
        },
        "sessions": [{"command": command, "versions": {"bfpo-bench": "1.0"}, "failed": {}} | times],
    }
    for name in ("settings", "request", "model"):
        if name in changes:
            changes[name] = fields[name].model_copy(update=changes[name])
    folder.write_manifest(manifest := Manifest(**fields | changes))
    return StoredShard(folder, manifest, shard)


def all_shards(out: Path, count: int = 3) -> list[StoredShard]:
    return [shard_folder(out, Shard(number, count)) for number in range(1, count + 1)]
