"""How probable each of a few tokens is as the next one: two engines, one answer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest
import serving
from serving import said

from bfpo_bench.engines.base import ChoiceRequest, ModelFiles
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.errors import UserError

Probabilities = Sequence[tuple[float, ...]]


def flat(found: Probabilities) -> list[float]:
    return [logprob for options in found for logprob in options]


def choose(engine: TransformersEngine, requests: Sequence[ChoiceRequest]) -> Probabilities:
    found = dict(engine.choices(requests))
    return [found[i] for i in range(len(requests))]


def with_batch(rows: int) -> TransformersEngine:
    files = dataclasses.replace(serving.plain_files(), arguments={"batch_size": rows})
    return TransformersEngine.load(files)


def forward(files: ModelFiles) -> Probabilities:
    """The model's own forward, one prompt at a time: nothing is padded, nothing generated."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32).eval()
    found = []
    for request in serving.choosing(files):
        with torch.inference_mode():
            logits = model(torch.tensor([request.prompt])).logits[0, -1]
        found.append(tuple(logits.log_softmax(-1)[list(request.options)].tolist()))
    return found


class TestTransformers:
    @pytest.mark.parametrize("model", ["plain", "refuser"])
    def test_it_is_what_the_model_computes(self, hub: str, model: str) -> None:
        files = {"plain": serving.plain_files, "refuser": serving.refuser_files}[model]()
        mine = said("transformers", model).choices
        assert [len(options) for options in mine] == [4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7]
        assert flat(mine) == pytest.approx(flat(forward(files)), abs=1e-4, rel=0)

    def test_they_are_of_the_whole_vocabulary(self, hub: str) -> None:
        """So over every token they sum to one, and over a few to less."""
        engine, files = with_batch(4), serving.plain_files()
        prompt = serving.choosing(files)[0].prompt
        whole = ChoiceRequest(prompt, tuple(range(engine.model.config.vocab_size)))
        few = ChoiceRequest(prompt, (300, 297))
        found = choose(engine, [whole, few])
        assert sum(math.exp(p) for p in found[0]) == pytest.approx(1, abs=1e-5)
        assert found[1] == pytest.approx((found[0][300], found[0][297]), abs=1e-6)

    def test_they_do_not_depend_on_the_batch(self, hub: str) -> None:
        requests = serving.choosing(serving.plain_files())
        for rows in (1, 3):
            assert flat(choose(with_batch(rows), requests)) == pytest.approx(
                flat(said("transformers").choices), abs=1e-4, rel=0
            )

    def test_log_probabilities_that_are_no_numbers(self, hub: str) -> None:
        import torch

        engine = with_batch(4)
        with torch.no_grad():
            engine.model.model.norm.weight.fill_(float("nan"))
        with pytest.raises(UserError, match="not finite numbers"):
            list(engine.choices(serving.choosing(serving.plain_files())))


class TestVllmAgainstTransformers:
    """`hostile` has the weights of `plain` and sampling defaults that must not count; `adapter` a
    LoRA adapter, as StrongREJECT's judge is one."""

    @pytest.mark.parametrize(
        ("model", "same"),
        [("hostile", "plain"), ("adapter", "adapter"), ("refuser", "refuser")],
    )
    def test_they_agree(self, hub: str, model: str, same: str) -> None:
        serving.need_vllm()
        mine, other = said("vllm", model).choices, said("transformers", same).choices
        assert flat(mine) == pytest.approx(flat(other), abs=1e-4, rel=0)
        assert len(set(flat(mine))) > 40
