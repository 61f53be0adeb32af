"""The prompts that a bias is estimated on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bfpo_bench.engines.steering.prompts import random_prompts, read_prompts
from bfpo_bench.errors import UserError


def written(folder: Path, *lines: str) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_line_each_and_other_keys_are_passed_over(tmp_path: Path) -> None:
    path = written(
        tmp_path, '{"prompt": "one two"}', "", '{"prompt": "drei\u2028", "harmful": true}'
    )
    texts, source = read_prompts(path)
    assert texts == ["one two", "drei\u2028"]
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.prompts, source.random, source.seed) == (2, None, None)


def test_random_prompts_have_the_words_and_lengths_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '{"prompt": "a b c"}', '{"prompt": "d"}')
    texts, source = read_prompts(path, count=50, seed=7)
    assert (source.prompts, source.random, source.seed) == (50, 50, 7)
    assert {len(text.split()) for text in texts} == {1, 3}
    assert {word for text in texts for word in text.split()} == {"a", "b", "c", "d"}


def test_a_seed_draws_the_same_again_and_another_does_not() -> None:
    words = ["a b c d e f g h"]
    assert random_prompts(words, 5, 1) == random_prompts(words, 5, 1)
    assert random_prompts(words, 5, 1) != random_prompts(words, 5, 2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2, is not valid JSON"),
        ("[" * 100_000, "line 2, is not valid JSON"),
        ('["a"]', "line 2, is not of the form"),
        ('{"text": "a"}', "line 2, is not of the form"),
        ('{"prompt": " "}', "line 2, is not of the form"),
        ('{"prompt": ["a"]}', "line 2, is not of the form"),
        (json.dumps({"prompt": "\ud800"}), "line 2, has half a character"),
    ],
)
def test_a_line_that_is_no_prompt(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        read_prompts(written(tmp_path, '{"prompt": "a"}', line))


def test_a_file_that_holds_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no prompts"):
        read_prompts(written(tmp_path, "", " "))
    with pytest.raises(UserError, match="cannot be read"):
        read_prompts(tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b'{"prompt": "\xe9"}')
    with pytest.raises(UserError, match="is not UTF-8"):
        read_prompts(tmp_path / "latin")
