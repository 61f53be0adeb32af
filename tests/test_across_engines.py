"""One model, one command, four engines: the same answers, the same numbers, the same folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench import HEAD64, bench, killed
from commands import command
from judge_server import HANGS, Asked, JudgeServer, Sent
from near_ties import NEAR, gaps
from vllm_server import NAME, vllm_url

from bfpo_bench.engines.subject import load_tokenizer, resolve_subject
from bfpo_bench.runs.folder import RunFolder

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

LIMIT = 12
NEW_TOKENS = 48
TASKS = "bfpo_xstest_safe,bfpo_simple_safety_tests,bfpo_crows_pairs_english"
COMMAND = (
    *("run", "--model", HEAD64, "--tasks", TASKS, "--limit", str(LIMIT)),
    *("--max-new-tokens", str(NEW_TOKENS)),
)
GENERATED = 2 * LIMIT
ENGINES = ("transformers", "vllm", "server", "ray")


@pytest.fixture(scope="module")
def server(hub: str) -> str:
    """The URL of a real `vllm serve`."""
    return vllm_url()


def engine(name: str, server: str) -> tuple[str, ...]:
    """The options that choose it."""
    more = {
        "server": ("--server", server, "--engine-arg", f"served_model_name={NAME}"),
        "ray": ("--engine-arg", "workers=2"),
    }
    return ("--engine", name, *more.get(name, ()))


@pytest.fixture(scope="module")
def runs(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """The run on each engine, in a folder of its own."""
    found = {}
    for name in ENGINES:
        cwd = tmp_path_factory.mktemp(name)
        done = bench(*COMMAND, *engine(name, server), cwd=cwd)
        assert done.returncode == 0, done.stderr
        [folder] = (cwd / "runs").iterdir()
        found[name] = RunFolder(folder)
    return found


def answers(run: RunFolder) -> dict[Any, str]:
    return {r.key: r.response for r in run.responses()}


def likelihoods(run: RunFolder) -> dict[Any, tuple[float, bool]]:
    return {s.key: (s.logprob, s.greedy) for s in run.likelihoods()}


def files(run: RunFolder) -> set[str]:
    """Of a run, but for logs, and for the moments in names."""
    found = (p.relative_to(run.path) for p in run.path.rglob("*") if p.is_file())
    kept = (str(p) for p in found if p.parts[0] != "logs" and not p.name.startswith("."))
    return {re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "MOMENT", name) for name in kept}


@pytest.mark.parametrize("name", ENGINES[1:])
def test_an_engine_says_what_transformers_says(runs: dict[str, RunFolder], name: str) -> None:
    """Greedy responses are equal in their first 16 tokens in at least 9 of 10; wherever two part, two
    tokens are nearly as likely, and another order of sums chose the other. Log-probabilities agree to
    1e-3."""
    tokenizer = load_tokenizer(resolve_subject(HEAD64).base.materialise())
    mine, reference = answers(runs[name]), answers(runs["transformers"])
    assert mine.keys() == reference.keys()
    assert len(mine) == GENERATED
    equal = [
        tokenizer.encode(mine[key])[:16] == tokenizer.encode(reference[key])[:16] for key in mine
    ]
    assert sum(equal) >= 0.9 * len(equal)
    responses, others = ({r.key: r for r in runs[e].responses()} for e in (name, "transformers"))
    parted = gaps(HEAD64, responses, others)
    assert all(gap < NEAR for gap in parted.values()), parted
    scored, known = likelihoods(runs[name]), likelihoods(runs["transformers"])
    assert scored.keys() == known.keys()
    assert scored
    for key, (logprob, greedy) in scored.items():
        assert logprob == pytest.approx(known[key][0], abs=1e-3)
        assert greedy == known[key][1]


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_leaves_the_same_run(runs: dict[str, RunFolder], name: str) -> None:
    """The same run id, files, settings and comparability key, and every request answered once."""
    run, reference = runs[name], runs["transformers"]
    assert run.path.name == reference.path.name
    assert files(run) == files(reference)
    mine, other = run.manifest(), reference.manifest()
    assert mine is not None
    assert other is not None
    assert (mine.settings, mine.model) == (other.settings, other.model)
    assert mine.comparability_key == other.comparability_key
    assert {r.engine for r in run.responses()} == {name}
    lines = run.responses_file.read_bytes().splitlines()
    assert len(lines) == GENERATED


class Relay:
    """Hands on to the server, and falls silent after so many answers."""

    def __init__(self, server: str, answers: int) -> None:
        self.server, self.left = server.removesuffix("/v1"), answers

    def __call__(self, asked: Asked) -> Sent:
        if asked.body.get("max_tokens") == NEW_TOKENS:
            if not self.left:
                return HANGS
            self.left -= 1
        method = "POST" if asked.body else "GET"
        found = httpx.request(method, self.server + asked.path, json=asked.body or None, timeout=60)
        return Sent(found.status_code, found.content)


def test_a_run_begun_on_one_engine_is_finished_on_another(
    runs: dict[str, RunFolder], server: str, tmp_path: Path
) -> None:
    """Begun on transformers and killed, gone on with on the server and killed, finished on Ray."""
    one_by_one = ("--engine", "transformers", "--engine-arg", "batch_size=1")
    begun = killed(*COMMAND, *one_by_one, cwd=tmp_path, responses=3).count(b"\n")
    with JudgeServer(Relay(server, 6)) as stalling:
        slowly = (*engine("server", stalling.url), "--engine-arg", "concurrency=1")
        killed(*COMMAND, *slowly, cwd=tmp_path, responses=begun + 6)
    done = bench(*COMMAND, *engine("ray", server), cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    [folder] = (tmp_path / "runs").iterdir()
    run = RunFolder(folder)
    assert folder.name == runs["transformers"].path.name
    assert files(run) == files(runs["transformers"])
    keys = [json.loads(line) for line in run.responses_file.read_text().splitlines()]
    assert max(Counter((k["task"], k["doc_id"]) for k in keys).values()) == 1
    assert len(keys) == GENERATED
    assert {k["engine"] for k in keys} == {"transformers", "server", "ray"}
    mine, other = run.manifest(), runs["ray"].manifest()
    assert mine is not None
    assert other is not None
    assert mine.comparability_key == other.comparability_key
    assert [s["engine"] for s in mine.sessions] == ["transformers", "server", "ray"]


def test_from_serve_check_to_a_row(server: str, tmp_path: Path) -> None:
    """Everything that vLLM can do is found, and the run that follows asks it by token ids."""
    found = json.loads(command("serve-check", server, "--json", cwd=tmp_path).out)
    assert found["software"].startswith("vllm 0.")
    abilities = ("token_prompts", "token_ids", "stop_token_ids", "prompt_logprobs", "echo_logprobs")
    assert all(found[ability] for ability in abilities)
    # No chat template: vLLM refuses messages then
    assert not found["chat"]
    tasks = ("--tasks", "bfpo_xstest_safe,bfpo_winogrande", "--limit", "2", "--max-new-tokens", "8")
    done = command("run", "--model", HEAD64, *engine("server", server), *tasks, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "log-likelihoods through prompt_logprobs; tokenizer compared through /tokenize" in (
        done.err
    )
    assert HEAD64.split("/")[1] in (tmp_path / "leaderboards" / "bfpo.csv").read_text()
