"""What a model says of a tree is what it says of each query alone, whatever its architecture."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
import transformers

from bfpo_bench.engines.base import Likelihood, ModelFiles, ScoringRequest
from bfpo_bench.engines.prefix import Query, Tree, plan
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.engines.trees import Score, TreeReader

VOCABULARY = 96
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OTHERS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 256},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "bloom": {"n_head": 4, "n_layer": 2},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "mamba": {"state_size": 4},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """A model this small only loses by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(kind: str, **more: Any) -> Any:
    """A model with random weights, large enough that every part of it shows in its answers."""
    torch.manual_seed(0)
    common = {k: v for k, v in SMALL.items() if k != "head_dim"} if kind in OTHERS else SMALL
    config = transformers.AutoConfig.for_model(kind, **{**common, **OTHERS.get(kind, {}), **more})
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "A_log" not in name:
                parameter.normal_(std=0.3)
    return model


def documents(stem: int, count: int, context: int = 20) -> list[Query]:
    """`count` documents of three choices each, of which two begin alike, on one stem."""
    draw = random.Random(0)

    def some(size: int) -> list[int]:
        return [draw.randrange(3, VOCABULARY) for _ in range(size)]

    found, begin = [], some(stem)
    for _ in range(count):
        text, start = begin + some(draw.randrange(4, context)), some(2)
        for choice in (start + some(3), start + some(1), some(5)):
            fed = tuple((text + choice)[:-1])
            places = tuple(range(len(text) - 1, len(fed)))
            found.append(Query(fed, places, tuple(choice)))
    return found


def alone(model: Any, query: Query) -> Score:
    """The plain forward pass of one row, all logits."""
    with torch.inference_mode():
        logprobs = model(torch.tensor([query.tokens])).logits[0].log_softmax(-1)
    at = logprobs[list(query.places)]
    best = at.argmax(-1).tolist()
    told = [at[i, token].item() for i, token in enumerate(query.targets)]
    return told, [a == b for a, b in zip(best, query.targets, strict=True)]


def score(reader: TreeReader, queries: Sequence[Query], trees: Sequence[Tree]) -> dict[int, Score]:
    found = {}
    for tree in trees:
        told = reader.score([[queries[i] for i in tree.members]], tree.stem)
        found.update(zip(tree.members, told, strict=True))
    return found


def check(model: Any, queries: Sequence[Query]) -> list[Tree]:
    """Planned and scored as the engine does, against each query alone; -> the trees."""
    reader = TreeReader(model)
    trees = plan(queries, reader.attention, 2048, reader.longest)
    found = score(reader, queries, trees)
    assert sorted(found) == list(range(len(queries)))
    for position, query in enumerate(queries):
        logprobs, best = alone(model, query)
        assert found[position][0] == pytest.approx(logprobs, abs=1e-4)
        assert found[position][1] == best
    return trees


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("llama", {"attn_implementation": "eager"}),
        ("gpt2", {}),
        ("gpt_neox", {}),
        ("opt", {}),
        ("qwen3", {}),
        ("gemma2", {"final_logit_softcapping": 3.0, "sliding_window": 128}),
        ("cohere", {"logit_scale": 0.25}),
        ("granite", {"logits_scaling": 8.0}),
        ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}),
    ],
)
def test_these_share(kind: str, more: dict[str, Any]) -> None:
    """Rotary and learned positions, biases, experts, logits that are capped or scaled after the head."""
    model = tiny(kind, **more)
    assert TreeReader(model).describe() in ("yes", "up to 128 tokens")
    trees = check(model, documents(0, 4))
    assert len(trees) == 4
    assert [tree.stem for tree in trees] == [0] * 4


def test_a_stem_goes_before_many_rows() -> None:
    """40 tokens that 70 documents of about 30 tokens begin with: some 2,100 tokens beyond them."""
    queries = documents(40, 70, context=40)
    trees = check(tiny("llama"), queries)
    assert {tree.stem for tree in trees} == {40}
    reader = TreeReader(tiny("llama"))
    together = reader.score([[queries[i] for i in tree.members] for tree in trees[:5]], 40)
    apart = [score(reader, queries, [tree]) for tree in trees[:5]]
    expected = [told for found in apart for told in found.values()]
    for (mine, _), (other, _) in zip(together, expected, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("gpt_neo", "no: GPTNeoForCausalLM builds its attention mask itself"),
        ("bloom", "no: BloomForCausalLM builds its attention mask itself"),
        ("mamba", "no: MambaForCausalLM builds its attention mask itself"),
    ],
)
def test_these_do_not(kind: str, reason: str) -> None:
    """Each row whole: a local window inside the model, positions from the mask, a state."""
    model = tiny(kind)
    assert TreeReader(model).describe() == reason
    assert len(check(model, documents(0, 4))) == 12


