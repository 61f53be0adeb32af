"""Over how many devices a model is split: arithmetic worked by hand, and what must hold of any."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_shapes import DEEPSEEK_V3, LLAMA_8B, LLAMA_70B, MIXTRAL, PARAMETERS, QWEN_72B
from pages import ROOT

from bfpo_bench.engines.parallel import (
    LONGEST,
    Need,
    Split,
    choose_split,
    cpu_split,
    expected,
    least_devices,
    need_of,
    room_for_weights,
)
from bfpo_bench.engines.parallel_asked import asked_split, check_sizes
from bfpo_bench.errors import UserError

CONTEXT = 8192


def need(
    config: dict[str, Any], stored: int | None = None, context: int = CONTEXT, **given: Any
) -> Need:
    found = need_of(config, stored, context, given)
    assert found is not None
    return found


def sizes(split: Split) -> tuple[int, int, int]:
    return split.tensor, split.pipeline, split.data


@pytest.mark.parametrize(
    ("config", "devices", "into"),
    [
        # 15 GiB of weights, 16 x 8192 x 128 KiB = 16 GiB of cache, 2: 33 of 36
        (LLAMA_8B, [40.0] * 8, (1, 1, 8)),
        # 33 of 21.6 do not fit; 7.5 + 8 + 2 = 17.5 do
        (LLAMA_8B, [24.0] * 4, (2, 1, 2)),
        # 131.4 GiB, 16 x 8192 x 320 KiB = 40: over two 65.7 + 20 + 2 = 87.7 of 72, over four 44.9
        (LLAMA_70B, [80.0] * 8, (4, 1, 2)),
        # 135.4 GiB and 40 of cache: over two 67.7 + 20 + 2 = 89.7 of 126.9, or 72, over four 45.9
        (QWEN_72B, [141.0] * 2, (2, 1, 1)),
        (QWEN_72B, [80.0] * 4, (4, 1, 1)),
        # 87 GiB, 16 of cache: over two 43.5 + 8 + 2 = 53.5 of 72
        (MIXTRAL, [80.0] * 6, (2, 1, 3)),
        # The smallest device decides
        (LLAMA_8B, [80.0, 80.0, 24.0, 80.0], (2, 1, 2)),
    ],
)
def test_splits_by_hand(
    config: dict[str, Any], devices: list[float], into: tuple[int, int, int]
) -> None:
    split = choose_split("a/b", need(config), devices)
    assert sizes(split) == into
    assert split.fits


def test_what_is_expected_of_a_device() -> None:
    """Llama-3.1-70B over four: 70,553,706,496 x 2 bytes / 2**30 / 4 = 32.85 GiB of weights; 16 requests
    of 8192 tokens x 80 layers x 2 heads of the 8 x 128 x 2 x 2 bytes are 10 GiB."""
    split = choose_split("a/b", need(LLAMA_70B, 2 * 70_553_706_496), [80.0] * 8)
    assert split.expected.weights == pytest.approx(32.855, abs=0.001)
    assert split.expected.cache == 10
    assert split.describe() == (
        "8 x 80 GiB: tensor 4, data 2: about 33 GiB of weights, 10 GiB of cache and 2 GiB besides on "
        "each"
    )
    assert split.arguments == {"tensor_parallel_size": 4, "data_parallel_size": 2}


def test_one_device_needs_no_argument() -> None:
    split = choose_split("a/b", need(LLAMA_8B), [80.0])
    assert split.arguments == {}
    assert split.describe().startswith("1 x 80 GiB: about 15 GiB of weights, 16 GiB of cache and")


def test_a_cache_of_fewer_requests_is_said() -> None:
    """The 70B on two: 65.7 + 2 leave 4.3 of 72 GiB, and one request of full length takes 1.25."""
    split = choose_split("a/b", need(LLAMA_70B), [80.0] * 2)
    assert sizes(split) == (2, 1, 1)
    assert not split.fits
    assert split.describe().endswith(
        f"(fewer than {LONGEST} requests of {CONTEXT} tokens fit at once)"
    )


def test_a_model_that_no_number_of_heads_divides_is_a_pipeline() -> None:
    """71 heads with one for keys and values, as in Falcon-40B's family: stages, not parts."""
    config = LLAMA_70B | {"num_attention_heads": 71, "num_key_value_heads": 1, "head_dim": 64}
    split = choose_split("a/b", need(config, 2**37), [80.0] * 4)
    assert sizes(split) == (1, 2, 2)
    assert "tensor 1, pipeline 2, data 2" in split.describe()


