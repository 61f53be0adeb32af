"""Append-only JSON lines that survive being killed at any byte."""

from __future__ import annotations

import glob
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from bfpo_bench.errors import UserError, first_line

T = TypeVar("T")

_BUFFER = 1 << 20
_NEWLINE = ord("\n")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_CHECK = b'"crc":"%08x"}\n'
_CHECK_BYTES = len(_CHECK % 0)
_CHECK_KEY = b'"crc":"'


def repair(path: Path) -> int:
    """Cut a torn last line off the file; returns the number of bytes cut."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end, block = size, 1 << 16
        while end > 0:
            start = max(0, end - block)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
    return size - end


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The file's records in order; none where it does not exist. A torn last line is passed over.

    Raises UserError for a broken line that is not the last, and for one that is not as it was written,
    naming file and line.
    """
    for number, line in _lines(path):
        try:
            yield _record(line)
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, "is not a JSON record") from error


def read_as(path: Path, kind: type[T]) -> Iterator[T]:
    """The same records as `kind`, a msgspec Struct or a data class of the fields that are wanted.

    Other fields are not decoded, which is what makes it quick: a million lines in a second or two.
    Raises UserError also where a wanted field is missing or of another type.
    """
    return (found for found, _ in read_lines_as(path, kind))


def read_lines_as(path: Path, kind: type[T]) -> Iterator[tuple[T, bytes]]:
    """What `read_as` gives, each with the line that it is from."""
    decode = msgspec.json.Decoder(kind).decode
    for number, line in _lines(path):
        try:
            # msgspec does not look at the bytes of what it skips
            if not line.isascii():
                line.decode()
            found = decode(line)
        except (ValueError, RecursionError):
            found = _slowly(line, kind, path, number)
        yield found, line


def _slowly(line: bytes, kind: type[T], path: Path, number: int) -> T:
    """By way of Python's json, which knows what msgspec refuses: lone surrogates and NaN."""
    try:
        record = _record(line)
    except (ValueError, RecursionError) as error:
        raise _broken(path, number, "is not a JSON record") from error
    try:
        return msgspec.convert(record, kind)
    except msgspec.ValidationError as error:
        reason = first_line(error).replace("`", "")
        raise _broken(path, number, f"does not hold what it should ({reason})") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of the whole lines, from 1."""
    if not path.exists():
        return
    with path.open("rb", buffering=_BUFFER) as file:
        for number, line in enumerate(file, 1):
            if line[-1] != _NEWLINE:
                return
            told, check = line[:-_CHECK_BYTES], line[-_CHECK_BYTES:]
            if check.startswith(_CHECK_KEY) and check != _CHECK % zlib.crc32(told):
                raise _broken(path, number, "has been changed since it was written")
            yield number, line


def _record(line: bytes) -> dict[str, Any]:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("not a record")
    record.pop("crc", None)
    return record


def _broken(path: Path, number: int, reason: str) -> UserError:
    return UserError(
        f"{path}, line {number} {reason}: restore the file or delete that line (what it held will "
        "be done again)."
    )


class Appender:
    """Appends records, each line handed to the system at once: a killed process loses at most one.

    A line ends with a checksum of what stands before it, under the key `crc`.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        repair(path)
        self._path = path
        self._file = path.open("ab", buffering=0)

    def append(self, record: dict[str, Any]) -> None:
        # A lone surrogate becomes its JSON escape
        told = _encode(record).encode("utf-8", "backslashreplace")[:-1]
        told += b"," if record else b""
        self._write(told + _CHECK % zlib.crc32(told))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            # A write does not know the file's name, and whoever must free some space wants it
            error.filename = str(self._path)
            raise

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


DRAFTS = ".*.tmp"
"""Files that are being written, or were when their process was killed."""


def write_atomically(path: Path, text: str | bytes | Iterable[str | bytes]) -> None:
    """Replace `path` in one step: readers see the old content or the new, never half of it.

    `text` in one or in pieces, which are written as they come; a lone surrogate as its JSON escape.
    Bytes are written as they are.
    """
    pieces = (text,) if isinstance(text, str | bytes) else text
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            for piece in pieces:
                file.write(piece if isinstance(piece, bytes) else _utf8(piece))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def remove_drafts(path: Path) -> None:
    """Remove what killed processes left of writing `path`. Only who alone may write it may call this."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        draft.unlink(missing_ok=True)
