"""The reference's log-probabilities: what is scored, by whom, and what the disk keeps."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from bench import STORIES
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from bfpo_bench.errors import UserError
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.training.reference import (
    ReferenceCache,
    Scored,
    batches,
    model_key,
    padded,
    score,
    sequence_id,
    unscored,
)

tokens = st.lists(st.integers(0, 300), max_size=6)
VALUES = {"a": -1.5, "b": -0.1, "c": -123.456789012345678}


def keep(folder: Path, values: dict[str, float], rank: int = 0) -> dict[str, float]:
    """Score `values`, one a batch, into the cache."""
    return ReferenceCache(folder, "key", rank).scored([[pair] for pair in values.items()])


def known(folder: Path) -> dict[str, float]:
    return ReferenceCache(folder, "key").known()


# Names


def test_a_name_tells_where_the_completion_begins() -> None:
    """[1, 2] + [3], [1] + [2, 3] and [] + [1, 2, 3] are the same tokens, scored differently."""
    names = {sequence_id([1, 2], [3]), sequence_id([1], [2, 3]), sequence_id([], [1, 2, 3])}
    assert len(names) == 3
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)
    assert sequence_id([12], [3]) != sequence_id([1], [23])


@given(first=st.tuples(tokens, tokens), second=st.tuples(tokens, tokens))
def test_equal_names_are_equal_sequences(first: Scored, second: Scored) -> None:
    assert (sequence_id(*first) == sequence_id(*second)) == (first == second)


def test_another_model_or_arithmetic_is_another_key() -> None:
    keys = {
        model_key("abc", "float32"),
        model_key("abc", "bfloat16"),
        model_key("abd", "float32"),
        model_key("abc", None),
        model_key("abcfloat32"),
    }
    assert len(keys) == 5
    assert all(len(key) == 16 for key in keys)


# What is left to score


def row(prompt: list[int], chosen: list[int], rejected: list[int]) -> dict[str, list[int]]:
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def test_each_sequence_is_scored_once() -> None:
    """Six responses of three rows; one comes twice, and one is known."""
    rows = [row([1], [2], [3]), row([1], [3], [4]), row([9], [2], [3])]
    found = unscored(rows, {sequence_id([1], [2]): -1.0})
    told = [(list(prompt), list(answer)) for prompt, answer in found.values()]
    assert told == [([1], [3]), ([1], [4]), ([9], [2]), ([9], [3])]
    assert all(name == sequence_id(*sequence) for name, sequence in found.items())
    assert unscored(rows, dict.fromkeys([*found, sequence_id([1], [2])], 0.0)) == {}


sequences = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.tuples(tokens, tokens), max_size=30
)


@given(sequences=sequences, rows=st.integers(1, 5), ranks=st.integers(1, 4))
def test_all_ranks_work_alike_and_together_score_all(
    sequences: dict[str, Scored], rows: int, ranks: int
) -> None:
    shares = [batches(sequences, rows, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert {name for share in shares for batch in share for name in batch} == set(sequences)
    assert all(1 <= len(batch) <= rows for share in shares for batch in share)
    # At most one turn has a batch that another rank scores too
    turns = -(-len(sequences) // rows) / ranks
    assert len(shares[0]) < turns + 1


@given(sequences=sequences, rows=st.integers(1, 5))
def test_the_longest_come_first_and_like_lengths_together(
    sequences: dict[str, Scored], rows: int
) -> None:
    """A batch too large for the memory fails at once, not at the end of an hour."""
    names = [name for batch in batches(sequences, rows, 0, 1) for name in batch]
    lengths = [len(prompt) + len(answer) for prompt, answer in map(sequences.__getitem__, names)]
    assert lengths == sorted(lengths, reverse=True)
    assert len(names) == len(sequences)


def test_ranks_take_turns() -> None:
    """Seven sequences of 7 to 1 tokens, two a batch, on three ranks: of the second turn's three
    places one batch is left, and the first two batches are scored again."""
    scored: dict[str, Scored] = {f"{n}": ([0], [0] * (n - 1)) for n in range(1, 8)}
    assert batches(scored, 2, 0, 3) == [["7", "6"], ["1"]]
    assert batches(scored, 2, 1, 3) == [["5", "4"], ["7", "6"]]
    assert batches(scored, 2, 2, 3) == [["3", "2"], ["5", "4"]]


def test_the_same_batches_whatever_the_order_of_the_rows() -> None:
    scored: dict[str, Scored] = {name: ([0], [1]) for name in "dbca"}
    turned = dict(reversed(scored.items()))
    assert batches(scored, 3, 0, 1) == batches(turned, 3, 0, 1) == [["a", "b", "c"], ["d"]]


def test_padding() -> None:
    found = padded([([5, 6], [7]), ([8], [9, 10, 11]), ([], [12])], pad=3)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "input_ids": [[5, 6, 7, 3], [8, 9, 10, 11], [12, 3, 3, 3]],
        "attention_mask": [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
        "completion_mask": [[0, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0]],
    }
    assert {tensor.dtype for tensor in found.values()} == {torch.int64}


# Scoring


def test_batches_are_scored_in_turn_and_told() -> None:
    scored: dict[str, Scored] = {"a": ([1], [2]), "b": ([1], [3]), "c": ([4], [5])}
    told: list[tuple[int, int]] = []
    seen: list[list[Scored]] = []

    def run(batch: list[Scored]) -> list[float]:
        seen.append(batch)
        return [-float(answer[0]) for _, answer in batch]

    found = score(scored, [["c"], ["a", "b"]], run, lambda *done: told.append(done))
    assert next(found) == [("c", -5.0)]
    assert seen == [[([4], [5])]]  # the next batch is not begun before this one is kept
    assert list(found) == [[("a", -2.0), ("b", -3.0)]]
    assert told == [(1, 3), (3, 3)]


def test_no_number_is_never_kept(tmp_path: Path) -> None:
    """What was scored before it is; the batch with it is not, and the training does not begin."""
    cache = ReferenceCache(tmp_path, "key")
    scored: dict[str, Scored] = {"a": ([1], [2]), "b": ([1], [3])}
    values = iter([[-1.0], [math.nan]])
    batches = score(scored, [["a"], ["b"]], lambda batch: next(values), lambda *done: None)
    with pytest.raises(UserError, match="no number"):
        cache.scored(batches)
    assert cache.known() == {"a": -1.0}


def test_padding_changes_no_value(hub: str) -> None:
    """A real model's log-probability of each sequence, alone and in a padded batch."""
    model = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32).eval()
    asked: list[Scored] = [([1, 40, 41], [50, 51, 2]), ([1, 60], [61, 2]), ([1, 70, 71, 72], [2])]

    def run(batch: list[Scored]) -> list[float]:
        inputs = padded(batch, pad=0)
        with torch.no_grad():
            logits = model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        logps = logits[:, :-1].log_softmax(-1).gather(2, inputs["input_ids"][:, 1:, None])[..., 0]
        found: list[float] = (logps * inputs["completion_mask"][:, 1:]).sum(1).tolist()
        return found

    alone = [value for sequence in asked for value in run([sequence])]
    assert run(asked) == pytest.approx(alone, abs=1e-5)
    assert len({round(value) for value in alone}) == 3


