"""The stored lines of several files in one order, by where each lies: their texts stay on the disk."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from bfpo_bench.errors import UserError
from bfpo_bench.runs import jsonl

if TYPE_CHECKING:
    import numpy as np

# Task, document and part of a line are one number, in whose order lines stand
_PART_BITS, _TASK_BITS = 15, 10
_TASK_SHIFT = 63 - _TASK_BITS
_Document = Annotated[int, msgspec.Meta(ge=0, lt=1 << (_TASK_SHIFT - _PART_BITS))]
_Part = Annotated[int, msgspec.Meta(ge=0, lt=1 << _PART_BITS)]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class ResponseLine(msgspec.Struct, gc=False):
    """What tells responses apart, and whether one is to be asked again; the part of a document is its
    sample."""

    task: str
    doc_id: _Document
    text_hash: _Hash
    part: _Part = msgspec.field(name="sample")
    fault: bool = False


class LikelihoodLine(msgspec.Struct, gc=False):
    """What tells log-likelihoods apart; the part of a document is the choice."""

    task: str
    doc_id: _Document
    part: _Part = msgspec.field(name="choice")


class VerdictLine(msgspec.Struct, gc=False):
    """What tells verdicts apart, and whether one is to be asked again."""

    task: str
    doc_id: _Document
    text_hash: _Hash
    part: _Part = msgspec.field(name="sample")
    fault: bool = False


class CheckLine(msgspec.Struct, gc=False):
    """What tells self-checks apart; the part of a document is its sample."""

    task: str
    doc_id: _Document
    part: _Part = msgspec.field(name="sample")


@dataclass(frozen=True)
class Lines:
    """Lines of `paths`, as arrays of one length: `keys` (int64: task, document, part), `hashes` of
    texts (uint64, 0 where a line has none), `faults` (bool), `files` (place in `paths`), `starts` and
    `sizes` in bytes. In the order of their keys, but for what `read_lines` gives."""

    paths: tuple[Path, ...]
    keys: np.ndarray
    hashes: np.ndarray
    faults: np.ndarray
    files: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[bytes]:
        """Each line as it is stored."""
        with ExitStack() as stack:
            maps = [_mapped(path, stack) for path in self.paths]
            found = zip(self.files.tolist(), self.starts.tolist(), self.sizes.tolist(), strict=True)
            for file, start, size in found:
                yield maps[file][start : start + size]

    def where(self, chosen: np.ndarray) -> Lines:
        """Those at the places `chosen` (indices, or a mask), in that order."""
        arrays = ("keys", "hashes", "faults", "files", "starts", "sizes")
        return replace(self, **{name: getattr(self, name)[chosen] for name in arrays})

    def once(self, *, last: bool) -> Lines:
        """In order of their keys, of several with one key the last or the first."""
        import numpy as np

        order = np.argsort(self.keys, kind="stable")
        keys = self.keys[order]
        differs = keys[1:] != keys[:-1]
        edge = np.ones(min(1, len(keys)), bool)
        kept = np.concatenate([differs, edge] if last else [edge, differs])
        return self.where(order[kept])

    def task(self, place: int) -> Lines:
        """Those of one task, by its place in the run's tasks."""
        import numpy as np

        start, end = np.searchsorted(self.keys, [place << _TASK_SHIFT, (place + 1) << _TASK_SHIFT])
        return self.where(np.arange(start, end))

    def without(self, places: Sequence[int]) -> Lines:
        """Those of other tasks."""
        import numpy as np

        return self.where(~np.isin(self.keys >> _TASK_SHIFT, places))

    def documents(self) -> np.ndarray:
        """The sorted documents of one task's lines, each once."""
        import numpy as np

        mask = (1 << _TASK_SHIFT) - 1
        found: np.ndarray = np.unique((self.keys & mask) >> _PART_BITS)
        return found

    def matching(self, responses: Lines) -> Lines:
        """Of verdicts those on texts of `responses`, of several on one text the last."""
        import numpy as np

        if not len(responses) or not len(self):
            return self.where(np.zeros(0, np.int64))
        places = np.minimum(np.searchsorted(responses.keys, self.keys), len(responses) - 1)
        fits = (responses.keys[places] == self.keys) & (responses.hashes[places] == self.hashes)
        return self.where(fits).once(last=True)


def _mapped(path: Path, stack: ExitStack) -> Any:
    if not path.exists() or path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_lines(path: Path, kind: type[Any], tasks: Mapping[str, int]) -> Lines:
    """The file's lines as they stand; none where it does not exist. `tasks`: name -> place.

    Raises UserError for a damaged line, and for one of another task.
    """
    import numpy as np

    keys, hashes, faults = array("q"), array("Q"), bytearray()
    starts, sizes, at = array("q"), array("q"), 0
    for one, line in jsonl.read_lines_as(path, kind):
        if one.task not in tasks:
            raise UserError(
                f"{path} holds a line of {one.task[:100]!r}, which is no task of its run: move the "
                "folder away and give its command again."
            )
        keys.append(tasks[one.task] << _TASK_SHIFT | one.doc_id << _PART_BITS | one.part)
        hashes.append(int(getattr(one, "text_hash", "0"), 16))
        faults.append(getattr(one, "fault", False))
        starts.append(at)
        sizes.append(len(line))
        at += len(line)
    return Lines(
        paths=(path,),
        keys=np.frombuffer(keys, np.int64),
        hashes=np.frombuffer(hashes, np.uint64),
        faults=np.frombuffer(faults, bool),
        files=np.zeros(len(keys), np.int32),
        starts=np.frombuffer(starts, np.int64),
        sizes=np.frombuffer(sizes, np.int64),
    )


def joined(parts: Sequence[Lines]) -> Lines:
    """The lines of all `parts` in the order of their keys, of which no two have the same."""
    import numpy as np

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    counts = np.cumsum([0, *(len(part.paths) for part in parts)])
    files = [part.files + count for part, count in zip(parts, counts[:-1], strict=True)]
    whole = Lines(
        paths=tuple(path for part in parts for path in part.paths),
        keys=column("keys"),
        hashes=column("hashes"),
        faults=column("faults"),
        files=np.concatenate(files),
        starts=column("starts"),
        sizes=column("sizes"),
    )
    return whole.once(last=False)


def equal(one: Lines, other: Lines) -> bool:
    """Whether both are the same lines."""
    import numpy as np

    same = np.array_equal(one.keys, other.keys) and np.array_equal(one.sizes, other.sizes)
    return same and all(a == b for a, b in zip(one, other, strict=True))