def refuse() -> bool:
    return False


class TestWithoutPipelines:
    """Where vLLM cannot run the architecture as one."""

    ODD = LLAMA_70B | {"num_attention_heads": 71, "num_key_value_heads": 1, "head_dim": 64}
    """71 heads, which nothing but 71 divides."""

    def test_it_stays_on_one_device(self) -> None:
        """128 GiB of weights: with a pipeline two of 100 GiB hold it, one holds none of it."""
        asked = need(self.ODD, 2**37)
        assert sizes(choose_split("a/b", asked, [100.0] * 4)) == (1, 2, 2)
        with pytest.raises(
            UserError, match="nor on more such devices: take larger ones, or a quan"
        ):
            choose_split("a/b", asked, [100.0] * 4, pipelines=refuse)

    def test_few_requests_at_a_time_are_taken_before_none(self) -> None:
        """15 + 2 GiB leave 1 of 18, and 16 requests of 160 MiB take 2.5: they fit on two, by stages."""
        asked = need(self.ODD, 15 * 2**30)
        assert sizes(choose_split("a/b", asked, [20.0] * 4)) == (1, 2, 2)
        split = choose_split("a/b", asked, [20.0] * 4, pipelines=refuse)
        assert (sizes(split), split.fits) == ((1, 1, 4), False)

    def test_no_more_machines_are_named(self) -> None:
        """The 70B on sixteen of 16 GiB would be two stages of eight: see TestTooLarge."""
        assert least_devices(need(LLAMA_70B), 16.0, pipelines=refuse) is None
        assert least_devices(need(LLAMA_70B), 24.0, pipelines=refuse) == (8, 1)

    def test_it_is_asked_only_where_nothing_else_holds_the_model(self) -> None:
        def asked() -> bool:
            raise AssertionError("nobody needed to know")

        assert sizes(choose_split("a/b", need(LLAMA_70B), [80.0] * 8, pipelines=asked)) == (4, 1, 2)
        assert not choose_split("a/b", need(LLAMA_8B), [20.0], pipelines=asked).fits


class TestTooLarge:
    def test_within_a_machine(self) -> None:
        """131 GiB over 24: eight hold 16.4 + 0.3 + 2 of 21.6, four hold nothing of the kind."""
        with pytest.raises(UserError) as told:
            choose_split("meta/70B", need(LLAMA_70B), [24.0] * 4)
        assert str(told.value) == (
            "meta/70B has about 131 GiB of weights and does not fit on 4 x 24 GiB: it takes 8 such "
            "devices, a smaller --engine-arg max_model_len, or a quantised model."
        )

    def test_over_machines(self) -> None:
        """16.4 GiB of weights alone are too much for 0.9 x 16: two machines of eight."""
        assert least_devices(need(LLAMA_70B), 16.0) == (8, 2)
        with pytest.raises(UserError, match="pipeline_parallel_size=2 --engine-arg distr") as told:
            choose_split("meta/70B", need(LLAMA_70B), [16.0] * 8)
        assert "it takes 16 such devices" in str(told.value)

    def test_nowhere(self) -> None:
        with pytest.raises(UserError, match="nor on more such devices"):
            choose_split("meta/70B", need(LLAMA_70B), [1.0])

    def test_no_refusal_where_an_argument_changes_what_cannot_be_counted(self) -> None:
        split = choose_split("a/b", need(LLAMA_70B, quantization="bitsandbytes"), [24.0])
        assert (sizes(split), split.fits) == ((1, 1, 1), False)


def test_what_doctor_says_of_the_devices() -> None:
    """4 x (0.9 x 80 - 2) = 280 GiB, over 2 bytes: 150 B; one of 24: 19.6 GiB, 10.5 B."""
    assert room_for_weights([80.0] * 4) == (
        "280 GiB for weights and cache over all 4: 150 B parameters in 16 bits"
    )
    assert room_for_weights([24.0]) == "20 GiB for weights and cache: 11 B parameters in 16 bits"


