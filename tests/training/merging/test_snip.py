"""SNIP scores against a model differentiated by hand and by torch's own graph, in float64."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from preference import tiny_model
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

from bfpo_bench.errors import UserError
from bfpo_bench.training.merging.scores import ScoresManifest, read_scores, write_scores
from bfpo_bench.training.merging.snip import completion_loss, linear_weights, snip_scores

EXAMPLES = [([0], [1]), ([1, 0], [0, 1, 1]), ([1], [0])]


class Bigram(nn.Module):
    """Two tokens, whose embeddings 1 and 2 go through one weight w to logits (w e, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, 1, dtype=torch.float64)
        self.inner = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        self.head = nn.Linear(1, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.embed.weight.copy_(torch.tensor([[1.0], [2.0]]))
            self.inner.weight.fill_(-0.7)
            self.head.weight.copy_(torch.tensor([[1.0], [0.0]]))

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> CausalLMOutput:
        assert not use_cache
        return CausalLMOutput(logits=self.head(self.inner(self.embed(input_ids))))


def by_hand(w: float, prompt: list[int], completion: list[int]) -> tuple[float, float]:
    """(L, dL/dw) of the bigram model in plain Python.

    After a token of embedding e, token 0 has p = 1 / (1 + exp(-w e)), so token 0 costs -log p with slope
    -(1 - p) e, and token 1 costs -log (1 - p) with slope p e.
    """
    loss = slope = 0.0
    for before, token in zip([prompt[-1], *completion], completion, strict=False):
        e = (1.0, 2.0)[before]
        p = 1 / (1 + math.exp(-w * e))
        loss += -math.log(p if token == 0 else 1 - p)
        slope += -(1 - p) * e if token == 0 else p * e
    return loss / len(completion), slope / len(completion)


def test_a_model_of_one_weight() -> None:
    """The mean of |w dL/dw| over three examples, of which slopes have both signs: it is not |w| times the
    absolute mean slope."""
    w = -0.7
    expected = [by_hand(w, *example) for example in EXAMPLES]
    slopes = [slope for _, slope in expected]
    assert min(slopes) < 0 < max(slopes)
    scores, loss = snip_scores(Bigram(), EXAMPLES)
    assert list(scores) == ["inner.weight"]
    assert scores["inner.weight"].item() == pytest.approx(
        sum(abs(w * slope) for slope in slopes) / 3, rel=1e-12
    )
    assert loss == pytest.approx(sum(loss for loss, _ in expected) / 3, rel=1e-12)


@pytest.mark.usefixtures("hub")
def test_a_llama() -> None:
    """Every entry of every score, against gradients of one example at a time of a loss written anew from
    the logits' softmax; head, embeddings and norms have none."""
    model = tiny_model().double()
    examples = [([5, 6, 7], [8, 9]), ([10, 11], [12, 13, 14, 15])]
    weights = linear_weights(model)
    assert {name.rsplit(".", 2)[-2] for name in weights} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    }
    expected: dict[str, Any] = dict.fromkeys(weights, 0.0)
    for prompt, completion in examples:
        ids = [*prompt, *completion]
        p = torch.softmax(model(input_ids=torch.tensor([ids])).logits[0], -1)
        said = [p[at - 1, ids[at]].log() for at in range(len(prompt), len(ids))]
        own = torch.autograd.grad(-sum(said) / len(completion), list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), own, strict=True):
            expected[name] = expected[name] + (weight.detach() * gradient).abs() / len(examples)
    heard: list[tuple[int, int]] = []
    found, _ = snip_scores(model, examples, lambda *told: heard.append(told))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-14)
    assert heard == [(0, 2), (1, 2), (2, 2)]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.usefixtures("hub")
def test_half_precision_is_summed_in_float32() -> None:
    model = tiny_model().bfloat16()
    scores, _ = snip_scores(model, [([5, 6], [7, 8])])
    assert {value.dtype for value in scores.values()} == {torch.float32}


def test_prompts_are_not_learnt() -> None:
    """Only the completion's two tokens, after the prompt's last one, are in the loss."""
    short, long = ([0], [1, 0]), ([1, 1, 0], [1, 0])
    losses = [completion_loss(Bigram(), *example).item() for example in (short, long)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_a_gradient_that_is_no_number() -> None:
    model = Bigram()
    with torch.no_grad():
        model.inner.weight.fill_(torch.nan)
    with pytest.raises(UserError, match=r"scores of inner\.weight hold NaN or infinity: check"):
        snip_scores(model, EXAMPLES)


def test_a_model_without_linear_layers() -> None:
    model = Bigram()
    model.inner = nn.Identity()
    with pytest.raises(UserError, match="has no linear layers"):
        snip_scores(model, EXAMPLES)


class TestFolder:
    MANIFEST = ScoresManifest(model="safety@1a2b3c4d", weights="0123", examples=3, loss=1.5)

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        scores = {"b": torch.rand(3, 2), "a": torch.rand(4, dtype=torch.float64)}
        write_scores(tmp_path / "scores", scores, self.MANIFEST)
        told, found = read_scores(tmp_path / "scores")
        assert told == self.MANIFEST
        assert {name: stored.stored_as for name, stored in found.items()} == {
            "a": "F64",
            "b": "F32",
        }
        for name, value in scores.items():
            assert torch.equal(found[name].read(), value)

    def test_a_fault_leaves_nothing(self, tmp_path: Path) -> None:
        scores = {"a": torch.rand(3), "b": torch.rand(3).to("meta")}
        with pytest.raises(NotImplementedError):
            write_scores(tmp_path / "scores", scores, self.MANIFEST)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("left", "said"),
        [
            (None, "scores holds no scores (scores.json: No such file or directory): make them"),
            ("{}", "does not say what the scores are of: make them again with `bfpo-bench snip`."),
            ("\x00", "does not say what the scores are of"),
            ('{"format": 2}', "does not say what the scores are of"),
        ],
    )
    def test_a_folder_that_holds_none(self, tmp_path: Path, left: str | None, said: str) -> None:
        write_scores(tmp_path / "scores", {"a": torch.rand(3)}, self.MANIFEST)
        path = tmp_path / "scores" / "scores.json"
        if left is None:
            path.unlink()
        else:
            path.write_text(left)
        with pytest.raises(UserError) as refused:
            read_scores(tmp_path / "scores")
        assert said in str(refused.value)

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        write_scores(tmp_path / "scores", {"a": torch.rand(3)}, self.MANIFEST)
        file = tmp_path / "scores" / "scores.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(UserError, match=r"scores\.safetensors is damaged"):
            read_scores(tmp_path / "scores")
