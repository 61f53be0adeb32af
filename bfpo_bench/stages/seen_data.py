"""What a run writes down of the data that it asks about, and what is doubtful about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bfpo_bench.errors import UserError
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import DataRecord
from bfpo_bench.suite.data import DataRevision
from bfpo_bench.suite.documents import LoadedTask
from bfpo_bench.suite.lock import first_use


def doubts(loaded: Sequence[LoadedTask], data: Mapping[str, DataRevision]) -> tuple[str, ...]:
    """What is doubtful about the data: they differ from an unverified entry of the lock, or from those
    of the task's first use on this machine."""
    said = [t.doubt for t in loaded]
    said += [
        first_use(t.spec, t.observed, data[t.spec.name].sha)
        for t in loaded
        if t.observed is not None
    ]
    return tuple(sentence for sentence in said if sentence is not None)


def record_data(
    run: RunFolder, loaded: Sequence[LoadedTask], data: Mapping[str, DataRevision]
) -> None:
    """Write down which documents are asked, before the first answer; refuse others on a resume."""
    known, now = run.data(), {}
    for task in loaded:
        name, source = task.spec.name, data[task.spec.name]
        before = known.get(name)
        if before is not None and before.fingerprint != task.fingerprint:
            raise UserError(
                f"The data of {name} has changed since this run began ({before.fingerprint[:12]} "
                f"then, {task.fingerprint[:12]} now): start a new run with another --out."
            )
        now[name] = DataRecord(
            hub_id=source.hub_id,
            requested=source.requested,
            revision=source.sha,
            fingerprint=task.fingerprint,
            documents=len(task.doc_ids),
            available=task.available,
            expected=(task.available if task.spec.documents_estimated else task.spec.documents),
            rows=task.observed.rows if task.observed else None,
            columns_sha256=task.observed.sha256 if task.observed else None,
            drift=task.drift,
        )
    # What is known of tasks that failed this time stays: their answers may be here
    run.write_data(known | now)
