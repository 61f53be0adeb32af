"""Shards become one run: held against each other first, and written in one step."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.runs.checks import checks_file, unchecked_file
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.lines import Lines, equal, joined
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.parts import Contents, Needed, StoredShard, contents, listed, shortfall
from bfpo_bench.runs.shard import Shard


def check_alike(shards: Sequence[StoredShard]) -> None:
    """Raises UserError unless these shards of one run are all of its, made in one way of one data.

    Each sentence names the folder that differs from the first.
    """
    first = shards[0]
    for one in shards[1:]:
        if one.shard.count != first.shard.count:
            raise UserError(
                f"{one.path} is one of {one.shard.count} shards and {first.path} one of "
                f"{first.shard.count}: name those of one number alone."
            )
    _check_numbers(shards)
    for one in shards[1:]:
        if (how := _difference(first, one)) is not None:
            raise UserError(
                f"{one.path} does not go with {first.path} ({how}): move the one that is wrong away "
                "and give its command again."
            )


def _check_numbers(shards: Sequence[StoredShard]) -> None:
    first = shards[0]
    there: dict[int, StoredShard] = {}
    for one in shards:
        if (twice := there.setdefault(one.shard.number, one)) is not one:
            raise UserError(
                f"{twice.path} and {one.path} are both shard {one.shard}: leave one out."
            )
    count = first.shard.count
    missing = [str(Shard(n, count)) for n in range(1, count + 1) if n not in there]
    if missing:
        raise UserError(
            f"{first.manifest.run_id} lacks shard {listed(missing)}: give the command of {first.path} "
            f"with --shard {missing[0]}, or name the folder."
        )


def _difference(first: StoredShard, one: StoredShard) -> str | None:
    """How `one` differs from the first shard; None where it does not."""
    ours, theirs = first.manifest, one.manifest
    for key in type(ours.model).model_fields:
        if getattr(ours.model, key) != getattr(theirs.model, key):
            return f"another {key} of the model"
    for key in type(ours.settings).model_fields:
        a, b = getattr(ours.settings, key), getattr(theirs.settings, key)
        if digest(a) != digest(b):
            return f"{key}: {str(b)[:60]} there, {str(a)[:60]} here"
    for key in ("suite", "judges", "baseline", "allow_drift"):
        a, b = getattr(ours.request, key), getattr(theirs.request, key)
        if a != b:
            return f"{key} as its command had them: {_shown(b)} there, {_shown(a)} here"
    if (versions := _versions(one)) != _versions(first):
        return f"bfpo-bench {listed(versions)} there, {listed(_versions(first))} here"
    return _data(first, one)


def _shown(value: Any) -> str:
    words = " ".join(value) if isinstance(value, tuple) else str(value)
    return words[:60] or "none"


def _versions(shard: StoredShard) -> list[str]:
    told = (s.get("versions", {}).get("bfpo-bench") for s in shard.manifest.sessions)
    return sorted({str(version) for version in told if version})


def _data(first: StoredShard, one: StoredShard) -> str | None:
    ours, theirs = first.manifest.data, one.manifest.data
    for task in first.places:
        a, b = ours.get(task), theirs.get(task)
        if a is None or b is None or a == b:
            continue
        keys = ("fingerprint", "revision", *a)
        key = next(k for k in keys if a.get(k) != b.get(k))
        return (
            f"the {key} of {task}'s data: {str(b.get(key))[:12]} there, {str(a.get(key))[:12]} here"
        )
    return None


def check_failed(shards: Sequence[StoredShard]) -> dict[str, str]:
    """Task -> why it could not be asked, of those that no shard could ask, and those that one shard
    never can: the whole run would be without them as well.

    Raises UserError for one that a shard could not ask this time.
    """
    failed = [one.failed for one in shards]
    common = {t: why for t, why in failed[0].items() if all(t in other for other in failed)}
    common |= _unaskable(shards)
    for one in shards:
        for task, why in one.failed.items():
            if task not in common:
                raise UserError(
                    f"{one.path} lacks {task}, which others have ({why.rstrip('.')}): finish it "
                    f"with `{one.command}`."
                )
    return common


def _unaskable(shards: Sequence[StoredShard]) -> dict[str, str]:
    return {task: why for one in shards for task, why in one.unaskable.items()}


def check_judges(shards: Sequence[StoredShard], now: Mapping[str, dict[str, Any]]) -> None:
    """`now`: judge key -> what its verdicts depend on. Raises UserError for a shard whose verdicts
    are of other judges, or of other versions of them."""
    for one in shards:
        for key, identity in now.items():
            then = one.manifest.judges.get(key)
            if then is None:
                raise UserError(
                    f"{one.path} has no verdicts of {key}: finish it with `{one.command}`."
                )
            if digest(then) != digest(identity):
                keys = [*identity, *then]
                how = next(k for k in keys if digest(then.get(k)) != digest(identity.get(k)))
                raise UserError(
                    f"{one.path} was judged by another {key} ({how}: {str(then.get(how))[:60]} then, "
                    f"{str(identity.get(how))[:60]} now): judge it again with `{one.command}`."
                )


def complete_contents(shards: Sequence[StoredShard], needed: Needed) -> Contents:
    """The lines of all shards in one order: by task as the run has them, document, and sample or
    choice; none of tasks that one of them never can ask. Raises UserError where a shard is not
    complete, or has documents of another."""
    found = []
    for one in shards:
        mine = contents(one, needed.judges)
        if lacking := shortfall(one, mine, needed):
            raise UserError(f"{one.path} lacks {listed(lacking)}: finish it with `{one.command}`.")
        found.append(mine)
    whole = Contents(
        responses=joined([c.responses for c in found]),
        likelihoods=joined([c.likelihoods for c in found]),
        verdicts={key: joined([c.verdicts[key] for c in found]) for key in needed.judges},
        checks=joined([c.checks for c in found]),
        unchecked=joined([c.unchecked for c in found]),
    )
    _check_documents(shards, found, whole, needed)
    return whole.without([shards[0].places[task] for task in _unaskable(shards)])


def _check_documents(
    shards: Sequence[StoredShard], found: Sequence[Contents], whole: Contents, needed: Needed
) -> None:
    """Each shard has just those documents that it has of all that are here."""
    kinds = [(t, "responses") for t in needed.generative]
    kinds += [(t, "likelihoods") for t in needed.discriminative]
    for task, kind in kinds:
        place = shards[0].places[task]
        everything = getattr(whole, kind).task(place).documents().tolist()
        ids = [getattr(mine, kind).task(place).documents().tolist() for mine in found]
        wrong = [s for s, i in zip(shards, ids, strict=True) if len(i) != s.share(task)]
        wrong += [s for s, i in zip(shards, ids, strict=True) if i != s.shard.of(task, everything)]
        if wrong:
            raise UserError(
                f"{wrong[0].path} has documents of {task} that are not those of shard "
                f"{wrong[0].shard}: move it away and give its command again."
            )


def write_merged(path: Path, shards: Sequence[StoredShard], whole: Contents) -> RunFolder:
    """The run of all `shards` as the folder `path`, which is there whole or not at all.

    One that is there with the same lines is left as it is. Only who holds the locks of all shards
    may call it. Raises UserError where the folder holds anything else.
    """
    run = RunFolder(path)
    if path.exists():
        _check_same(run, whole)
        return run
    draft = RunFolder(path.with_name(f".{path.name}.merging"))
    shutil.rmtree(draft.path, ignore_errors=True)
    try:
        for file, lines in _files(draft, whole).items():
            if len(lines):
                write_atomically(file, lines)
        data, left = shards[0].folder.data(), _unaskable(shards)
        draft.write_data({task: found for task, found in data.items() if task not in left})
        draft.write_manifest(merged_manifest(shards))
        draft.path.rename(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    return run


def _files(run: RunFolder, whole: Contents) -> dict[Path, Lines]:
    verdicts = {run.verdicts_file(key): lines for key, lines in whole.verdicts.items()}
    asked = {run.responses_file: whole.responses, run.likelihoods_file: whole.likelihoods}
    checked = {checks_file(run): whole.checks, unchecked_file(run): whole.unchecked}
    return asked | checked | verdicts


def _check_same(run: RunFolder, whole: Contents) -> None:
    manifest = run.manifest()
    if manifest is None or manifest.shard is not None:
        raise UserError(f"{run.path} is there and is no run: move it away or give another --out.")
    there = StoredShard(run, manifest, Shard(1, 1))
    stored = contents(there, whole.verdicts)
    for file, other in _files(run, stored).items():
        if not equal(_files(run, whole)[file], other):
            raise UserError(
                f"{file} holds other lines than the shards: move {run.path} away or give another "
                "--out."
            )


def merged_manifest(shards: Sequence[StoredShard]) -> Manifest:
    """That of the whole run, with the sessions of all shards, the earliest first."""
    sessions = [
        {"shard": str(one.shard), **session} for one in shards for session in one.manifest.sessions
    ]
    counts: dict[str, Counter[str]] = {}
    for one in shards:
        for task, count in one.manifest.counts.items():
            counts.setdefault(task, Counter()).update(count)
    first, left = shards[0].manifest, _unaskable(shards)
    return first.model_copy(
        update={
            "shard": None,
            "request": None,
            "data": {task: found for task, found in first.data.items() if task not in left},
            "sessions": sorted(sessions, key=lambda s: str(s.get("started", ""))),
            "counts": {task: dict(count) for task, count in counts.items() if task not in left},
        }
    )
