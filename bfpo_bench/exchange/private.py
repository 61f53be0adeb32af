"""What a run knows of the machine that it ran on, taken out before anything of it is passed on."""

from __future__ import annotations

import re
from typing import Any

_SNAPSHOT = re.compile(
    r"\S*?/(dataset|model)s--([^/\s]+?)--([^/\s]+)/snapshots/([0-9a-f]+)(?:/(\S+))?"
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}"
    r"|github_pat_\w{16,}|glpat-[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,}|xox[abps]-[A-Za-z0-9-]{10,}"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,})"
)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_SERVER = re.compile(
    r"(?:(?<=http://)|(?<=https://))(?:[\w.-]+:\d+|\[[0-9A-Fa-f:.]+\](?::\d+)?|\d+(?:\.\d+){3}|[\w-]+(?![\w.-])"
    r"|[\w.-]+\.(?:corp|home|internal|intranet|lan|local)(?![\w.-]))"
)
"""A server that only some can reach: one with a port, an address, a name without a domain."""
_FILE = re.compile(r"\bfile://(?=/)")
_DRIVE = re.compile(r"(?<!\w)[A-Za-z]:\\(?:[^\\/\s\"'<>|:*?]+\\)+")
_PATH = re.compile(r"(?<![\w/.])(?:~[\w.-]*|\.\.|/[\w.@+-]+)(?:/(?:[\w.@+-]+(?: +[\w.@+-]+)*))+/?")
_HOMES = ("/home", "/Users")


def without_places(text: str) -> str:
    """The text without folders, tokens, logins and private servers: of a path its last name is left.

    Of a relative path only one that begins with `..` is taken for a path. A file in the hub's cache is named as the hub knows it, `hf://datasets/ORG/NAME@COMMIT/FILE`, and
    a whole snapshot by its id.
    """
    text = _SNAPSHOT.sub(_on_the_hub, text)
    text = _TOKEN.sub("[removed]", _LOGIN.sub("", text))
    text = _DRIVE.sub("", _FILE.sub("", text))
    return _SERVER.sub("[server]", _PATH.sub(_last_name, text))


def without_places_in(value: Any) -> Any:
    """The same for every text in a JSON-like value, keys of mappings included."""
    if isinstance(value, str):
        return without_places(value)
    if isinstance(value, dict):
        return {without_places_in(k): without_places_in(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_places_in(v) for v in value]
    return value


def _last_name(found: re.Match[str]) -> str:
    folder, _, name = found[0].rstrip("/").rpartition("/")
    # Who a home folder belongs to is its name
    return "~" if folder in _HOMES else name


def _on_the_hub(found: re.Match[str]) -> str:
    kind, org, name, commit, file = found.groups()
    if file is None:
        return f"{org}/{name}"
    return f"hf://{'datasets/' if kind == 'dataset' else ''}{org}/{name}@{commit}/{file}"
