"""A shard at its beginning and at its end: what its manifest keeps, and what it holds and lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bfpo_bench.assess import Assessment, OpenRun
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.request import Request
from bfpo_bench.runs.lock import shown_command
from bfpo_bench.runs.manifest import ShardRequest
from bfpo_bench.runs.parts import Needed, contents, finished_shards, read_stored, shortfall
from bfpo_bench.runs.shard import Shard
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class ShardEnd:
    """What a shard holds now: lines by kind, `verdicts` by judge. `lacking` says in words what the same
    command would still do, `failed` what it could not; `finished` counts the shards beside it, and
    itself, that were worked to their end. `run` is where the run of all will be."""

    shard: Shard
    run: Path
    responses: int
    likelihoods: int
    verdicts: Mapping[str, int]
    lacking: tuple[str, ...]
    failed: tuple[str, ...]
    finished: int

    @property
    def complete(self) -> bool:
        return not self.lacking and not self.failed

    @property
    def merge_command(self) -> tuple[str, ...]:
        return "bfpo-bench", "runs", "merge", str(self.run)


def stored_request(request: Request) -> ShardRequest | None:
    """What the manifest of a shard keeps of the request; None where there is no shard."""
    if request.shard is None:
        return None
    url = shown_command([request.judge_url])[0] if request.judge_url is not None else None
    return ShardRequest(
        suite=request.suite,
        models=request.models,
        judges=request.judges,
        judge_url=url,
        baseline=str(request.baseline) if request.baseline is not None else None,
        leaderboard=str(request.leaderboard) if request.leaderboard is not None else None,
        trust_remote_code=request.trust_remote_code,
        allow_pickle=request.allow_pickle,
        strict=request.strict,
        allow_drift=request.allow_drift,
        offline=request.offline,
    )


def needed(
    tasks: Sequence[TaskSpec], judges: Sequence[PlannedJudge], failed: Mapping[str, str]
) -> Needed:
    """What a complete run has of `tasks`, but for those that `failed`."""
    asked = [t for t in tasks if t.name not in failed]
    return Needed(
        generative=tuple(t.name for t in asked if t.kind == "generative"),
        discriminative=tuple(t.name for t in asked if t.kind == "discriminative"),
        judges={p.judge.key: frozenset(p.tasks) for p in judges if p.tasks and p.fault is None},
    )


def end_shard(wanted: Assessment, run: OpenRun, faults: Mapping[str, str]) -> ShardEnd:
    """Look over what is stored of the shard, and note in its manifest when it is all there."""
    stored = read_stored(run.folder.path)
    required = needed(wanted.tasks, wanted.judges, run.failed)
    found = contents(stored, required.judges)
    lacking = shortfall(stored, found, required)
    if not lacking:
        run.session["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    run.folder.write_manifest(run.manifest)
    out, run_id = run.folder.path.parent, run.manifest.run_id
    return ShardEnd(
        shard=stored.shard,
        run=out / run_id,
        responses=len(found.responses),
        likelihoods=len(found.likelihoods),
        verdicts={key: len(lines) for key, lines in found.verdicts.items()},
        lacking=tuple(lacking),
        failed=(*run.failed, *(f"judge {key}" for key in faults)),
        finished=finished_shards(out, run_id, stored.shard.count),
    )