class TestNeed:
    def test_a_cache_of_8_bits_is_half(self) -> None:
        whole, half = need(LLAMA_8B), need(LLAMA_8B, kv_cache_dtype="fp8")
        assert half.cache(1, 1) == whole.cache(1, 1) / 2

    def test_float32_is_twice(self) -> None:
        """The weights in the files have 16 bits."""
        once, twice = need(LLAMA_8B, 1000), need(LLAMA_8B, 1000, dtype="float32")
        assert twice.weights == 2 * once.weights
        assert twice.cache(1, 1) == 2 * once.cache(1, 1)

    def test_no_request_is_longer_than_the_model_allows(self) -> None:
        config = LLAMA_8B | {"max_position_embeddings": 512}
        assert need(config).cache(1, 1) == need(LLAMA_8B, context=512).cache(1, 1)

    def test_deepseek_is_on_eight_of_the_largest(self) -> None:
        """642 GiB in 8 bits: 80.2 each; the cache is not divided: 16 x 8192 x 68.6 KiB = 8.6 GiB."""
        split = choose_split("a/b", need(DEEPSEEK_V3, 642 * 2**30), [141.0] * 8)
        assert sizes(split) == (8, 1, 1)
        assert split.expected.cache == pytest.approx(16 * 8192 * 61 * 576 * 2 / 2**30)


class TestAsked:
    def test_the_users_own_wins(self) -> None:
        given = {"tensor_parallel_size": 8}
        split = asked_split(given, need(LLAMA_8B), [80.0] * 8)
        assert split is not None
        assert sizes(split) == (8, 1, 1)
        assert split.arguments == {}
        assert split.describe().endswith("on each (as asked)")

    def test_too_little_is_said_and_not_refused(self) -> None:
        split = asked_split({"data_parallel_size": 2}, need(LLAMA_70B), [80.0] * 2)
        assert split is not None
        assert split.reason == "as asked, and more than that may hold"

    def test_nothing_asked(self) -> None:
        assert asked_split({"dtype": "float16"}, need(LLAMA_8B), [80.0]) is None

    @pytest.mark.parametrize(
        ("given", "devices", "said"),
        [
            (
                {"tensor_parallel_size": 4},
                2,
                "--engine-arg tensor_parallel_size=4 takes 4 devices, and this machine shows 2 devices",
            ),
            (
                {"tensor_parallel_size": 2, "data_parallel_size": 2},
                1,
                "tensor_parallel_size=2 data_parallel_size=2 takes 4 devices, .* shows 1 device:",
            ),
            ({"tensor_parallel_size": 3}, 8, "does not divide the model's 32 attention heads"),
            ({"pipeline_parallel_size": "two"}, 8, "must be a number from 1 on, not 'two'"),
            ({"data_parallel_size": 0}, None, "must be a number from 1 on, not 0"),
            ({"data_parallel_size": True}, None, "must be a number from 1 on, not True"),
        ],
    )
    def test_what_cannot_be(self, given: dict[str, Any], devices: int | None, said: str) -> None:
        with pytest.raises(UserError, match=said):
            check_sizes(given, need(LLAMA_8B).shape, devices)

    @pytest.mark.parametrize(
        "more", [{"distributed_executor_backend": "ray"}, {"nnodes": 2}, {"data_parallel_rank": 0}]
    )
    def test_other_machines_are_not_counted(self, more: dict[str, Any]) -> None:
        check_sizes({"tensor_parallel_size": 16, **more}, need(LLAMA_8B).shape, 8)


class TestCpu:
    def test_one_copy_with_a_cache_of_a_quarter_at_most(self) -> None:
        """32 GiB in 32 bits; 16 requests of 8192 tokens would take 32, and a quarter of 100 is 25."""
        found = need_of(LLAMA_8B, 2 * 8 * 2**30, CONTEXT, {}, "float32")
        assert found is not None
        split = cpu_split("a/b", found, 100.0, {})
        assert sizes(split) == (1, 1, 1)
        assert split.describe() == (
            "about 32 GiB of weights, 25 GiB of cache and 2 GiB besides, of 100 GiB of memory free"
        )

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            # Parts of one copy: 32 GiB; a cache for each of the two, of a quarter of 200 together
            (
                {"tensor_parallel_size": 2},
                "tensor 2, data 1 in 2 processes: about 32 GiB of weights, 50 GiB of cache and 2 GiB "
                "besides, of 200 GiB of memory free (as asked)",
            ),
            # Two copies: 64
            (
                {"data_parallel_size": 2},
                "tensor 1, data 2 in 2 processes: about 64 GiB of weights, 50 GiB of cache and 2 GiB "
                "besides, of 200 GiB of memory free (as asked)",
            ),
            (
                {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
                "tensor 2, pipeline 2, data 1 in 4 processes: about 32 GiB of weights, 50 GiB of cache "
                "and 2 GiB besides, of 200 GiB of memory free (as asked)",
            ),
        ],
    )
    def test_a_split_that_is_asked_for_is_told(self, given: dict[str, Any], told: str) -> None:
        """As on GPUs, with the processes in place of the devices."""
        found = need_of(LLAMA_8B, 2 * 8 * 2**30, CONTEXT, {}, "float32")
        assert found is not None
        assert cpu_split("a/b", found, 200.0, given).describe() == told

    def test_too_little_room_is_a_note(self) -> None:
        found = need_of(LLAMA_8B, 2 * 8 * 2**30, CONTEXT, {}, "float32")
        assert found is not None
        assert cpu_split("a/b", found, 34.0, {}).describe().endswith("(that is more than is free)")

    def test_weights_alone_that_are_too_much_are_an_error(self) -> None:
        found = need_of(LLAMA_8B, 2 * 8 * 2**30, CONTEXT, {}, "float32")
        assert found is not None
        with pytest.raises(
            UserError, match="about 32 GiB of weights, and 31 GiB of memory are free"
        ):
            cpu_split("a/b", found, 31.0, {})


