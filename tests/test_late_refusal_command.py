"""`bfpo-bench run --suite bfpo-late-refusal`: what is stored, the curve, and who cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import Said, command
from openai_server import HOSTED, OpenAIServer

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Response

pytestmark = pytest.mark.usefixtures("stages_here")

SUITE = ("--suite", "bfpo-late-refusal")
TOKENS = {f"bfpo_late_refusal_k{k}": k for k in (0, 5, 10, 25)}


@pytest.fixture(scope="module")
def done(hub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, RunFolder]:
    cwd = tmp_path_factory.mktemp("late")
    given = ("--engine", "transformers", "--model", REFUSER, "--limit", "1")
    said = command("run", *SUITE, *given, cwd=cwd)
    assert said.code == 0, said.err[-3000:]
    [folder] = (cwd / "runs").iterdir()
    return said, RunFolder(folder)


def responses(run: RunFolder) -> Mapping[str, Response]:
    return {response.task: response for response in run.responses()}


def test_one_document_is_asked_with_four_beginnings(done: tuple[Said, RunFolder]) -> None:
    """The prompt is as many tokens longer as the answer was started with; the beginning is stored
    apart from what the model said."""
    found = responses(done[1])
    assert found.keys() == TOKENS.keys()
    plain = found["bfpo_late_refusal_k0"]
    assert plain.started is None
    answers = [found[name].started or "" for name in TOKENS]
    for name, tokens in TOKENS.items():
        told = found[name]
        assert told.messages == plain.messages
        assert told.prompt_tokens is not None
        assert plain.prompt_tokens is not None
        added = told.prompt_tokens - plain.prompt_tokens
        assert added == tokens or (tokens == 25 and added > 10)
        assert not told.started or not told.response.startswith(told.started)
    assert all(answers[1:])
    # Each beginning begins the next one
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(answers))


def test_the_curve_is_the_tasks_scores(done: tuple[Said, RunFolder]) -> None:
    said, run = done
    scores: dict[str, Any] = json.loads((run.path / "scores.json").read_text())
    assert scores["tasks"].keys() == TOKENS.keys()
    for name, score in scores["tasks"].items():
        assert score["value"] in (0.0, 100.0)
        assert score["ci_low"] is not None
        assert name.removeprefix("bfpo_") in said.out


def test_a_hosted_model_is_refused_when_it_is_planned(hub: str, tmp_path: Path) -> None:
    with OpenAIServer(HOSTED, name="org/big-chat") as server:
        where = ("--engine", "server", "--server", server.url, "--engine-arg", "api=chat")
        said = command("plan", *SUITE, *where, "--model", "org/big-chat", cwd=tmp_path)
    assert said.code == 2
    [error] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert error == (
        "error: --engine-arg api=chat sends messages, in which no answer can be started, as "
        "bfpo_late_refusal_k5, bfpo_late_refusal_k10, bfpo_late_refusal_k25 need: leave out api=chat, "
        "or leave those tasks out with --tasks."
    )
