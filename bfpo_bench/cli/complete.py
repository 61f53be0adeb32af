"""What the shell completes after an option, from the names of files alone: nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_DEFENCES = ("none", "instruction", "exemplars", "self-check-input", "self-check-output")
_ENGINES = ("auto", "vllm", "transformers", "server", "ray", "null")


def engines(incomplete: str) -> list[str]:
    """Names that `--engine` takes."""
    return _beginning(_ENGINES, incomplete)


def suites(incomplete: str) -> list[str]:
    """Packaged suites, and YAML files here and in folders that the user has begun to name."""
    named = [f.stem for f in (_PACKAGE / "suite" / "suites").glob("*.yaml")]
    return _beginning([*named, "bfpo-demo", *_files(incomplete, ".yaml")], incomplete)


def tasks(incomplete: str) -> list[str]:
    """The task after the last comma. Tasks of a suite of the user's own are not known."""
    before, comma, _ = incomplete.rpartition(",")
    shipped, checkout = _PACKAGE / "_tasks", _PACKAGE.parent / "tasks"
    folder = shipped if shipped.is_dir() else checkout
    return _beginning((before + comma + f.stem for f in folder.rglob("bfpo_*.yaml")), incomplete)


def judges(incomplete: str) -> list[str]:
    """Packaged judges; those that need a model are to be followed by `=MODEL`."""
    return _beginning((f.parent.name for f in _judge_files()), incomplete)


def defences(incomplete: str) -> list[str]:
    """Names that `--defence` takes."""
    return _beginning(_DEFENCES, incomplete)


def recipes(incomplete: str) -> list[str]:
    """Shipped training recipes, and YAML files as for suites."""
    folder = _PACKAGE / "training" / "recipes"
    shipped = (f.relative_to(folder).with_suffix("").as_posix() for f in folder.rglob("*.yaml"))
    return _beginning([*shipped, *_files(incomplete, ".yaml")], incomplete)


def runs(incomplete: str) -> list[str]:
    """Run folders in `runs/` and in the folder that the user has begun to name; no shards of runs, which
    are merged first."""
    begun = incomplete.rpartition("/")[0]
    folders = {Path("runs"), Path(begun or ".")}
    found = (str(f.parent) for folder in folders for f in folder.glob("*/manifest.json"))
    return _beginning((name for name in found if ".shard-" not in name), incomplete)


def leaderboards(incomplete: str) -> list[str]:
    """CSV files in `leaderboards/` and in the folder that the user has begun to name."""
    shipped = (str(f) for f in Path("leaderboards").glob("*.csv"))
    return _beginning([*shipped, *_files(incomplete, ".csv")], incomplete)


def _judge_files() -> Iterator[Path]:
    return (_PACKAGE / "judges").glob("*/judge.yaml")


def _files(incomplete: str, suffix: str) -> Iterator[str]:
    """Files of that kind, and folders, in the folder that the user has begun to name."""
    begun, slash, _ = incomplete.rpartition("/")
    for path in Path(begun + slash or ".").glob("*"):
        if path.suffix == suffix:
            yield f"{begun}{slash}{path.name}"
        elif slash and path.is_dir():
            yield f"{begun}{slash}{path.name}/"


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """Those that begin so, each once. A name with a line break would be two to the shell."""
    return sorted({n for n in names if n.startswith(incomplete) and n.isprintable()})
