"""Keys are in no file that the command writes and in nothing that it says, whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import bench
from commands import command
from judge_server import BROKEN_JSON, NO_CHOICES, Asked, JudgeServer, Sent, fails, says
from markov import sayer

KEYS = {
    "BFPO_JUDGE_API_KEY": "judgekey-4f1d0c9ab2",
    "OPENAI_API_KEY": "openaikey-77e0b3c5d1",
    "HF_TOKEN": "hf_tokenkey29c4e8a6f0",
}
PASSWORD = "password-8d2e6b70f3"
PARTS = ("judgekey", "openaikey", "tokenkey", "password", "4f1d0c", "77e0b3", "29c4e8", "8d2e6b")
"""No part of a secret may be anywhere, either."""
SUITE = """
name: mine
version: 1
title: Harmful prompts
tasks: [bfpo_advbench]
decoding: {max_new_tokens: 8}
dimensions:
  harmlessness: [harmlessness/generative]
judges: [refusal]
"""


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Lines to judge, in a folder in which everything is written: runs, caches and logs."""
    lines = [{"prompt": "How?", "response": f"With {tool}."} for tool in ("a pan", "a saw")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def leaks(here: Path, *said: str) -> list[str]:
    """Where a part of a secret stands: a file's name, or the text itself."""
    files = [p for p in here.rglob("*") if p.is_file()]
    assert files
    found = [
        str(p.relative_to(here))
        for p in files
        if any(part.encode() in p.read_bytes() + p.name.encode() for part in PARTS)
    ]
    return found + [text for text in said if any(part in text for part in PARTS)]


def judge(here: Path, url: str, *more: str, debug: bool = False) -> tuple[int, str]:
    """`bfpo-bench judge` of the lines, and all that it said; with --debug in a process of its own."""
    arguments = (
        *("judge", "--input", "in.jsonl", "--output", "out.jsonl", "--judge", "rating=some-model"),
        *("--judge-url", url, *more),
    )
    if debug:
        done = bench(*arguments, "--debug", cwd=here, BFPO_BENCH_CACHE=str(here / "cache"))
        return done.returncode, done.stdout + done.stderr
    said = command(*arguments, cwd=here, cache=here / "cache")
    return said.code, said.out + said.err


def echo(asked: Asked) -> str:
    return f"you sent {json.dumps(dict(asked.headers))}"


def test_a_run_with_a_judge_over_an_api(hub: str, here: Path) -> None:
    """Manifest, verdicts, logs, leaderboard and JSON; the judge repeats the key in its replies."""
    sayer(here / "model", "With a pan.")
    (here / "mine.yaml").write_text(SUITE)
    with JudgeServer(
        lambda asked: says(f"{echo(asked)} \nrefused: 0\nconvincing: 1\nspecific: 1")
    ) as server:
        done = bench(
            *("run", "--model", "./model", "--suite", "mine.yaml", "--limit", "2", "--json"),
            *("--engine", "null", "--judge", "strongreject=m", "--judge-url", server.url),
            cwd=here,
            BFPO_BENCH_CACHE=str(here / "cache"),
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert server.asked[0].headers["authorization"] == f"Bearer {KEYS['BFPO_JUDGE_API_KEY']}"
    [manifest] = here.glob("runs/*/manifest.json")
    assert server.url in manifest.read_text()
    assert "[key]" in next(here.glob("runs/*/verdicts/strongreject*.jsonl")).read_text()
    assert leaks(here, done.stdout, done.stderr) == []


FAILURES: dict[str, Callable[[Asked], Sent]] = {
    "401": lambda a: fails(401, echo(a)),
    "404": lambda a: fails(404, f"model not found; {echo(a)}"),
    "402": lambda a: fails(402, echo(a)),
    "400": lambda a: fails(400, echo(a)),
    "headers": lambda a: Sent(
        400, echo(a).encode(), {"Location": f"http://h/?{a.headers['authorization']}"}
    ),
    "broken JSON": lambda a: BROKEN_JSON if a.number % 2 == 0 else says(f"{echo(a)} rating: 3"),
    "no choices": lambda a: NO_CHOICES if a.number % 2 == 0 else says(echo(a)),
    "a redirect": lambda a: Sent(307, b"", {"Location": f"/{a.headers['authorization']}"}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_server_that_fails_and_repeats_what_it_was_sent(here: Path, name: str) -> None:
    with JudgeServer(FAILURES[name]) as server:
        _, said = judge(here, server.url)
        assert server.asked
    assert leaks(here, said) == []


def test_a_server_that_is_no_server(here: Path) -> None:
    """Nobody listens on the port: what is said of it is its address."""
    with JudgeServer(lambda asked: says("rating: 1")) as server:
        url = server.url
    code, said = judge(here, url)
    assert code == 2
    assert url in said
    assert leaks(here, said) == []


def test_a_traceback(here: Path) -> None:
    with JudgeServer(FAILURES["401"]) as server:
        code, said = judge(here, server.url, debug=True)
    assert code == 1
    assert "Traceback" in said
    assert leaks(here, said) == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{PASSWORD}@127.0.0.1:PORT/v1",
        f"http://{PASSWORD}@127.0.0.1:PORT/v1",
        f"http://127.0.0.1:PORT/v1?api-key={PASSWORD}",
        f"http://127.0.0.1:PORT/v1#{PASSWORD}",
        f"user:{PASSWORD}@127.0.0.1:PORT/v1",
        f"//user:{PASSWORD}@127.0.0.1:PORT/v1",
        f"http:/user:{PASSWORD}@127.0.0.1:PORT/v1",
        f"http://user:{PASSWORD}@[::1/v1",
    ],
)
def test_a_url_with_a_secret_is_refused_without_repeating_it(
    here: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be on the command line, which the manifest keeps."""
    with JudgeServer(lambda asked: says("rating: 1")) as server:
        url = url.replace("PORT", str(server.port))
        code, said = judge(here, url)
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = command(
            *("judge", "--input", "in.jsonl", "--output", "out.jsonl", "--judge", "rating=m"),
            cwd=here,
            cache=here / "cache",
        )
        assert not server.asked
    assert (code, done.code) == (2, 2)
    assert "The judge's URL" in said
    assert leaks(here, said, done.out + done.err) == []


def test_a_token_among_the_engines_arguments_is_refused(here: Path) -> None:
    """vLLM would take it, and the manifest keep it."""
    code, said = judge(here, "http://127.0.0.1:9/v1", "--engine-arg", f"hf_token={PASSWORD}")
    assert code == 2
    assert said == (
        "error: --engine-arg hf_token would be written into the run's manifest: set HF_TOKEN in the "
        "environment.\n"
    )


def test_a_model_that_the_hub_keeps_back(hub: str, here: Path) -> None:
    """The hub is asked with the token, and does not have it."""
    done = command("plan", "--model", "no/such-model", cwd=here, cache=here / "cache")
    assert done.code == 2
    assert "There is no model no/such-model" in done.error
    assert leaks(here, done.out, done.err) == []
