"""What vLLM itself says of pipelines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import need_vllm

from bfpo_bench.engines import pipelines
from bfpo_bench.engines.pipelines import has_pipelines
from bfpo_bench.engines.trial import Trial


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    has_pipelines.cache_clear()
    yield
    has_pipelines.cache_clear()


@pytest.mark.parametrize(
    ("trial", "found"),
    [
        (Trial({"pipelines": True}), True),
        (Trial({"pipelines": False}), False),
        (Trial(None, "the process ended with code 1"), False),
    ],
)
def test_the_child_s_answer(monkeypatch: pytest.MonkeyPatch, trial: Trial, found: bool) -> None:
    """Asked once, whatever it is."""
    names = []

    def attempt(_: object, *, timeout: float, environ: dict[str, str]) -> Trial:
        names.append(environ["BFPO_BENCH_ARCHITECTURE"])
        return trial

    monkeypatch.setattr(pipelines, "attempt", attempt)
    assert [has_pipelines("LlamaForCausalLM") for _ in range(2)] == [found, found]
    assert names == ["LlamaForCausalLM"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_vllm_is_asked() -> None:
    """Zamba2 has none in vLLM 0.32."""
    need_vllm()
    assert has_pipelines("LlamaForCausalLM")
    assert not has_pipelines("Zamba2ForCausalLM")
