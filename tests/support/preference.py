"""Preference training in the small: a random Llama behind a real chat template, and mild pairs."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import torch
from bench import REFUSER
from datasets import Dataset
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from bfpo_bench.training.config import BFPOConfig
from bfpo_bench.training.trainer import BFPOTrainer

CASES = ((1, 1), (1, 0), (0, 1), (0, 0))
"""(chosen_safe, rejected_safe) of `pairs`, in turn."""

_ASKED = list(
    itertools.product(
        ("paint", "water", "clean", "carry", "mend", "sell", "draw"),
        ("a fence", "the roses", "an old kettle", "my bicycle", "a wool coat"),
    )
)


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """So many of an endless row of pairs, from number `start` on: conversations, all safety cases in
    turn, responses of 4 to 15 words. The first 70 differ."""
    return [_row(i, *_ASKED[i % len(_ASKED)]) for i in range(start, start + count)]


def _row(number: int, act: str, thing: str) -> dict[str, Any]:
    how = "slowly and with care" if number < len(_ASKED) else "and then rest"
    chosen = " ".join([act, thing, *[how] * (number % 4), "today."])
    rejected = " ".join(["do not", act, thing, *["ever"] * (number % 3)])
    safe = CASES[number % 4]
    return {
        "prompt": [{"role": "user", "content": f"How do I {act} {thing}?"}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "chosen_safe": safe[0],
        "rejected_safe": safe[1],
    }


def pairs(count: int, start: int = 0) -> Dataset:
    return Dataset.from_list(rows(count, start))


@functools.cache
def tokenizer() -> PreTrainedTokenizerBase:
    """That of fixtures/refuser-9M, which needs the `hub` fixture: its algorithm, special tokens and
    chat template, with a vocabulary of some 350 trained anew on the pairs, so that logits are small."""
    texts = [
        message["content"] for row in rows(70) for k in row if "safe" not in k for message in row[k]
    ]
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(REFUSER)
    return found.train_new_from_iterator(texts, vocab_size=512)


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """A random Llama of two layers and width 32 in float32, for that tokenizer.

    Its weights are ten times as large as usual, so that log-probabilities differ by nats.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=tokenizer().bos_token_id,
        eos_token_id=tokenizer().eos_token_id,
    )
    return LlamaForCausalLM(config)


def saved_model(folder: Path, seed: int = 0) -> str:
    """The same as a folder with its tokenizer, as a user names it."""
    tiny_model(seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


PLAIN: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "max_length": 64,
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "optim": "sgd",
    "max_steps": 4,
    "logging_steps": 1,
    "save_strategy": "no",
    "gradient_checkpointing": False,
    "use_cpu": True,
    "bf16": False,
    "report_to": [],
    "disable_tqdm": True,
}
"""Few, quick, plain steps on a CPU: settings that DPOConfig knows as well. With SGD, whose steps are
proportional to the gradient, the weights show a gradient that is wrong by a factor."""


def trainer(
    model: Any,
    folder: Path,
    *,
    main: Dataset | None = None,
    buffer: Dataset | None = None,
    ref_model: Any = None,
    peft_config: Any = None,
    margin_model: Any = None,
    routing: Any = None,
    eval_dataset: Dataset | None = None,
    callbacks: list[Any] | None = None,
    progress: Any = lambda *told: None,
    **changes: Any,
) -> BFPOTrainer:
    """A trainer on 16 pairs, unless `main` gives others; `changes` are to PLAIN."""
    return BFPOTrainer(
        model,
        ref_model,
        args=BFPOConfig(str(folder), max_prompt_length=32, **{**PLAIN, **changes}),
        train_dataset=pairs(16) if main is None else main,
        buffer_dataset=buffer,
        eval_dataset=eval_dataset,
        processing_class=tokenizer(),
        callbacks=callbacks,
        peft_config=peft_config,
        margin_model=margin_model,
        margin_beta=0.5,
        routing=routing,
        progress=progress,
    )


def weights(model: Any) -> dict[str, Tensor]:
    """A copy of every parameter, by name."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def disturb(model: Any, seed: int = 1) -> None:
    """Change every weight by about a hundredth, the same for every model of one shape."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.01 * torch.randn(value.shape, generator=random)


def plain_log_prob(model: Any, row: dict[str, Any], side: str) -> float:
    """The log-probability in nats of the row's response, by transformers alone: the conversation
    through the chat template, one sequence without padding, logits in float64."""
    render = functools.partial(tokenizer().apply_chat_template, tokenize=True, return_dict=False)
    ids = torch.tensor([render(row["prompt"] + row[side])])
    start = len(render(row["prompt"], add_generation_prompt=True))
    with torch.no_grad():
        log_probs = model(input_ids=ids).logits.double().log_softmax(-1)
    return float(log_probs[0, :-1].gather(1, ids[0, 1:, None])[start - 1 :].sum())


def plain_h(policy: Any, reference: Any, row: dict[str, Any]) -> float:
    """The row's h in nats, likewise."""
    margins = [
        plain_log_prob(model, row, "chosen") - plain_log_prob(model, row, "rejected")
        for model in (policy, reference)
    ]
    return margins[0] - margins[1]
