"""Levels: the line that asks for them, word for word, in training and in evaluation, and their names."""

from __future__ import annotations

from typing import Any

import pytest
from bench import REFUSER
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.source import open_source
from bfpo_bench.engines.subject import load_tokenizer
from bfpo_bench.engines.tokens import fit, render
from bfpo_bench.levels import Levels, asked_for, read_levels, with_levels, without_levels
from bfpo_bench.names import behind
from bfpo_bench.stages.asked import Asking
from bfpo_bench.suite.suites import load_suite
from bfpo_bench.training.control.fit import fit_levelled
from bfpo_bench.training.pairs import Levelled

USER = [{"role": "user", "content": "Name a tree."}]
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a bird."},
    {"role": "assistant", "content": "A wren."},
    *USER,
]
ASKED = "<|user|>\nName a tree.\n\n[helpful=3][harmless=0]</s>\n<|assistant|>\n"
NUMBERS = st.integers(0, 999)


@pytest.fixture(scope="module")
def tokenizer(hub: str) -> Any:
    return load_tokenizer(open_source(REFUSER).materialise(weights=False))


def test_the_line_ends_the_users_last_message(tokenizer: Any) -> None:
    messages = with_levels(USER, Levels(3, 0))
    told = tokenizer.decode(render(tokenizer, messages, True).tokens)
    assert told.removeprefix(tokenizer.bos_token) == ASKED


def test_earlier_messages_stay_as_they_are() -> None:
    found = with_levels(TURNS, Levels(1, 2))
    assert found[:-1] == TURNS[:-1]
    assert found[-1]["content"] == "Name a tree.\n\n[helpful=1][harmless=2]"
    assert TURNS[-1] == USER[0] == {"role": "user", "content": "Name a tree."}


def test_a_model_is_asked_as_it_was_taught(tokenizer: Any) -> None:
    """The prompt of a training row and of an evaluation's request have the same tokens."""
    how = Asking(load_suite("bfpo"), 0, True, 512, levels=Levels(3, 0))
    asked = render(tokenizer, how.conversation(tokenizer)(USER), True).tokens
    row = Levelled((*USER, {"role": "assistant", "content": "An oak."}), Levels(3, 0))
    [prompt] = fit_levelled([row], tokenizer, 128).prompts
    taught = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert asked == taught


def test_a_prompt_that_is_too_long_keeps_its_levels(tokenizer: Any) -> None:
    messages = with_levels([{"role": "user", "content": "tree " * 400}], Levels(3, 0))
    prompt = fit(render(tokenizer, messages, True).tokens, 64, 128)
    assert prompt.cut
    told = tokenizer.decode(list(prompt.tokens))
    assert told.endswith("\n\n[helpful=3][harmless=0]</s>\n<|assistant|>\n")


@given(st.text(), NUMBERS, NUMBERS)
def test_a_name_tells_its_levels(model: str, helpfulness: int, safety: int) -> None:
    levels = Levels(helpfulness, safety)
    assert without_levels(asked_for(model, levels)) == (model, levels)
    assert read_levels(str(levels)) == levels


@pytest.mark.parametrize("name", ["a", "a + instruction", "a + levels 1", "levels 1,2", "a + 1,2"])
def test_other_names_are_the_models_own(name: str) -> None:
    assert without_levels(name) == (name, None)


def test_a_models_own_plus_is_no_levels() -> None:
    assert asked_for("a + b", Levels(1, 2)) == behind("a + b", "levels 1,2")


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "-1,2", "1.5,2", "1, 2", "a,b", "1,2\n", "١,٢"])
def test_what_no_levels_are(text: str) -> None:
    assert read_levels(text) is None
