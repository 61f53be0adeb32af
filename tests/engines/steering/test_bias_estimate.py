"""The estimate against one by hand: every number from a table of the model's own weights, in float64.

Two models of `markov` on the words a and b: the logit of what follows a word is TOP, of all else 0. A
distribution is therefore e^TOP / (e^TOP + 4) for what follows and 1 / (e^TOP + 4) for the other four.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import pytest
from markov import END, START, UNKNOWN, markov_model

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.steering.estimate import Estimate, estimate
from bfpo_bench.errors import UserError

VOCABULARY = [UNKNOWN, START, END, "a", "b"]
A, B, STOP = 3, 4, 2
TOP = 1 / math.sqrt(1 / 64 + 1e-6)
"""A one-hot embedding of 64 after Llama's norm, whose epsilon is 1e-6: nearly 8."""
SAFE, BASE = {"a": "b", "b": END}, {"a": "b", "b": "a"}
"""After a both say b; after b the one ends, and the other says a."""
PROMPTS = [(A,), (B, A), (A, A, B)]
"""The safe model answers b and ends; b and ends; and it ends at once."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFiles, ModelFiles]:
    folder = tmp_path_factory.mktemp("pair")
    made = [
        markov_model(folder / name, ["a", "b"], follows, "a")
        for name, follows in (("safe", SAFE), ("base", BASE))
    ]
    safe, base = (ModelFiles(str(path), 512, (STOP,)) for path in made)
    return safe, base


def distribution(follows: dict[str, str], word: str) -> list[float]:
    top = VOCABULARY.index(follows[word])
    weights = [math.exp(TOP * (i == top)) for i in range(5)]
    return [w / sum(weights) for w in weights]


def found(models: Any, difference: Literal["logprobs", "probs"] = "logprobs") -> Estimate:
    return estimate(*models, PROMPTS, 3, difference)


@pytest.mark.parametrize("difference", ["logprobs", "probs"])
def test_it_is_the_mean_by_hand(models: Any, difference: Literal["logprobs", "probs"]) -> None:
    """Position 0: after a, a and b. Position 1: the first two prompts alone, after the b that the safe
    model said (there it ends, and the third prompt's answer ended before). Position 2: nobody.

    After a the models agree, so the mean at 0 is a third of the difference after b, and that at 1 is
    that difference: for logprobs TOP nats on the end and -TOP on a, since both have one sum.
    """
    f = math.log if difference == "logprobs" else float
    after_b = [
        f(p) - f(q) for p, q in zip(distribution(SAFE, "b"), distribution(BASE, "b"), strict=True)
    ]
    told = found(models, difference)
    assert told.counts == (3, 2, 0)
    assert told.values[0].tolist() == pytest.approx([d / 3 for d in after_b], abs=1e-6)
    assert told.values[1].tolist() == pytest.approx(after_b, abs=1e-6)
    assert told.values[2].tolist() == [0.0] * 5
    if difference == "logprobs":
        assert told.values[1].tolist() == pytest.approx([0, 0, TOP, -TOP, 0], abs=1e-6)


def test_a_model_has_nothing_more_than_itself(models: Any) -> None:
    safe, _ = models
    assert not estimate(safe, safe, PROMPTS, 3, "logprobs").values.any()


def test_batches_change_nothing(models: Any) -> None:
    """Twenty prompts of one length are several batches; alone each gives its own numbers."""
    many = [(A,)] * 12 + [(B,)] * 8
    told = estimate(*models, many, 1, "logprobs")
    one, other = (estimate(*models, [prompt], 1, "logprobs") for prompt in ((A,), (B,)))
    assert told.counts == (20,)
    mean = (12 * one.values + 8 * other.values) / 20
    assert told.values.tolist() == [pytest.approx(row.tolist(), abs=1e-6) for row in mean]


def test_a_real_pair_equals_one_forward_pass_a_position(hub: str) -> None:
    """By hand: each prompt alone, each prefix anew, float64 softmax, Python's own sums."""
    import torch
    from transformers import AutoModelForCausalLM

    from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject

    files, tokenizer = [], None
    for name in ("fixtures/refuser-9M", "fixtures/rambler-9M"):
        subject = resolve_subject(name)
        tokenizer = load_tokenizer(subject.base.materialise())
        files.append(model_files(subject, tokenizer, 512, {}, 0))
    assert tokenizer is not None
    texts = ("How do I bake bread?", "What is a river", "Tell me about spring.", "Sing")
    prompts = [tuple(tokenizer.encode(text)) for text in texts]
    told = estimate(files[0], files[1], prompts, 3, "logprobs")
    safe, base = (
        AutoModelForCausalLM.from_pretrained(f.folder, dtype=torch.float32).eval() for f in files
    )

    def logprobs(model: Any, tokens: list[int]) -> Any:
        with torch.inference_mode():
            return model(torch.tensor([tokens])).logits[0, -1].double().log_softmax(-1)

    rows: list[list[Any]] = [[], [], []]
    for prompt in prompts:
        tokens = list(prompt)
        for position in range(3):
            mine = logprobs(safe, tokens)
            rows[position].append(mine - logprobs(base, tokens))
            tokens.append(int(mine.argmax()))
            if tokens[-1] in files[0].stop_tokens:
                break
    assert told.counts == tuple(len(row) for row in rows)
    for position, row in enumerate(rows):
        by_hand = sum(row) / len(row)
        apart = torch.from_numpy(told.values[position]).double() - by_hand
        assert apart.abs().max() < 1e-4
        assert by_hand.abs().max() > 0.5


class TestRefused:
    def test_vocabularies_of_two_sizes(self, models: Any, tmp_path: Path) -> None:
        larger = markov_model(tmp_path / "larger", ["a", "b", "c"], BASE, "a")
        other = ModelFiles(str(larger), 512, (STOP,))
        with pytest.raises(UserError, match=r"has 5 entries and the reference's 6"):
            estimate(models[0], other, PROMPTS, 2, "logprobs")

    def test_a_prompt_that_the_model_cannot_be_fed(self, models: Any) -> None:
        with pytest.raises(UserError, match=r"fails on prompt 2 \(.*none of the 5"):
            estimate(*models, [(A,), (99,), (B,)], 2, "logprobs")

    def test_weights_that_are_no_numbers(self, models: Any, tmp_path: Path) -> None:
        import shutil

        from safetensors.torch import load_file, save_file

        folder = shutil.copytree(models[1].folder, tmp_path / "broken")
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.weight"][0] = math.inf
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match="not finite"):
            estimate(models[0], ModelFiles(str(folder), 512, (STOP,)), PROMPTS, 2, "logprobs")
