"""What a report's data scripts hold, read as the page reads them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_SCRIPT = re.compile(r'bfpoResponses\.receive\("([a-z0-9-]+)","([A-Za-z0-9+/=]*)"\);\n')


def unpacked(script: str) -> tuple[str, bytes]:
    """(name, content); the script is that one call, and nothing else."""
    found = _SCRIPT.fullmatch(script)
    assert found is not None
    return found[1], gzip.decompress(base64.b64decode(found[2]))


def read_index(out: Path, manifest: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Column -> its values."""
    name, content = unpacked((out / "data" / "index.js").read_text())
    assert name == "index"
    found = {}
    for column in manifest["columns"]:
        kind = np.dtype(column["type"].removesuffix("Array").lower()).newbyteorder("<")
        assert column["offset"] % 8 == 0
        found[column["name"]] = np.frombuffer(
            content, kind, column["length"], column["offset"]
        ).tolist()
    return found


def read_texts(out: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All documents, in order."""
    found = []
    for number in range(manifest["chunks"]):
        name, content = unpacked((out / "data" / f"chunk-{number:05}.js").read_text())
        assert name == f"chunk-{number:05}"
        found += json.loads(content)
    return found