# The disk


@given(st.dictionaries(st.text("0123456789abcdef", min_size=1), st.floats(allow_nan=False)))
def test_values_come_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, float]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    assert keep(folder, values) == values
    assert {k: v.hex() for k, v in known(folder).items()} == {k: v.hex() for k, v in values.items()}


def test_a_float32_comes_back_as_it_was(tmp_path: Path) -> None:
    logps = -1000 * torch.rand(50, generator=torch.Generator().manual_seed(0))
    keep(tmp_path, {str(i): value for i, value in enumerate(logps.tolist())})
    assert torch.equal(torch.tensor([known(tmp_path)[str(i)] for i in range(50)]), logps)


def test_another_key_knows_nothing(tmp_path: Path) -> None:
    keep(tmp_path, VALUES)
    assert ReferenceCache(tmp_path, "other").known() == {}


def test_without_a_folder_nothing_is_kept() -> None:
    cache = ReferenceCache(None, "key")
    assert cache.scored([list(VALUES.items())]) == VALUES
    assert cache.known() == {}


def test_a_line_torn_at_any_byte_is_scored_again(tmp_path: Path) -> None:
    """Killed while it wrote the last of three lines: the first two are known, and what is appended
    after them is read."""
    keep(tmp_path, VALUES)
    file = tmp_path / "key" / "0.jsonl"
    whole = file.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        file.write_bytes(whole[:cut])
        assert known(tmp_path) == {"a": VALUES["a"], "b": VALUES["b"]}
        keep(tmp_path, {"c": VALUES["c"]})
        assert file.read_bytes() == whole


def test_every_ranks_file_is_read_also_when_torn(tmp_path: Path) -> None:
    keep(tmp_path, {"a": -1.0, "b": -2.0})
    keep(tmp_path, {"c": -3.0, "d": -4.0}, rank=1)
    assert sorted(file.name for file in (tmp_path / "key").iterdir()) == ["0.jsonl", "1.jsonl"]
    assert known(tmp_path) == {"a": -1.0, "b": -2.0, "c": -3.0, "d": -4.0}
    other = tmp_path / "key" / "1.jsonl"
    other.write_bytes(other.read_bytes()[:-3])
    assert known(tmp_path) == {"a": -1.0, "b": -2.0, "c": -3.0}


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    keep(tmp_path, VALUES)
    file = tmp_path / "key" / "0.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"id":"b"', b'{"id":!!"'))
    with pytest.raises(UserError, match=r"0\.jsonl, line 2 has been changed since"):
        known(tmp_path)


def one_batch_then(fault: BaseException) -> Iterator[Sequence[tuple[str, float]]]:
    yield [("a", -1.0), ("b", -2.0)]
    raise fault


def test_what_was_scored_before_a_fault_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ReferenceCache(tmp_path, "key").scored(one_batch_then(KeyboardInterrupt()))
    assert known(tmp_path) == {"a": -1.0, "b": -2.0}


def test_a_full_disk_is_a_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the second batch is written."""
    write = Appender.append

    def full(appender: Appender, record: dict[str, Any]) -> None:
        if record["id"] == "c":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(appender, record)

    monkeypatch.setattr(Appender, "append", full)
    with pytest.raises(UserError, match=r"kept in .*key \(No space left on device\): free some"):
        keep(tmp_path, VALUES)
    assert known(tmp_path) == {"a": VALUES["a"], "b": VALUES["b"]}


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Below a file no folder can be made, also not by root, whom no permission stops."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be kept in .*file/cache/key \(Not a directory\)"):
        keep(tmp_path / "file" / "cache", VALUES)


def test_a_read_only_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(UserError, match=r"\(Read-only file system\): .* another reference_cache"):
        keep(tmp_path, VALUES)


def test_the_file_is_json_lines(tmp_path: Path) -> None:
    keep(tmp_path, {"a": -1.5})
    lines = (tmp_path / "key" / "0.jsonl").read_text().splitlines()
    [record] = map(json.loads, lines)
    assert record.pop("crc")
    assert record == {"id": "a", "logp": -1.5}
