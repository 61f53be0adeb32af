"""Data as classic scripts, the one kind of file that a page opened from disk may load.

A script calls `bfpoResponses.receive(NAME, BASE64)` with gzip inside, which the page inflates.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.runs.jsonl import write_atomically

if TYPE_CHECKING:
    import numpy as np

INDEX = "index"
CHUNK_BYTES = 1_500_000
"""Of JSON before compression: some 0.3 to 0.6 MB as a script, and inflated in a few milliseconds."""

_LEVEL = 4
_ALIGNED = 8
_ARRAYS = {
    "uint8": "Uint8Array",
    "uint16": "Uint16Array",
    "uint32": "Uint32Array",
    "float32": "Float32Array",
    "float64": "Float64Array",
}


def chunk_name(number: int) -> str:
    """What the page asks for, and the file's name without its ending.

    >>> chunk_name(3)
    'chunk-00003'
    """
    return f"chunk-{number:05}"


def script(name: str, content: bytes) -> str:
    """A script that hands `content` to the page; equal contents, equal script."""
    packed = base64.b64encode(gzip.compress(content, _LEVEL, mtime=0)).decode()
    return f'bfpoResponses.receive({json.dumps(name)},"{packed}");\n'


def encoded(told: Any) -> bytes:
    """`told` as JSON; a lone surrogate as its escape, which JavaScript reads as what it is."""
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


@dataclass
class ChunkWriter:
    """Writes documents, each once and in order, as scripts of about `limit` bytes of JSON.

    `firsts`: for each chunk the number of its first document. A document is never divided.
    """

    folder: Path
    limit: int = CHUNK_BYTES
    firsts: list[int] = field(default_factory=list)
    documents: int = 0
    bytes_written: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, document: Any) -> None:
        told = encoded(document)
        if self._waiting and self._size + len(told) > self.limit:
            self.flush()
        self._waiting.append(told)
        self._size += len(told)
        self.documents += 1

    def flush(self) -> None:
        """Write what waits; to be called once more after the last document."""
        if not self._waiting:
            return
        name = chunk_name(len(self.firsts))
        self.write(name, b"[" + b",".join(self._waiting) + b"]")
        self.firsts.append(self.documents - len(self._waiting))
        self._waiting, self._size = [], 0

    def write(self, name: str, content: bytes) -> None:
        told = script(name, content)
        write_atomically(self.folder / f"{name}.js", told)
        self.bytes_written += len(told)


def smallest(values: np.ndarray) -> np.ndarray:
    """Whole numbers >= 0 in the smallest type that holds them: uint8, uint16, uint32 or float64."""
    import numpy as np

    most = int(values.max(initial=0))
    for kind in (np.uint8, np.uint16, np.uint32):
        if most <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float64)


def columns(named: Mapping[str, np.ndarray]) -> tuple[bytes, list[dict[str, Any]]]:
    """The columns behind one another, little-endian, and where each lies: name, JavaScript's type,
    offset in bytes (a multiple of 8, as typed arrays need) and length in values."""
    parts, places, offset = [], [], 0
    for name, values in named.items():
        told = values.astype(values.dtype.newbyteorder("<")).tobytes()
        places.append(
            {
                "name": name,
                "type": _ARRAYS[values.dtype.name],
                "offset": offset,
                "length": len(values),
            }
        )
        told += b"\0" * (-len(told) % _ALIGNED)
        parts.append(told)
        offset += len(told)
    return b"".join(parts), places