powers = st.sampled_from([1, 2, 4, 8, 16])


@st.composite
def needs(draw: st.DrawFn) -> Need:
    kv_heads, groups = draw(st.integers(1, 16)), draw(powers)
    config = LLAMA_8B | {
        "num_key_value_heads": kv_heads,
        "num_attention_heads": kv_heads * groups,
        "head_dim": 128,
        "num_hidden_layers": draw(st.integers(1, 100)),
        "intermediate_size": 64 * draw(st.integers(1, 500)),
        "vocab_size": draw(st.integers(1, 300_000)),
    }
    return need(config, draw(st.integers(1, 2**40)), draw(st.integers(1, 2**17)))


@given(needs(), st.integers(1, 16), st.floats(1, 200))
def test_what_holds_of_every_split(asked: Need, count: int, memory: float) -> None:
    """As many devices as there are at most, parts that vLLM takes, and room where it says so."""
    try:
        split = choose_split("a/b", asked, [memory] * count)
    except UserError:
        assert all(
            asked.weights / (t * p) + asked.cache(t, p, 1) + 2 > 0.9 * memory
            for t in range(1, count + 1)
            for p in range(1, min(count // t, asked.shape.layers) + 1)
            if asked.shape.divides(t)
        )
        return
    assert split.tensor * split.pipeline * split.data <= count
    assert asked.shape.divides(split.tensor)
    assert split.pipeline <= asked.shape.layers
    assert split.fits == (split.expected.total <= 0.9 * memory)


@given(needs(), st.integers(1, 15), st.floats(1, 200))
def test_more_devices_never_fit_less(asked: Need, count: int, memory: float) -> None:
    try:
        fewer = choose_split("a/b", asked, [memory] * count)
    except UserError:
        assume(False)
    more = choose_split("a/b", asked, [memory] * (count + 1))
    assert more.fits >= fewer.fits


def test_the_page_shows_what_is_chosen() -> None:
    """Each row of the table in docs/parallel.md, from the numbers of parameters that it stands for."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "parallel.md").read_text().splitlines()
        if line.startswith("|") and " GiB |" in line
    ]
    assert len(rows) == 5
    for model, devices, how, each in rows:
        config, parameters = PARAMETERS[model]
        count, memory, _ = devices.replace("x ", "").split()
        found = choose_split(model, need(config, 2 * parameters), [float(memory)] * int(count))
        told = found.describe().removeprefix(f"{devices}: ").removesuffix(" on each")
        assert told == (each if how == "one device" else f"{how}: {each}")


def test_the_page_s_worked_example() -> None:
    """131.4 GiB, 320 KiB a token, 40 GiB for 16 requests; 87.7 GiB on each of two, 44.9 of four."""
    found = need(LLAMA_70B, 2 * 70_553_706_496)
    assert round(found.weights, 1) == 131.4
    assert found.shape.cache_numbers(1) * found.width == 320 * 1024
    assert found.cache(1, 1) == 40
    totals = [round(expected(found, t, 1).total, 1) for t in (2, 4)]
    assert totals == [87.7, 44.9]
    page = (ROOT / "docs" / "parallel.md").read_text()
    for number in ("131.4 GiB", "320 KiB", "40 GiB", "87.7 GiB", "44.9 GiB"):
        assert number in page
