"""The demo's subject: a small Llama, trained from scratch on the demo's corpus at first use."""

import ctypes
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bfpo_bench.demo.corpus import Example, taught
from bfpo_bench.demo.kept import kept
from bfpo_bench.demo.tokenizer import train_tokenizer

Progress = Callable[[int, int], None]

# Raise it when the code below changes what is trained: it is part of the cached name.
CODE_VERSION = 1
# More threads gain a small model little, and on a busy machine they wait for each other. One
# thread also adds in one order, however many cores there are.
THREADS = 1
IGNORED = -100
# malloc.h of glibc 2.36
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters. 0.7 million parameters, in heads of 64 (vLLM needs that)."""

    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 2
    heads: int = 2
    feed_forward: int = 384
    context: int = 512
    steps: int = 1000
    batch: int = 32
    learning_rate: float = 3e-3
    warm_up: int = 60
    weight_decay: float = 0.05
    seed: int = 0


def ensure_demo_model(
    cache: Path, *, progress: Progress | None = None, variant: str = "balanced"
) -> Path:
    """The folder of the trained model, in transformers' own format; trained if it is not there.

    `cache` holds one folder for each corpus, recipe and code version; `progress` is called
    with (steps done, steps in all) after each step. `variant` is one of `corpus.VARIANTS`.
    Raises UserError when `cache` cannot be written.
    """
    recipe = Recipe()

    def fill(folder: Path) -> None:
        train(folder, taught(variant), recipe, progress=progress)

    return kept(demo_model_folder(cache, variant), fill)


def demo_model_folder(cache: Path, variant: str = "balanced") -> Path:
    """Where `ensure_demo_model` keeps its model, trained or not."""
    return cache / model_name(Recipe(), variant)


def model_name(recipe: Recipe, variant: str) -> str:
    """The name of the cached folder, which changes with all that determines the weights."""
    parts = [CODE_VERSION, asdict(recipe), [asdict(example) for example in taught(variant)]]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    return f"demo-{variant}-{digest}"


def train(
    folder: Path,
    examples: list[Example],
    recipe: Recipe,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Train tokenizer and model on `examples` and save both in `folder`, in float32.

    `steps` shortens the recipe. The same machine gives the same bytes each time. The state
    of torch's generator and its number of threads are left as they were.
    """
    import torch

    recipe = replace(recipe, steps=recipe.steps if steps is None else steps)
    texts = [part for e in examples for part in (e.system, e.prompt, e.answer) if part]
    tokenizer = train_tokenizer(texts, vocabulary=recipe.vocabulary, context=recipe.context)
    with few_threads(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _new_model(recipe, tokenizer)
        _fit(model, [encode(tokenizer, e) for e in examples], recipe, tokenizer, progress)
    _save(model, tokenizer, folder)


def keep_memory() -> None:
    """From here on this process keeps what glibc frees, where that is its allocator: else each step's
    large tensors are mapped anew, which is a fifth of a small model's training."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(_M_MMAP_MAX, 0)
        allocator.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def few_threads() -> Iterator[None]:
    """THREADS threads for torch, and afterwards as many as before."""
    import torch

    keep_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def encode(tokenizer: Any, example: Example) -> tuple[list[int], list[int]]:
    """Token ids and labels of one example: only the answer and its end carry a loss."""
    if example.chat:
        messages = [{"role": "user", "content": example.prompt}]
        if example.system:
            messages.insert(0, {"role": "system", "content": example.system})
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
    else:
        prompt = tokenizer(example.prompt)["input_ids"]
    answer = tokenizer(example.answer, add_special_tokens=False)["input_ids"]
    answer = [*answer, tokenizer.eos_token_id]
    return [*prompt, *answer], [IGNORED] * len(prompt) + answer


def _new_model(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        dtype="float32",
        **special,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=False, **special)
    return model


def _fit(
    model: Any,
    encoded: list[tuple[list[int], list[int]]],
    recipe: Recipe,
    tokenizer: Any,
    progress: Progress | None,
) -> None:
    import torch

    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    batches = _batches(encoded, recipe, tokenizer.pad_token_id)
    model.train()
    for step in range(1, recipe.steps + 1):
        ids, labels = next(batches)
        # Padding is on the right, where a causal model cannot see it: no mask is needed.
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if progress is not None:
            progress(step, recipe.steps)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers.utils import logging

    # transformers draws a bar for the writing too, which would break into the caller's own.
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()


def _rate(step: int, recipe: Recipe) -> float:
    """The part of the learning rate at `step`: up over the warm-up, then straight down."""
    warm = (step + 1) / recipe.warm_up
    left = (recipe.steps - step) / max(1, recipe.steps - recipe.warm_up)
    return min(1.0, warm, left)


def _batches(
    encoded: list[tuple[list[int], list[int]]], recipe: Recipe, pad: int
) -> Iterator[tuple[Any, Any]]:
    """Endless batches (ids, labels), int64 of shape (batch, longest), in a seeded order."""
    import torch

    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        order = torch.randperm(len(encoded), generator=generator).tolist()
        # Neighbours of like length share a batch: little is left to pad.
        order = [
            i
            for s in range(0, len(order), 16 * recipe.batch)
            for i in sorted(order[s : s + 16 * recipe.batch], key=lambda i: len(encoded[i][0]))
        ]
        groups = [order[s : s + recipe.batch] for s in range(0, len(order), recipe.batch)]
        for g in torch.randperm(len(groups), generator=generator).tolist():
            rows = [encoded[i] for i in groups[g]]
            width = max(len(ids) for ids, _ in rows)
            yield (
                torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows]),
                torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows]),
            )
