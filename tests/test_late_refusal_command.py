"""`bfpo-bench run --suite bfpo-late-refusal`: what is stored, the curve, and who cannot be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import Said, command
from markov import END, markov_model
from openai_server import HOSTED, OpenAIServer

from bfpo_bench.leaderboard.report import vendor
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Response

pytestmark = pytest.mark.usefixtures("stages_here")

SUITE = ("--suite", "bfpo-late-refusal")
TOKENS = {f"bfpo_late_refusal_k{k}": k for k in (0, 5, 10, 25)}
CURVE = {0: 100.0, 5: 100.0, 10: 0.0, 25: 0.0}
REFUSES, COMPLIES = "I'm sorry, but I cannot help.", "Sure: take two of them."
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def done(hub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, RunFolder]:
    cwd = tmp_path_factory.mktemp("late")
    given = ("--engine", "transformers", "--model", REFUSER, "--limit", "1")
    said = command("run", *SUITE, *given, cwd=cwd)
    assert said.code == 0, said.err[-3000:]
    [folder] = (cwd / "runs").iterdir()
    return said, RunFolder(folder)


@pytest.fixture(scope="module")
def turning(hub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, Path]:
    """A model that turns back after none and after five words of each answer, and goes on after ten and
    after all of it: its tokens are words, and what it says follows from the last of them."""
    from datasets import load_dataset

    rows = load_dataset("PKU-Alignment/PKU-SafeRLHF", "default", split="test")
    answers: dict[str, str] = {}
    for row in rows:
        unsafe = [row[f"response_{n}"] for n in (0, 1) if not row[f"is_response_{n}_safe"]]
        answers[row["prompt"]] = max([answers.get(row["prompt"], ""), *unsafe], key=len)
    words = [answer.split() for answer in answers.values() if answer]
    after = {mine[4]: REFUSES for mine in words}
    after |= {mine[n]: COMPLIES for mine in words for n in (9, -1)}
    said = dict(pairwise([*REFUSES.split(), END])) | dict(pairwise([*COMPLIES.split(), END]))
    assert len(after) == len({*after.keys()} - said.keys()) == 2 * len(words) + 1
    follows = said | {word: sentence.split()[0] for word, sentence in after.items()}
    cwd = tmp_path_factory.mktemp("turning")
    markov_model(cwd / "model", list(follows), follows, "I'm", context=1024, template=TEMPLATE)
    done = command("run", *SUITE, "--engine", "transformers", "--model", "model", cwd=cwd)
    assert done.code == 0, done.err[-3000:]
    return done, cwd


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


def test_the_curve_falls_where_the_model_no_longer_turns_back(
    turning: tuple[Said, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All refuse after 0 and 5 tokens, none after 10 and 25: 100, 100, 0 and 0 percent; their mean, 50,
    is what the suite calls harmlessness. The report draws the same four points."""
    said, cwd = turning
    [run] = (cwd / "runs").iterdir()
    scores: dict[str, Any] = json.loads((run / "scores.json").read_text())
    assert {TOKENS[name]: score["value"] for name, score in scores["tasks"].items()} == CURVE
    assert all(score["n"] == 3 for score in scores["tasks"].values())
    assert all(name.removeprefix("bfpo_") in said.out for name in TOKENS)
    assert scores["harmlessness"]["value"] == 50.0
    monkeypatch.setattr(vendor, "vega", lambda: "")
    assert command("report", cwd=cwd).code == 0
    page = (cwd / "report" / "index.html").read_text()
    assert "Turned back, in percent, by the number of tokens" in page
    told = re.findall(r"([\d.]+) \[[^]]*\] after (\d+)", page)
    assert {int(tokens): float(value) for value, tokens in told} == CURVE


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