def test_a_query_longer_than_the_sliding_window_goes_alone() -> None:
    """A window of 24: a tree's mask would open it."""
    model = tiny("mistral", sliding_window=24)
    queries = documents(0, 6, context=26)
    assert TreeReader(model).describe() == "up to 24 tokens"
    for tree in check(model, queries):
        if len(tree.members) > 1:
            assert max(len(queries[i].tokens) for i in tree.members) <= 24
    assert {len(q.tokens) > 24 for q in queries} == {True, False}


class TestThroughTheEngine:
    """Whole calls, in whichever batches the engine makes of them, against each request's row alone."""

    def check(self, model: Any, requests: Sequence[ScoringRequest]) -> None:
        engine = TransformersEngine(model, ModelFiles("none", context=256, stop_tokens=()))
        found = dict(engine.loglikelihoods(requests))
        assert len(found) == len(requests)
        for position, request in enumerate(requests):
            last = len(request.tokens) - 1
            places = tuple(range(last - request.continuation, last))
            targets = request.tokens[-request.continuation :]
            logprobs, best = alone(model, Query(request.tokens[:-1], places, targets))
            told = found[position]
            assert isinstance(told, Likelihood)
            assert told.logprob == pytest.approx(sum(logprobs), abs=1e-3)
            assert told.greedy == all(best)

    def some(self, draw: random.Random, size: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, VOCABULARY) for _ in range(size))

    def test_two_prefixes_of_equal_length(self) -> None:
        """40 tokens that 60 requests begin with, and 40 others that 60 more do."""
        draw = random.Random(1)
        prefixes = self.some(draw, 40), self.some(draw, 40)
        requests = [
            ScoringRequest((*prefix, 3 + i, *self.some(draw, 39)), 3)
            for i in range(60)
            for prefix in prefixes
        ]
        self.check(tiny("llama"), requests)

    def test_a_query_beyond_the_window_keeps_it_beside_a_tree(self) -> None:
        """A window of 24: one row of 80, and a tree of 5 x 6 tokens on 18 that takes much as well."""
        draw = random.Random(2)
        prefix = self.some(draw, 18)
        tree = [ScoringRequest(prefix + self.some(draw, 6), 4) for _ in range(5)]
        long = [ScoringRequest(self.some(draw, size), 3) for size in (80, 60, 45)]
        self.check(tiny("mistral", sliding_window=24), [*long, *tree])


def test_a_model_that_ignores_the_mask_is_found_out() -> None:
    """Whatever its class says: the trial at loading compares numbers."""
    model = tiny("llama")
    plain = model.model.forward
    model.model.forward = lambda *args, attention_mask=None, **rest: plain(*args, **rest)
    assert TreeReader(model).describe() == (
        "no: its log-probabilities in a tree are others than alone"
    )


def test_a_model_that_takes_no_positions_is_found_out() -> None:
    model = tiny("llama")
    plain = model.model.forward

    def forward(*args: Any, position_ids: Any = None, **rest: Any) -> Any:
        if position_ids is not None:
            raise TypeError("no positions, please\nat all")
        return plain(*args, **rest)

    model.model.forward = forward
    assert TreeReader(model).describe() == (
        "no: its forward pass takes no tree (no positions, please)"
    )


def test_only_the_places_asked_about_have_logits() -> None:
    """Two choices of one token after five: one place, one row of logits."""
    model, seen = tiny("llama"), []
    reader = TreeReader(model)
    model.lm_head.register_forward_hook(lambda head, given, out: seen.append(tuple(out.shape)))
    queries = [Query((5, 6, 7, 8, 9), (4,), (token,)) for token in (11, 12)]
    [tree] = plan(queries, reader.attention, 2048, sys.maxsize)
    assert score(reader, queries, [tree])[1][0] == pytest.approx(alone(model, queries[1])[0])
    assert seen[0] == (1, 1, VOCABULARY)
