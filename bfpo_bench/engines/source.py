"""Where a model's files lie: a folder, or a repository of the hub at a commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.hub import HubRevision, fetch_file, fetch_snapshot, guarded, is_unreachable, resolve
from bfpo_bench.names import existing, is_utf8, shortened
from bfpo_bench.nearest import nearest

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
"""safetensors, then what PyTorch pickles: the first that a model has is what is loaded."""
TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
TEMPLATE = "chat_template.jinja"
ROUTED = "midpo.json"
"""In a folder whose model is a router over LoRA experts; see `engines/routed/folder.py`."""
ROUTED_FILES = (
    "router.safetensors",
    *(
        f"{r}/adapter_{f}"
        for r in ("safety", "helpfulness")
        for f in ("config.json", "model.safetensors")
    ),
)
"""What decides how such a model answers, besides its base."""
_SMALL = (".json", ".jinja", ".model", ".txt", ".md", ".py")
"""What is fetched besides weights. Code is run only for a model that the user trusts (`trust.py`)."""
_NOT_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")


@dataclass(frozen=True)
class Source:
    """One repository or folder. `files` are its file names; `commit` is the hub's, or None."""

    name: str
    folder: Path | None
    hub: HubRevision | None
    files: tuple[str, ...]

    @property
    def commit(self) -> str | None:
        return self.hub.sha if self.hub else None

    def has(self, *names: str) -> bool:
        return any(n in self.files for n in names)

    def file(self, name: str) -> Path:
        if self.folder is not None:
            return self.folder / name
        assert self.hub is not None
        hub = self.hub
        return guarded(lambda: fetch_file(hub, name), hub.repo, "model")

    def json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self.file(name).read_text())
        except ValueError as error:
            raise UserError(f"{self.name}: {name} is not valid JSON: mend the file.") from error
        if not isinstance(found, dict):
            raise UserError(f"{self.name}: {name} holds no JSON object: mend the file.")
        return found

    def weight_files(self) -> list[str]:
        """safetensors where there are any, else PyTorch's own format; an adapter's are called so."""
        if self.has(ROUTED):
            return [f for f in ROUTED_FILES if f.endswith(WEIGHTS[0]) and self.has(f)]
        begins = "adapter_model" if self.has("adapter_config.json") else ""
        for suffix in WEIGHTS:
            found = [f for f in self.files if f.endswith(suffix) and "/" not in f]
            if found := [
                f for f in found if f.startswith(begins) and not f.startswith(_NOT_WEIGHTS)
            ]:
                return found
        return []

    def weight_bytes(self) -> int | None:
        """The sizes of the weight files, here or as the hub tells them; None where neither knows."""
        names = self.weight_files()
        # Mistral's own form of the same weights, beside which no engine loads both
        names = [n for n in names if not n.startswith("consolidated")] or names
        if self.folder is not None:
            return sum((self.folder / name).stat().st_size for name in names)
        assert self.hub is not None
        sizes = _file_sizes(self.hub, names)
        return sum(sizes) if sizes is not None else None

    @property
    def pickled(self) -> bool:
        """Whether there are no weights but those that PyTorch pickled."""
        return any(not f.endswith(WEIGHTS[0]) for f in self.weight_files())

    def code_files(self) -> list[str]:
        return [f for f in self.files if f.endswith(".py")]

    def materialise(self, *, weights: bool = True) -> Path:
        """All files that an engine needs, on this disk; downloads show their progress. Without
        `weights`, what only configures it and its tokenizer."""
        if self.folder is not None:
            return self.folder
        assert self.hub is not None
        from huggingface_hub import try_to_load_from_cache

        hub = self.hub
        small = [f for f in self.files if f.endswith(_SMALL)]
        wanted = sorted({*(self.weight_files() if weights else ()), *small})
        cached = [try_to_load_from_cache(hub.repo, f, revision=hub.sha) for f in wanted]
        if all(isinstance(c, str) for c in cached):
            return Path(str(cached[0])).parents[len(Path(wanted[0]).parts) - 1]
        return fetch_snapshot(hub, wanted)


def _file_sizes(at: HubRevision, names: Sequence[str]) -> list[int] | None:
    """Bytes of each, from the cache where all lie there, else as the hub tells them; None where it does
    not or is out of reach."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    kept = [try_to_load_from_cache(at.repo, n, revision=at.sha, repo_type="model") for n in names]
    if all(isinstance(path, str) for path in kept):
        return [Path(str(path)).stat().st_size for path in kept]
    try:
        told = HfApi().get_paths_info(at.repo, list(names), repo_type="model", revision=at.sha)
    except Exception as error:
        if is_unreachable(error):
            return None
        raise
    sizes = {entry.path: getattr(entry, "size", None) for entry in told}
    found = [sizes.get(name) for name in names]
    return None if None in found else [size for size in found if size is not None]


def open_source(given: str) -> Source:
    """The folder or hub repository `ID[@REVISION]_OR_PATH`. Raises UserError where there is none."""
    path = existing(given)
    if path is not None and path.is_dir():
        files = tuple(
            str(p.relative_to(path))
            for p in sorted(path.rglob("*"))
            if p.is_file() and not _hidden(p, path)
        )
        folder = path.resolve()
        name = folder.name
        if name.startswith("checkpoint-"):
            name = f"{folder.parent.name}/{name}"
        if not is_utf8(name):
            raise UserError(f"The model folder's name {name!a} is not UTF-8: rename it.")
        return Source(name, folder, None, files)
    if given.startswith(("/", "./", "../", "~")) or given.count("/") > 1 or path is not None:
        raise UserError(
            f"There is no model folder {shortened(given)}{_nearest(Path(given))}: "
            "give a folder with config.json, weights and tokenizer, or a hub id."
        )
    repo, _, revision = given.partition("@")
    at = resolve(repo, "model", revision or None)
    return Source(repo, None, at, at.files)


def _nearest(path: Path) -> str:
    """The names beside it that it may be meant for."""
    beside = existing(str(path.parent))
    return nearest(path.name, [p.name for p in beside.iterdir()] if beside else [])


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def chat_template(source: Source) -> str | None:
    """The tokenizer's chat template: its own file, or the `chat_template` key of the configuration."""
    if source.has(TEMPLATE):
        return source.file(TEMPLATE).read_text()
    template = tokenizer_config(source).get("chat_template")
    return json.dumps(template) if isinstance(template, list | dict) else template


def tokenizer_config(source: Source) -> dict[str, Any]:
    """tokenizer_config.json; empty where there is none."""
    name = "tokenizer_config.json"
    return source.json(name) if source.has(name) else {}
