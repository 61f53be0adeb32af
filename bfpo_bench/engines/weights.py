"""Which weights and tokenizer a source has: the hub's commit, or content hashes of its files, remembered
so that gigabytes are read once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from bfpo_bench.cache import default_cache
from bfpo_bench.engines.source import ROUTED, ROUTED_FILES, Source
from bfpo_bench.runs.jsonl import write_atomically


def content_hash(files: list[Path]) -> str:
    """sha256 over names and contents of `files`, in order.

    A file's own hash is remembered by path, size and modification time.
    """
    memory = default_cache() / "weight-hashes.json"
    known = _remembered(memory)
    digest, learned = hashlib.sha256(), False
    for path in files:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in known:
            with path.open("rb") as file:
                known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            learned = True
        digest.update(f"{path.name}\0{known[key]}\n".encode())
    if learned:
        try:
            told = {key: found + _check(key, found) for key, found in known.items()}
            write_atomically(memory, json.dumps(told, indent=0))
        except OSError:
            # A cache that cannot be written costs the next run a second hashing, nothing else
            return digest.hexdigest()
    return digest.hexdigest()


def _remembered(memory: Path) -> dict[str, str]:
    """What is remembered and has not been changed since: another hash would be another model."""
    try:
        told = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    entries = told.items() if isinstance(told, dict) else ()
    split = {key: (value[:64], value[64:]) for key, value in entries if isinstance(value, str)}
    return {key: found for key, (found, check) in split.items() if check == _check(key, found)}


def _check(key: str, found: str) -> str:
    return hashlib.sha256(f"{key}\0{found}".encode()).hexdigest()[:8]


def identify(source: Source, progress: Callable[[str], None], code: bool) -> str:
    """The hub's commit, or the hash of a folder's weights and configuration.

    With `code` of its own the same weights may answer otherwise: the commit, which pins that code as
    well, says so, and the hash is over the code's files, too.
    """
    if source.commit is not None:
        return f"{source.commit} with its code" if code else source.commit
    assert source.folder is not None
    progress(f"hashing the weights of {source.name}")
    # A training's checkpoints lie below its result, and are none of it
    configs = [f for f in source.files if f.endswith("config.json") and "/" not in f]
    configs += ROUTED_FILES if source.has(ROUTED) else ()
    names = [*source.weight_files(), *configs, *(source.code_files() if code else ())]
    return content_hash([source.folder / n for n in sorted(set(names))])


def identify_tokenizer(source: Source) -> str:
    if source.commit is not None:
        return source.commit
    assert source.folder is not None
    names = sorted(
        f for f in source.files if f.startswith(("tokenizer", "vocab", "merges", "special"))
    )
    return content_hash([source.folder / n for n in names])
