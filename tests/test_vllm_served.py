"""A real `vllm serve`, from serve-check to a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import HEAD64
from commands import command
from vllm_server import NAME, vllm_url

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_from_serve_check_to_a_row(hub: str, tmp_path: Path) -> None:
    """Everything that vLLM can do is found, and the run that follows asks it by token ids."""
    url = vllm_url()
    found = json.loads(command("serve-check", url, "--json", cwd=tmp_path).out)
    assert found["software"].startswith("vllm 0.")
    abilities = ("token_prompts", "token_ids", "stop_token_ids", "prompt_logprobs", "echo_logprobs")
    assert all(found[ability] for ability in abilities)
    # No chat template: vLLM refuses messages then
    assert not found["chat"]
    words = ("--engine", "server", "--server", url, "--engine-arg", f"served_model_name={NAME}")
    tasks = ("--tasks", "bfpo_xstest_safe,bfpo_winogrande", "--limit", "2", "--max-new-tokens", "8")
    done = command("run", "--model", HEAD64, *words, *tasks, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "log-likelihoods through prompt_logprobs; tokenizer compared through /tokenize" in (
        done.err
    )
    assert HEAD64.split("/")[1] in (tmp_path / "leaderboards" / "bfpo.csv").read_text()
