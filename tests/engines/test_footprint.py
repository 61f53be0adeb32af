"""How much memory a model takes, worked by hand from published configurations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_shapes import DEEPSEEK_V3, LLAMA_8B, LLAMA_70B, MIXTRAL, PARAMETERS, QWEN_72B

from bfpo_bench.engines.footprint import shape_of, weight_bytes


def shape(config: dict[str, Any]) -> Any:
    found = shape_of(config)
    assert found is not None
    return found


@pytest.mark.parametrize("model", PARAMETERS)
def test_parameters_are_those_that_are_published(model: str) -> None:
    """Norms and biases are left out: less than one in ten thousand."""
    config, published = PARAMETERS[model]
    assert shape(config).parameters() == pytest.approx(published, rel=1e-4)


def test_parameters_of_llama_by_hand() -> None:
    """A layer: queries and output 2 x 4096 x 4096, keys and values 2 x 4096 x 1024, three matrices of
    4096 x 14336: 218,103,808. 32 of them, and twice 128,256 x 4096 for words in and out."""
    assert shape(LLAMA_8B).parameters() == 32 * 218_103_808 + 2 * 525_336_576


class TestCache:
    def test_of_one_token(self) -> None:
        """Llama-3.1-8B: 2 x 32 layers x 8 heads x 128 = 65,536 numbers, 128 KiB in 16 bits; the 70B has
        80 layers: 320 KiB."""
        assert shape(LLAMA_8B).cache_numbers(1) * 2 == 128 * 1024
        assert shape(LLAMA_70B).cache_numbers(1) * 2 == 320 * 1024

    def test_opt_13b_as_its_paper_has_it(self) -> None:
        """arXiv:2309.06180, section 3: 2 x 5120 x 40 layers x 2 bytes = 800 KB."""
        opt = LLAMA_8B | {"hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40}
        assert shape(opt | {"num_key_value_heads": 40}).cache_numbers(1) * 2 == 800 * 1024

    @pytest.mark.parametrize(("tensor", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
    def test_heads_are_shared_out_and_the_last_one_is_copied(self, tensor: int, heads: int) -> None:
        assert shape(LLAMA_8B).cache_numbers(10, tensor) == 10 * 2 * 32 * heads * 128

    def test_latent_attention_keeps_one_vector_on_every_device(self) -> None:
        """DeepSeek-V3: 61 layers x (512 + 64), whatever is split: 69 KB a token in 16 bits."""
        for tensor in (1, 8):
            assert shape(DEEPSEEK_V3).cache_numbers(1, tensor) == 61 * 576

    def test_windows_and_states(self) -> None:
        """Of 1000 tokens a window of 100 keeps 100, a linear layer none: 1000 + 100 + 0 + 1000."""
        kinds = ["full_attention", "sliding_attention", "linear_attention", "full_attention"]
        config = LLAMA_8B | {"num_hidden_layers": 4, "layer_types": kinds, "sliding_window": 100}
        assert shape(config).cache_numbers(1000) == 2100 * 2 * 8 * 128
        assert shape(config).cache_numbers(50) == 150 * 2 * 8 * 128

    def test_a_window_without_layer_types_counts_for_nothing(self) -> None:
        """Which layers have it is not told: too much is better than too little."""
        config = LLAMA_8B | {"sliding_window": 100}
        assert shape(config).cache_numbers(1000) == shape(LLAMA_8B).cache_numbers(1000)


class TestDivides:
    @pytest.mark.parametrize(
        ("config", "sizes"),
        [
            # 14336 is 2**11 x 7, and 32 heads are 2**5
            (LLAMA_8B, {1, 2, 4, 8, 16, 32}),
            # 29568 is 2**7 x 3 x 7 x 11
            (QWEN_72B, {1, 2, 4, 8, 16, 32, 64}),
            (MIXTRAL, {1, 2, 4, 8, 16, 32}),
            # 20 heads over 5: the vocabulary, padded to a multiple of 64, must take it as well
            (LLAMA_8B | {"num_attention_heads": 20, "num_key_value_heads": 20}, {1, 2, 4}),
            # 28 heads over 4 that are shared: Qwen2.5-7B; 7 devices would cut them
            (
                LLAMA_8B
                | {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 7 * 64},
                {1, 2, 4, 28},
            ),
        ],
    )
    def test_what_vllm_takes(self, config: dict[str, Any], sizes: set[int]) -> None:
        found = shape(config)
        assert {n for n in range(1, 65) if found.divides(n)} == sizes

    @pytest.mark.parametrize(
        ("quantised", "sizes"),
        [
            # 1536 is 12 x 128: over 8 devices a block of fp8 would be cut in two
            ({"quant_method": "fp8", "weight_block_size": [128, 128]}, {1, 2, 4}),
            ({"quant_method": "awq", "group_size": 128}, {1, 2, 4}),
            # 1536 / 8 is 3 x 64
            ({"quant_method": "gptq", "group_size": 64}, {1, 2, 4, 8}),
            ({"config_groups": {"group_0": {"weights": {"group_size": 128}}}}, {1, 2, 4}),
            ({"quant_method": "gptq", "group_size": -1}, {1, 2, 4, 8, 16, 32}),
        ],
    )
    def test_no_group_of_quantised_weights_is_cut(
        self, quantised: dict[str, Any], sizes: set[int]
    ) -> None:
        """vLLM refuses it: "output_size of gate's and up's weight = 192 is not divisible by weight
        quantization block_n = 128"."""
        experts = {"num_experts": 128, "moe_intermediate_size": 1536, "intermediate_size": 12288}
        found = shape(LLAMA_8B | experts | {"quantization_config": quantised})
        assert {n for n in range(1, 33) if found.divides(n)} == sizes


class TestWeights:
    def test_files_of_16_bits_stay_as_they_are(self) -> None:
        assert weight_bytes(LLAMA_8B, 16_060_522_496, 2.0) == 16_060_522_496

    def test_files_of_32_bits_become_half_of_it_on_a_gpu(self) -> None:
        assert weight_bytes(LLAMA_8B | {"torch_dtype": "float32"}, 1000, 2.0) == 500

    def test_and_those_of_16_twice_on_a_cpu(self) -> None:
        """transformers 5 writes `dtype`."""
        assert weight_bytes({"dtype": "bfloat16"}, 1000, 4.0) == 2000

    def test_quantised_ones_stay(self) -> None:
        assert weight_bytes(DEEPSEEK_V3, 700, 4.0) == 700

    def test_what_is_not_told_is_counted(self) -> None:
        counted = weight_bytes(MIXTRAL, None, 2.0)
        assert counted == pytest.approx(2 * 46_702_792_704, rel=1e-4)
        assert weight_bytes({"hidden_size": 64}, None, 2.0) is None


def test_a_config_of_another_kind_has_no_shape() -> None:
    assert shape_of({}) is None
    assert shape_of({"text_config": LLAMA_8B}) == shape_of(LLAMA_8B)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted({*DEEPSEEK_V3, "layer_types", "head_dim"})), JSON))
def test_a_config_of_any_content_does_not_break_it(config: dict[str, Any]) -> None:
    """It is somebody else's file."""
    found = shape_of(config)
    if found is not None:
        assert found.cache_numbers(100) >= 0
        assert found.divides(1)
    weight_bytes(config, None, 2.0)
