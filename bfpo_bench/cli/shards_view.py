"""What is said of a shard when its command ends."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from bfpo_bench.sharding import ShardEnd


def shard_lines(end: ShardEnd) -> list[str]:
    """What is stored, what is not, and how the run is made of its shards."""
    stored = [f"{end.responses:,} responses", f"{end.likelihoods:,} log-likelihoods"]
    stored += [f"{count:,} verdicts of {key}" for key, count in end.verdicts.items()]
    found = [f"shard {end.shard} holds {', '.join(stored)}"]
    if end.lacking:
        found.append(f"it lacks {', '.join(end.lacking)}: the same command goes on")
    if end.failed:
        found.append(f"failed: {', '.join(end.failed)}; the same command asks again")
    count = end.shard.count
    when = "make the run of them" if end.finished == count else "when all are, make the run of them"
    merge = shlex.join(end.merge_command)
    found.append(
        f"{end.finished} of {count} shards in {end.run.parent} are finished; {when}: {merge}"
    )
    return found


def shard_json(end: ShardEnd) -> dict[str, Any]:
    """The same for programs."""
    words = {"shard": str(end.shard), "run": str(end.run), "merge": list(end.merge_command)}
    return {**asdict(end), **words}
