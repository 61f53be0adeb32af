"""Whether servers can do what a run asks: what is said where they cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.needs import (
    Kinds,
    check_chat,
    check_context,
    check_tokens,
    described,
    long_choices,
)
from bfpo_bench.errors import UserError

ABLE = Capabilities(
    url="http://a/v1",
    name="m",
    software="vllm 0.32.0",
    context=512,
    completions=True,
    token_prompts=True,
    token_ids=True,
    stop_token_ids=True,
    chat=True,
    echo_logprobs=True,
    prompt_logprobs=True,
    logprob_token_ids=True,
    sampling_switches=True,
)
OTHER = replace(ABLE, url="http://b/v1")
NO_LOGPROBS = replace(ABLE, echo_logprobs=False, prompt_logprobs=False)
BOTH: Kinds = Counter(discriminative=2, generative=1)
GENERATIVE: Kinds = Counter(generative=3)
DISCRIMINATIVE: Kinds = Counter(discriminative=1)


def refused(call: object) -> str:
    with pytest.raises(UserError) as error:
        call()  # type: ignore[operator]
    return str(error.value)


class TestTokens:
    def test_two_that_are_able(self) -> None:
        check_tokens([ABLE, OTHER], BOTH)

    def test_without_log_probabilities(self) -> None:
        check_tokens([NO_LOGPROBS], GENERATIVE)
        assert refused(
            lambda: check_tokens([ABLE, replace(NO_LOGPROBS, url="http://b/v1")], BOTH)
        ) == (
            "The server http://b/v1 gives no log-probabilities of prompts, which 2 discriminative "
            "tasks need: leave those out with --tasks '*/generative', or ask a server that has them "
            "(vLLM), or take another --engine."
        )

    def test_nothing_is_left_without_them(self) -> None:
        said = refused(lambda: check_tokens([NO_LOGPROBS], DISCRIMINATIVE))
        assert "1 discriminative task needs: ask a server that has them" in said

    def test_a_server_that_did_not_say(self) -> None:
        silent = replace(NO_LOGPROBS, unsaid=("prompt_logprobs",))
        assert "did not say in time whether it has prompt_logprobs: it may be busy" in refused(
            lambda: check_tokens([silent], BOTH)
        )

    @pytest.mark.parametrize("ability", ["token_ids", "stop_token_ids", "sampling_switches"])
    def test_a_server_that_left_open_what_answers_depend_on(self, ability: str) -> None:
        busy = replace(ABLE, **{ability: False}, unsaid=(ability,))  # type: ignore[arg-type]
        said = refused(lambda: check_tokens([busy], GENERATIVE))
        assert f"did not say in time whether it has {ability}: it may be busy" in said

    def test_no_ids_in(self) -> None:
        said = refused(lambda: check_tokens([replace(ABLE, token_prompts=False)], GENERATIVE))
        assert (
            "takes no token ids as prompts: ask it as a hosted model, with --engine-arg api" in said
        )

    @pytest.mark.parametrize(
        "ability", ["token_ids", "stop_token_ids", "prompt_logprobs", "sampling_switches"]
    )
    def test_servers_that_differ(self, ability: str) -> None:
        """Which of the two lacks it is named, whatever their order."""
        lacking = replace(OTHER, **{ability: False})
        for pair in ([ABLE, lacking], [lacking, ABLE]):
            said = refused(lambda pair=pair: check_tokens(pair, BOTH))  # type: ignore[misc]
            assert said.startswith("The server http://b/v1 ")
            assert said.endswith(", and http://a/v1 does: name servers that are alike.")

    def test_a_server_that_did_not_say_is_not_said_to_differ(self) -> None:
        silent = replace(OTHER, prompt_logprobs=False, unsaid=("prompt_logprobs",))
        said = refused(lambda: check_tokens([ABLE, silent], BOTH))
        assert said.startswith("The server http://b/v1 did not say in time whether it has prompt_")


class TestContext:
    def test_too_small(self) -> None:
        check_context([ABLE], 512)
        assert (
            "http://b/v1 holds 256 tokens and the run asks up to 512: start it with --max-model-len 512"
            in (refused(lambda: check_context([ABLE, replace(OTHER, context=256)], 512)))
        )

    def test_one_that_does_not_tell(self) -> None:
        check_context([replace(ABLE, context=None)], 512)

    def test_room_for_the_longest_choice(self) -> None:
        """vLLM always generates a token: 512 of a context of 512 leave room for 511 and it; what
        echo tells of is fed whole."""
        assert long_choices([ABLE], 511, BOTH) == []
        [note] = long_choices([ABLE], 512, BOTH)
        assert note.startswith("choices of 512 tokens and more fail")
        assert "--max-model-len 513 " in note
        [note] = long_choices([replace(ABLE, prompt_logprobs=False)], 512, BOTH)
        assert note.startswith("choices of 511 tokens and more fail")
        assert long_choices([ABLE], 512, GENERATIVE) == []


class TestChat:
    def test_discriminative_tasks_are_refused(self) -> None:
        check_chat([ABLE], GENERATIVE)
        said = refused(lambda: check_chat([ABLE], BOTH))
        assert said.startswith(
            "--engine-arg api=chat gives no log-probabilities of texts, which 2 "
        )
        assert "--tasks '*/generative'" in said

    def test_a_server_that_left_open_what_answers_depend_on(self) -> None:
        """Of messages no token ids are asked for: that it was silent about those is nothing."""
        check_chat([replace(ABLE, token_ids=False, unsaid=("token_ids",))], GENERATIVE)
        busy = replace(ABLE, unsaid=("sampling_switches",))
        assert "whether it has sampling_switches" in refused(lambda: check_chat([busy], GENERATIVE))

    def test_servers_that_differ(self) -> None:
        """What switches the sampling off would go to neither."""
        check_chat([ABLE, replace(OTHER, token_ids=False)], GENERATIVE)
        lacking = replace(OTHER, sampling_switches=False)
        assert refused(lambda: check_chat([ABLE, lacking], GENERATIVE)) == (
            "The server http://b/v1 takes no top_k, min_p and repetition_penalty, and http://a/v1 "
            "does: name servers that are alike."
        )

    def test_a_server_that_does_not_chat(self) -> None:
        said = refused(lambda: check_chat([replace(ABLE, chat=False)], GENERATIVE))
        assert "answers no messages (POST /chat/completions): leave out api=chat" in said


def test_described() -> None:
    assert described([ABLE, OTHER], BOTH, chat=False) == (
        "vllm 0.32.0 at http://a/v1, 2 servers; ids in, ids out; log-likelihoods through prompt_logprobs"
    )
    plain = replace(ABLE, software=None, token_ids=False, prompt_logprobs=False)
    assert described([plain], GENERATIVE, chat=False) == (
        "an OpenAI-compatible server at http://a/v1; ids in, text out"
    )
