"""A real vLLM server on 127.0.0.1 whose model babbles: log-probabilities come, verdicts do not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from api_judging import QUICK, judged, work
from serving import need_vllm

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.errors import UserError
from bfpo_bench.judges.item import Item

ITEMS = [
    Item(f"Name {n} animals.", f"Here are {n}: {'a cat, ' * n}", baseline=f"Cats, {n} of them.")
    for n in range(1, 13)
]


@pytest.fixture(scope="module")
def url(hub: str) -> Iterator[str]:
    """Where `rambler-9M` is served as `rambler`."""
    need_vllm()
    folder = resolve_subject("fixtures/rambler-9M").base.materialise()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "rambler", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "16"]
    changes = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
    # Compiling the function that ranks log-probabilities takes half a minute
    changes["TORCHDYNAMO_DISABLE"] = "1"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, **changes},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _up(server, f"http://127.0.0.1:{port}/health"):
                log.seek(0)
                pytest.fail(log.read()[-3000:].decode(errors="replace"))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _up(server: subprocess.Popen[bytes], health: str, seconds: float = 400) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    return False


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("judge", ["pairwise", "pairwise_both"])
def test_babble_is_no_preference_though_log_probabilities_come(url: str, judge: str) -> None:
    """The name M is among the five likeliest first words now and then, at a few percent: the start
    of some word, and not a choice."""
    found, description = judged(work(f"{judge}=rambler", url), ITEMS)
    assert description["read_from_text"] == 0
    assert description["usage"]["estimated"] == 0
    assert {f.label for f in found} == {"unjudged"}
    assert all("neither answer" in (f.error or "") and "p(m) = " in (f.raw or "") for f in found)
    assert not any(f.fault for f in found)


@pytest.mark.parametrize("judge", ["rating", "strongreject"])
def test_babble_is_no_grade(url: str, judge: str) -> None:
    found, description = judged(work(f"{judge}=rambler", url), ITEMS)
    assert {f.label for f in found} == {"unjudged"}
    assert all(f.score is None and f.error and not f.fault for f in found)
    assert description["usage"]["completion_tokens"] > len(ITEMS)


def test_a_prompt_beyond_the_models_context_is_its_own_items_failure(url: str) -> None:
    long = Item("Why?", "because " * 3000)
    found, description = judged(work("rating=rambler", url), [ITEMS[0], long, ITEMS[1]])
    assert (found[1].label, found[1].fault) == ("unjudged", False)
    assert "did not take the prompt (400" in (found[1].error or "")
    assert "maximum context length" in (found[1].error or "")
    assert description["usage"]["retries"] == 0


def test_a_model_that_it_does_not_serve_stops_at_once(url: str) -> None:
    with pytest.raises(UserError, match=r"has no model nobody to chat with .*does not exist"):
        judged(work("rating=nobody", url, patience=QUICK), ITEMS)
