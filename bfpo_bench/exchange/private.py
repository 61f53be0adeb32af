"""What a run knows of the machine that it ran on, taken out before anything of it is passed on."""

from __future__ import annotations

import re
from typing import Any

_SNAPSHOT = re.compile(
    r"\S*?/(dataset|model)s--([^/\s]+?)--([^/\s]+)/snapshots/([0-9a-f]+)(?:/(\S+))?"
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,})"
)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_PATH = re.compile(r"(?<![\w:/.<>])(?:~|/[\w.@+-]+)(?:/[\w.@+ -]*[\w.@+-])+/?")


def without_places(text: str) -> str:
    """The text without folders, tokens and logins: of a path its last name is left.

    A file in the hub's cache is named as the hub knows it, `hf://datasets/ORG/NAME@COMMIT/FILE`, and
    a whole snapshot by its id.
    """
    text = _SNAPSHOT.sub(_on_the_hub, text)
    text = _TOKEN.sub("[removed]", _LOGIN.sub("", text))
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)


def without_places_in(value: Any) -> Any:
    """The same for every text in a JSON-like value, keys of mappings included."""
    if isinstance(value, str):
        return without_places(value)
    if isinstance(value, dict):
        return {without_places_in(k): without_places_in(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_places_in(v) for v in value]
    return value


def _on_the_hub(found: re.Match[str]) -> str:
    kind, org, name, commit, file = found.groups()
    if file is None:
        return f"{org}/{name}"
    return f"hf://{'datasets/' if kind == 'dataset' else ''}{org}/{name}@{commit}/{file}"
