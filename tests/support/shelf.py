"""A second stand-in for the hub, with two small data sets whose contents a test may change."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from bfpo_bench.suite.tasks import TaskSpec, load_tasks

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
TEXTS = ("Bake bread.", "Plant a tree.", "Mend a shirt.")
SUITE = """
name: shelf
version: 1
title: Two data sets of three rows
tasks: [bfpo_*]
include_path: tasks
"""
TASK = """
task: {name}
dataset_path: {path}
dataset_kwargs: {kwargs}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: ""
generation_kwargs: {{until: []}}
metric_list: [{{metric: bypass, aggregation: bypass}}]
metadata:
  version: 1.0
  cell: helpfulness/generative
  family: x
  title: x
  licence: none
  source: none
  hub_id: {hub_id}
  split: test
  documents: 3
  prompt_tokens: 5
  prompts: benign
  judged_by: [refusal]
  columns: [prompt]
"""


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


class Shelf:
    """The data sets org/whole, read as a repository, and org/files, of which one file is read; a
    suite of one task each; and a log of what the hub was asked."""

    def __init__(self, folder: Path) -> None:
        self.root, self.log = folder / "root", folder / "log"
        self.suite = folder / "suite.yaml"
        self.suite.write_text(SUITE)
        (folder / "tasks").mkdir()
        self.put("whole", lines(*({"prompt": t} for t in TEXTS)))
        self.put("files", lines(*({"prompt": t} for t in TEXTS)))
        self.add("bfpo_whole", "org/whole", "{}", "org/whole")
        kwargs = '{data_files: {test: "hf://datasets/org/files@main/data/test.jsonl"}}'
        self.add("bfpo_files", "json", kwargs, "org/files")

    def put(self, name: str, content: bytes) -> None:
        """Make this org/NAME's one file; its commit follows from it."""
        data = self.root / "datasets" / "org" / name / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "test.jsonl").write_bytes(content)

    def add(self, name: str, path: str, kwargs: str, hub_id: str) -> None:
        text = TASK.format(name=name, path=path, kwargs=kwargs, hub_id=hub_id)
        (self.suite.parent / "tasks" / f"{name}.yaml").write_text(text)

    def gate(self, name: str) -> None:
        (self.root / "datasets" / "org" / name / ".gated").write_text("word\n")

    @property
    def tasks(self) -> Sequence[TaskSpec]:
        return list(load_tasks(self.suite.parent / "tasks").values())

    def asked(self) -> list[str]:
        """The requests so far, as `METHOD path -> status`."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def downloads(self) -> int:
        return sum(line.startswith("GET") and "/resolve/" in line for line in self.asked())


@contextmanager
def on_shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A shelf in `folder` as this process's hub, with a hub cache of its own."""
    made = Shelf(folder)
    start = runpy.run_path(str(SHARED / "hub" / "serve.py"))["start"]
    server, url = start(made.root, log=str(made.log))
    use_hub(url, folder / "cache", monkeypatch)
    yield made
    server.shutdown()


def use_hub(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `url` this process's hub, with a hub cache of its own."""
    address = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
