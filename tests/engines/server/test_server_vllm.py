"""A real `vllm serve`, of a model whose generation_config.json is hostile: the same as transformers.

See `serving` for what is asked of every engine. The server loads once for all of these.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import serving
from serving import GREEDY, NEW_TOKENS, PROMPTS, SAMPLED, SAMPLED_AGAIN, STOP, Said, said
from vllm_server import LENGTH, NAME, vllm_url

from bfpo_bench.engines.base import Failure, Generation, GenerationRequest, Likelihood, Remote
from bfpo_bench.engines.server.engine import ServerEngine
from bfpo_bench.errors import UserError


def remote() -> Remote:
    return Remote((vllm_url(serving.hostile_files().folder, NAME, LENGTH),), NAME)


@cache
def served() -> Said:
    """What the engine `server` answers."""
    files = replace(serving.plain_files(), remote=remote())
    job = serving.Job(
        "server", files, serving.generation(), serving.scoring(), serving.choosing(files)
    )
    return serving.serve(job, lambda _: None)


@pytest.fixture(autouse=True)
def _ready(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    serving.need_vllm()


def test_greedy_responses_are_those_of_transformers() -> None:
    """The first 16 tokens of at least 9 in 10: later ones may part at a near-tie."""
    mine, other = served().generations[GREEDY], said("transformers").generations[GREEDY]
    same = [a.tokens[:16] == b.tokens[:16] for a, b in zip(mine, other, strict=True)]
    assert sum(same) >= 0.9 * len(PROMPTS)
    assert all(one.told is None for one in mine)


def test_log_probabilities_are_those_of_transformers() -> None:
    mine, other = served().likelihoods, said("transformers").likelihoods
    expected = [one.logprob for one in other]
    assert [one.logprob for one in mine] == pytest.approx(expected, abs=1e-3, rel=0)
    assert [one.greedy for one in mine] == [one.greedy for one in other]
    assert {one.greedy for one in mine} == {True, False}


def test_the_other_ways_to_ask_for_log_probabilities_agree() -> None:
    """As of an older vLLM (`prompt_logprobs` alone) and of a server that echoes: the last token is
    fed there, so the request with one token more than the context is too long by one."""
    engine = ServerEngine.connect(replace(serving.plain_files(), remote=remote()))
    able, requests = engine._able, serving.scoring()
    ways = {
        "prompt_logprobs": replace(able, logprob_token_ids=False),
        "echo": replace(able, logprob_token_ids=False, prompt_logprobs=False),
    }
    for way in ways.values():
        engine._able = way
        found = dict(engine.loglikelihoods(requests))
        for position, request in enumerate(requests):
            given, expected = found[position], served().likelihoods[position]
            if len(request.tokens) == LENGTH:
                assert isinstance(given, Failure)
                assert "--max-model-len 514" in given.reason
            else:
                assert given == Likelihood(
                    pytest.approx(expected.logprob, abs=1e-3, rel=0),  # type: ignore[arg-type]
                    expected.greedy,
                )


def test_the_options_of_choices() -> None:
    for mine, other in zip(served().choices, said("transformers").choices, strict=True):
        assert mine == pytest.approx(other, abs=1e-3, rel=0)


def test_a_seed_is_a_requests_own() -> None:
    assert served().generations[SAMPLED] == served().generations[SAMPLED_AGAIN]
    assert len({one.tokens for one in served().generations[SAMPLED]}) > 1


def test_the_stop_token_ends_a_response_and_is_no_part_of_it() -> None:
    stopped = [one for one in served().generations[GREEDY] if one.finish_reason == "stop"]
    assert stopped
    assert all(STOP not in one.tokens for one in served().generations)
    assert all(
        len(one.tokens) == NEW_TOKENS
        for one in served().generations[GREEDY]
        if one.finish_reason == "length"
    )


def test_what_it_is_said_to_be() -> None:
    described = served().described
    assert described["software"].startswith("vllm ")
    assert list(described["versions"]) == ["vllm"]
    assert described["retries"] == 0


def test_a_prompt_that_the_server_does_not_take_costs_nobody_else_an_answer() -> None:
    """A token beyond the vocabulary is refused by vLLM itself."""
    engine = ServerEngine.connect(replace(serving.plain_files(), remote=remote()))
    requests = [*serving.generation()[:4], GenerationRequest((10**6,), 4)]
    found = dict(engine.generate(requests))
    assert isinstance(found.pop(4), Failure)
    assert all(isinstance(one, Generation) for one in found.values())


def test_a_model_that_the_server_does_not_have() -> None:
    files = replace(serving.plain_files(), remote=replace(remote(), served="gpt-9"))
    with pytest.raises(UserError, match="gpt-9"):
        ServerEngine.connect(files)
