"""A bias on disk: what is written is read, and nothing else passes for one."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biases import provenance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save_file

from bfpo_bench.engines.steering.file import (
    METADATA,
    read_bias,
    tensor_hash,
    vocabulary_hash,
    write_bias,
)
from bfpo_bench.errors import UserError

TOLD = {METADATA: provenance().model_dump_json()}
ZEROS = np.zeros((2, 3), dtype=np.float32)

tensors = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=tensors)
def test_what_is_written_is_read_to_the_bit(tmp_path: Path, values: Any) -> None:
    written = write_bias(tmp_path / "a.bias", values, provenance())
    found = read_bias(tmp_path / "a.bias", written.sha256)
    assert found.values.tobytes() == values.tobytes()
    assert (found.provenance, found.sha256) == (provenance(), written.sha256)
    assert (found.positions, found.vocabulary_size) == values.shape


def test_the_hash_is_of_the_shape_and_of_the_numbers() -> None:
    values = np.array([[1.0, -2.5]], dtype=np.float32)
    assert (
        tensor_hash(values) == hashlib.sha256(b"1x2\n" + struct.pack("<2f", 1.0, -2.5)).hexdigest()
    )
    assert tensor_hash(values.T) != tensor_hash(values)


def test_the_day_and_the_models_are_not_in_it(tmp_path: Path) -> None:
    """Two estimates that come out alike are one bias."""
    one = write_bias(tmp_path / "a", ZEROS, provenance())
    two = write_bias(tmp_path / "b", ZEROS, provenance(created="2027-01-01T00:00:00", version="9"))
    assert one.sha256 == two.sha256


def test_a_vocabulary_is_its_tokens_with_their_ids() -> None:
    class Words:
        def __init__(self, **ids: int) -> None:
            self.get_vocab = lambda: ids

    assert vocabulary_hash(Words(a=0, b=1)) == vocabulary_hash(Words(b=1, a=0))
    assert vocabulary_hash(Words(a=0, b=1)) != vocabulary_hash(Words(a=1, b=0))
    assert vocabulary_hash(Words(a=0, b=1)) != vocabulary_hash(Words(a=0, c=1))


class TestRefused:
    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"cannot be read .*: give a file that"):
            read_bias(tmp_path / "absent")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot be read"):
            read_bias(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}      "]
    )
    def test_another_kind_of_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.bias").write_bytes(content)
        with pytest.raises(UserError, match="is no bias"):
            read_bias(tmp_path / "a.bias")

    def test_half_a_file(self, tmp_path: Path) -> None:
        write_bias(tmp_path / "a.bias", ZEROS, provenance())
        whole = (tmp_path / "a.bias").read_bytes()
        (tmp_path / "a.bias").write_bytes(whole[:-5])
        with pytest.raises(UserError, match="is no bias"):
            read_bias(tmp_path / "a.bias")

    @pytest.mark.parametrize(
        ("tensors", "why"),
        [
            ({"weight": ZEROS}, "it has no tensor 'bias'"),
            ({"bias": ZEROS.astype(np.float16)}, "not float32"),
            ({"bias": ZEROS[0]}, "its shape is 3, not"),
            ({"bias": ZEROS[:0]}, "its shape is 0 x 3"),
            ({"bias": ZEROS + np.float32("nan")}, "not finite"),
            ({"bias": ZEROS - np.float32("inf")}, "not finite"),
        ],
    )
    def test_another_tensor(self, tmp_path: Path, tensors: Any, why: str) -> None:
        save_file(tensors, tmp_path / "a.bias", metadata=TOLD)
        with pytest.raises(UserError, match=why):
            read_bias(tmp_path / "a.bias")

    @pytest.mark.parametrize("told", [None, {}, {METADATA: "{}"}, {METADATA: "no JSON"}])
    def test_a_tensor_of_unknown_origin(self, tmp_path: Path, told: Any) -> None:
        save_file({"bias": ZEROS}, tmp_path / "a.bias", metadata=told)
        with pytest.raises(UserError, match="does not say what it was estimated from"):
            read_bias(tmp_path / "a.bias")

    def test_one_that_was_replaced_since_the_plan(self, tmp_path: Path) -> None:
        planned = write_bias(tmp_path / "a.bias", ZEROS, provenance())
        write_bias(tmp_path / "a.bias", ZEROS + 1, provenance())
        with pytest.raises(UserError, match="has changed since the run was planned"):
            read_bias(tmp_path / "a.bias", planned.sha256)
