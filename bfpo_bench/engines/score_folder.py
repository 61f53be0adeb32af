"""Beaver's checkpoints as vLLM reads them: the same weights, with the names of a plain classifier."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bfpo_bench.cache import default_cache
from bfpo_bench.engines.source import open_source

_BODY, _HEAD = "model.", "score_head."


def classifier_folder(folder: Path) -> Path:
    """A folder that says what Beaver's `folder` says as a LlamaForSequenceClassification.

    It lies in the cache and is made once. Files of the body alone are links; the one file with the
    head is written again, since vLLM refuses tensors of names that it does not know.
    """
    source = open_source(str(folder))
    weights = [folder / name for name in source.weight_files()]
    told = "".join(f"{p.resolve()}|{p.stat().st_size}|{p.stat().st_mtime_ns}\n" for p in weights)
    made = default_cache() / "score-heads" / hashlib.sha256(told.encode()).hexdigest()[:16]
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=made.parent))
    try:
        for path in weights:
            _convert(path, part / path.name)
        for path in folder.iterdir():
            if path.is_file() and path.suffix in (".json", ".jinja", ".model"):
                _copy_small(path, part)
        part.rename(made)
    except OSError:
        # Another process may have been quicker with the same
        if not made.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return made


def _copy_small(path: Path, to: Path) -> None:
    if path.name.endswith(".index.json"):
        return
    if path.name != "config.json":
        shutil.copyfile(path, to / path.name)
        return
    config: dict[str, Any] = json.loads(path.read_text())
    labels = {str(i): f"LABEL_{i}" for i in range(int(config.get("score_dim", 1)))}
    config |= {"architectures": ["LlamaForSequenceClassification"], "id2label": labels}
    config["label2id"] = {label: int(i) for i, label in labels.items()}
    (to / path.name).write_text(json.dumps(config))


def _convert(path: Path, to: Path) -> None:
    """The weights file with the head under its new name; a link where it holds the body alone."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open
        from safetensors.torch import load_file, save_file

        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        if all(name.startswith(_BODY) for name in names):
            to.symlink_to(path.resolve())
        else:
            save_file(_renamed(load_file(path)), to, metadata={"format": "pt"})
        return
    import torch

    tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if all(name.startswith(_BODY) for name in tensors):
        to.symlink_to(path.resolve())
    else:
        torch.save(_renamed(tensors), to)


def _renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    """Body and head; what is left belongs to the normalisation, which is not used."""
    head = {
        f"score.{name.removeprefix(_HEAD)}": tensor
        for name, tensor in tensors.items()
        if name.startswith(_HEAD)
    }
    return {n: t for n, t in tensors.items() if n.startswith(_BODY)} | head
