"""`bfpo-bench serve-check`: what a server can do, and the command to go on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import command
from judge_server import Asked, Sent, fails, sends
from openai_server import HOSTED, LLAMA_CPP, VLLM, OpenAIServer, Real

from bfpo_bench.engines.server.capabilities import Capabilities


def rows(printed: str) -> dict[str, str]:
    """Ability -> yes or no, of the table's rows."""
    abilities = ("continue", "give token", "stop", "give log-", "answer", "keep")
    found = {}
    for line in printed.splitlines():
        for ability in abilities:
            if line.strip().startswith(ability):
                found[ability] = "yes" if " yes " in line else "no"
    return found


def test_one_that_can_do_all(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        said = command("serve-check", server.url, cwd=tmp_path)
    assert said.code == 0, said.err
    assert set(rows(said.out).values()) == {"yes"}
    assert len(rows(said.out)) == 6
    assert f"{server.url}: vllm 0.32.0, answers in " in said.out
    assert "model tiny: 512 tokens" in said.out
    run = f"bfpo-bench run --engine server --server {server.url}"
    assert f"{run} --model ID --engine-arg served_model_name=tiny\n" in said.out
    assert "next, with the hub id or the folder of what is served in the place of ID:" in said.out


def test_one_without_log_probabilities(tmp_path: Path) -> None:
    with OpenAIServer(LLAMA_CPP) as server:
        said = command("serve-check", server.url, cwd=tmp_path)
    assert said.code == 0, said.err
    assert rows(said.out)["give log-"] == "no"
    assert said.out.rstrip().endswith(
        "--model ID --engine-arg served_model_name=tiny --tasks '*/generative'"
    )


def test_a_hosted_one(tmp_path: Path) -> None:
    with OpenAIServer(HOSTED) as server:
        said = command("serve-check", server.url, "--json", cwd=tmp_path)
    told: dict[str, Any] = json.loads(said.out)
    assert (told["chat"], told["token_prompts"], told["likelihoods"]) == (True, False, False)
    assert told["next"].endswith("--model tiny --engine-arg api=chat --tasks '*/generative'")
    assert set(told) == {*Capabilities.__dataclass_fields__, "likelihoods", "tokenizer", "next"}


def test_its_next_command_is_one(tmp_path: Path) -> None:
    """Names are hostile text: quoted in the command, and without what a terminal would obey."""
    name = "it's\x1b[2J $(reboot)"
    with OpenAIServer(name=name) as server:
        said = command("serve-check", server.url, cwd=tmp_path)
    assert "\x1b" not in said.out
    assert """--engine-arg 'served_model_name=it'"'"'s[2J $(reboot)'""" in said.out


def test_a_name_that_may_be_a_models_on_the_hub(tmp_path: Path) -> None:
    """Its run needs no other."""
    with OpenAIServer(LLAMA_CPP, name=REFUSER) as server:
        said = command("serve-check", server.url, cwd=tmp_path)
    assert said.code == 0, said.err
    assert (
        f"next:\n    bfpo-bench run --engine server --server {server.url} --model {REFUSER} "
        in (said.out)
    )


def test_a_tokenizer_that_is_another(hub: str, tmp_path: Path) -> None:
    def respond(asked: Asked, real: Real) -> Sent:
        return sends({"tokens": [1, 2, 3]}) if asked.path == "/tokenize" else real(asked)

    with OpenAIServer(VLLM, name=REFUSER, respond=respond) as server:
        said = command("serve-check", server.url, "--model", REFUSER, cwd=tmp_path)
    assert said.code == 2
    assert "with another tokenizer than that of fixtures/refuser-9M" in said.error


def test_a_name_that_is_no_model_on_the_hub(hub: str, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        said = command("serve-check", server.url, "--model", "tiny", cwd=tmp_path)
    assert said.code == 0, said.err
    assert "tokenizer: not compared: There is no model tiny on the hub" in said.out
    assert "--model ID --engine-arg served_model_name=tiny" in said.out


def test_a_folder_that_is_served_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with OpenAIServer(name="theirs") as server:
        said = command("serve-check", server.url, "--model", "mine", cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.error.endswith(
        "has no model mine, but theirs: give --model=theirs; `plan` and `run` also take --model mine "
        "--engine-arg served_model_name=theirs."
    )


def test_nothing_can_be_asked(tmp_path: Path) -> None:
    def lists(asked: Asked, real: Real) -> Sent:
        return real(asked) if asked.path == "/v1/models" else fails(400, "embeddings only")

    with OpenAIServer(respond=lists) as server:
        said = command("serve-check", server.url, cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert "neither takes token ids as prompts nor answers messages with tiny" in said.error


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_no_line_of_the_table_is_wider_than_the_terminal(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from bfpo_bench.cli.serve_view import _table

    console = Console(width=int(columns), record=True, file=(tmp_path / "out").open("w"))
    console.print(_table(Capabilities("http://a/v1", "m", token_prompts=True)))
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= int(columns)
    assert any("continue token ids" in line and "yes" in line for line in lines)
