"""A run's folder: where its files lie, who may write them, and whether it is the run that is meant."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from pydantic import ValidationError

from bfpo_bench.errors import UserError
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.identity import SCORING, digest
from bfpo_bench.runs.jsonl import DRAFTS
from bfpo_bench.runs.lock import run_lock
from bfpo_bench.runs.manifest import FORMAT, Manifest
from bfpo_bench.runs.records import DataRecord, Response, ResponseKey, StoredLikelihood, Verdict
from bfpo_bench.runs.seal import Seals


class _Answered(msgspec.Struct, gc=False):
    task: str
    doc_id: int
    sample: int
    fault: bool = False

    @property
    def key(self) -> ResponseKey:
        return self.task, self.doc_id, self.sample


class RunFolder:
    """`OUT/<run-id>/`. Paths only: every content is read from disk when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest_file = path / "manifest.json"
        self.responses_file = path / "responses.jsonl"
        self.likelihoods_file = path / "discriminative" / "loglikelihoods.jsonl"
        self.results_file = path / "discriminative" / "results.json"
        self.scores_file = path / "scores.json"
        self.data_file = path / "data.json"
        self.splits_file = path / "splits.jsonl"
        self.documents_file = path / "documents.parquet"
        self.seals = Seals(path / "seals.json")

    def samples_file(self, task: str) -> Path:
        return self.path / "discriminative" / f"samples_{task}.jsonl"

    def verdicts_file(self, judge: str) -> Path:
        """`judge` is `name` or `name@model`; a slash in the model becomes two dashes."""
        return self.path / "verdicts" / f"{_file_name(judge)}.jsonl"

    def log_file(self, stage: str) -> Path:
        return self.path / "logs" / f"{_file_name(stage)}.log"

    def manifest(self) -> Manifest | None:
        """None where the run has not begun; UserError where the file is not a manifest."""
        try:
            found = Manifest.model_validate_json(self.manifest_file.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UserError(
                f"{self.manifest_file} is not a manifest of this version of bfpo-bench: "
                "move the folder away or give another --out."
            ) from error
        if found.format > FORMAT:
            raise UserError(
                f"{self.path} was written by a later bfpo-bench (its format is {found.format}, this "
                f"one's {FORMAT}): upgrade, or give another --out."
            )
        return found

    def write_manifest(self, manifest: Manifest) -> None:
        jsonl.write_atomically(self.manifest_file, manifest.model_dump_json(indent=2) + "\n")

    def data(self) -> dict[str, DataRecord]:
        """Task -> the documents asked, as the first session recorded them before any answer."""
        if not self.data_file.exists():
            return {}
        try:
            found = json.loads(self.data_file.read_bytes())
            return {task: DataRecord.load(entry) for task, entry in found.items()}
        except (ValueError, RecursionError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.data_file} is damaged: restore it, or delete it, and the same command writes "
                "down anew which documents the run asks."
            ) from error

    def write_data(self, data: Mapping[str, DataRecord]) -> None:
        told = {task: record.dump() for task, record in data.items()}
        jsonl.write_atomically(self.data_file, json.dumps(told, indent=2) + "\n")

    def responses(self) -> Iterator[Response]:
        """Each response once, the one that was stored first."""
        seen: set[ResponseKey] = set()
        for response in jsonl.read_as(self.responses_file, Response):
            if response.key not in seen:
                seen.add(response.key)
                yield response

    def forget_faults(self) -> None:
        """Of what a fault of the world left unanswered, leave one line in the file, and none where an
        answer has come since. Only who holds the lock may call it."""
        file = self.responses_file
        unanswered = {line.key for line in jsonl.read_as(file, _Answered) if line.fault}
        if not unanswered:
            return
        for line in jsonl.read_as(file, _Answered):
            if not line.fault:
                unanswered.discard(line.key)

        def kept() -> Iterator[bytes]:
            for answered, line in jsonl.read_lines_as(file, _Answered):
                if not answered.fault:
                    yield line
                elif answered.key in unanswered:
                    unanswered.discard(answered.key)
                    yield line

        jsonl.write_atomically(file, kept())

    def likelihoods(self) -> Iterator[StoredLikelihood]:
        return jsonl.read_as(self.likelihoods_file, StoredLikelihood)

    def verdicts(self, judge: str) -> Iterator[Verdict]:
        return jsonl.read_as(self.verdicts_file(judge), Verdict)

    def open(self, fresh: Manifest) -> Manifest:
        """The stored manifest when it is of this very run, else `fresh`, written.

        Raises UserError when the folder holds a run of another configuration.
        """
        stored = self.manifest()
        if stored is None:
            if self.path.is_dir() and any(p.suffix == ".jsonl" for p in self.path.rglob("*")):
                raise UserError(
                    f"{self.path} holds responses but no manifest: move it away or give another --out."
                )
            self.write_manifest(fresh)
            return fresh
        if stored.shard != fresh.shard:
            raise UserError(
                f"{self.path} holds {_part(stored)} and not {_part(fresh)}: move it away or give "
                "another --out."
            )
        if (differs := _difference(stored, fresh)) is not None:
            raise UserError(
                f"{self.path} is a run of another configuration ({differs}): "
                "move it away or give another --out."
            )
        stored.format, stored.request = fresh.format, fresh.request
        # Other weights or places score the same responses anew
        stored.settings, stored.partial = fresh.settings, fresh.partial
        # Of the same model's training more may be known, or less be believed, than before
        stored.training = fresh.training
        return stored

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer a run, who first removes the drafts that a killed one has left."""
        with run_lock(self.path):
            for draft in self.path.rglob(DRAFTS):
                draft.unlink(missing_ok=True)
            yield


def _file_name(text: str) -> str:
    """`text` with each slash as two dashes; with a hash of it where other characters had to go."""
    plain = text.replace("/", "--")
    safe = re.sub(r"[^A-Za-z0-9._@-]+", "-", plain)[:200]
    return safe if safe == plain else f"{safe}-{digest(text)[:8]}"


def _part(manifest: Manifest) -> str:
    return "a whole run" if manifest.shard is None else f"shard {manifest.shard} of a run"


def _difference(stored: Manifest, fresh: Manifest) -> str | None:
    for part in ("model", "settings"):
        old = json.loads(getattr(stored, part).model_dump_json())
        new = json.loads(getattr(fresh, part).model_dump_json())
        for key in new:
            if part == "settings" and key in SCORING:
                continue
            if digest(old.get(key)) != digest(new[key]):
                return f"{part} {key}: {str(old.get(key))[:60]} there, {str(new[key])[:60]} here"
    return None


def check_whole(path: Path, manifest: Manifest) -> None:
    """Raises UserError where the folder holds a shard: its part would pass for the whole."""
    if manifest.shard is not None:
        raise UserError(
            f"{path} is {_part(manifest)}: merge all its shards first, with "
            f"`bfpo-bench runs merge {path.parent / manifest.run_id}`."
        )


def check_file(out: Path, option: str = "--out", *, read: Iterable[Path] = ()) -> None:
    """Raises UserError, naming `option`, unless a file can be written at `out`: in a folder that takes
    none, for a folder, and for one of the files that are `read`."""
    check_writable(out.parent, option)
    if out.is_dir():
        raise UserError(f"{option} {out} is a folder: name a file in it.")
    if any(_same(out, path) for path in read):
        raise UserError(f"{option} {out} is the input: name another.")


def _same(first: Path, second: Path) -> bool:
    """Of files that are there; by whatever name."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def check_writable(out: Path, option: str = "--out") -> None:
    """Raises UserError, naming `option`, unless a file can be made, filled and removed in `out`."""
    probe = out / f".bfpo-bench-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
    except OSError as error:
        raise UserError(
            f"The folder {out} cannot be written ({error.strerror}): give another {option}."
        ) from error
    finally:
        # In a folder that may not be entered, even asking whether the file is there raises
        with suppress(OSError):
            probe.unlink()
