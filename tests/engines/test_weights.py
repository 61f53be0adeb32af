"""A model's files are hashed once, and what is remembered of that is not believed blindly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bfpo_bench.engines.weights import content_hash


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weight-hashes.json"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def test_a_file_of_the_same_size_and_time_is_not_read_again(weights: Path) -> None:
    before, times = content_hash([weights]), weights.stat().st_mtime_ns
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(times, times))
    assert content_hash([weights]) == before
    weights.write_bytes(b"other weights")
    assert content_hash([weights]) != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.translate(bytes.maketrans(b"0123456789", b"1234567890")),
        lambda content: content.replace(b"model.safetensors|", b"others.safetensors|"),
        lambda content: content[: len(content) // 2],
        lambda content: b"[1]",
        lambda content: b'{"a": 1}',
        lambda content: b"\xff",
    ],
)
def test_a_damaged_memory_costs_a_second_hashing_and_nothing_else(
    weights: Path, memory: Path, damage: object
) -> None:
    assert callable(damage)
    before = content_hash([weights])
    whole = memory.read_bytes()
    memory.write_bytes(damage(whole))
    assert content_hash([weights]) == before


def test_the_hash_of_one_file_is_not_taken_for_anothers(
    weights: Path, memory: Path, tmp_path: Path
) -> None:
    """The entry of one file under the name of the other, as a bad merge would leave it."""
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"another")
    os.utime(other, ns=(weights.stat().st_mtime_ns,) * 2)
    alone = content_hash([other])
    memory.unlink()
    content_hash([weights])
    memory.write_text(memory.read_text().replace(str(weights.resolve()), str(other.resolve())))
    assert content_hash([other]) == alone
