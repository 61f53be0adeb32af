"""What a bias on the first positions costs: answers of one engine with it and without, same requests.

    python benchmarks/bias.py [--model ID_OR_PATH] [--engine transformers|vllm] [--requests N]
        [--positions N] [--new-tokens N]

Both sides run in one process on one loaded engine, in turns. Nothing ends an answer before its budget,
and the bias is zero, so that both make the same tokens: its size costs, not its numbers. With as many
positions as new tokens it costs the most that it can. On vLLM the processor is loaded on both sides, and
on the plain one no request is its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    Ratio,
    command,
    in_turns,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    write_json,
)
from benchmarks.made_suite import texts
from bfpo_bench.engines.base import BiasFile, GenerationRequest, ModelFiles
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.steering.file import PromptSource, Provenance, write_bias
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.runs.identity import ModelIdentity

NOBODY = ModelIdentity(name="none", weights="", adapter=None, tokenizer="", chat_template=None)
CONTEXT = 2048


def zeros(file: Path, positions: int, vocabulary: int) -> BiasFile:
    told = Provenance(
        model=NOBODY,
        reference=NOBODY,
        vocabulary="",
        difference="logprobs",
        continuation="none",
        chat_template=False,
        prompts=PromptSource(sha256="", prompts=0),
        counts=(0,) * positions,
        engine={},
        version="",
        created="",
    )
    values = np.zeros((positions, vocabulary), dtype=np.float32)
    return BiasFile(str(file.resolve()), write_bias(file, values, told).sha256)


def sides(engine: Any, asked: Sequence[GenerationRequest]) -> dict[str, Callable[[], int]]:
    """Each answers everything; -> how many tokens that made."""
    plain: Any = {} if engine.name == "vllm" else None

    def answer(bias: Any) -> int:
        engine._bias = bias
        return sum(len(found.tokens) for _, found in engine.generate(asked))

    return {"plain": partial(answer, plain), "biased": partial(answer, engine._bias)}


def load(options: argparse.Namespace, folder: Path) -> tuple[Any, list[GenerationRequest], int]:
    """The engine with its bias, the requests, and the size of the vocabulary."""
    subject = resolve_subject(options.model)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    files: ModelFiles = model_files(subject, tokenizer, CONTEXT, {}, 0)
    text = subject.config.get("text_config") or subject.config
    bias = zeros(folder / "zeros.bias", options.positions, int(text["vocab_size"]))
    files = dataclasses.replace(files, stop_tokens=(), bias=bias)
    new, room = options.new_tokens, files.context - options.new_tokens
    prompts = [tuple(tokenizer.encode(text))[:room] for text in texts(options.requests)]
    asked = [GenerationRequest(prompt, new) for prompt in prompts]
    return load_engine(options.engine, files), asked, int(text["vocab_size"])


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--model", default="fixtures/rambler-9M")
    made.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    made.add_argument("--requests", type=int, default=256)
    made.add_argument("--positions", type=int, default=5)
    made.add_argument("--new-tokens", type=int, default=64)
    options = made.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        engine, asked, vocabulary = load(options, Path(folder))
        # Once before: vLLM's prefix cache holds all prompts then, for both sides alike
        laps = in_turns(sides(engine, asked), options.repeats, warm_up=True)
        engine.close()
    tokens = {lap.result for rounds in laps.values() for lap in rounds}
    assert len(tokens) == 1, "a bias of zeros changed the answers"
    times, count = medians(laps), tokens.pop()
    ratios = [
        Ratio(f"biased / plain, {name}", quotient(laps, "biased", "plain", cpu=cpu))
        for name, cpu in (("time", False), ("CPU time", True))
    ]
    told = f"{options.engine}, {options.requests} requests, {options.positions} positions"
    table(
        f"{told} of {options.new_tokens}, vocabulary {vocabulary:,}",
        ["side", "s", "CPU s", "tokens/s"],
        [(s, t["seconds"], t["cpu_seconds"], count / t["seconds"]) for s, t in times.items()],
    )
    ratio_table("What the bias costs", ratios)
    write_json(
        options.json, command(__file__, arguments), ratios, {"sides": times, "tokens": count}
    )


if __name__ == "__main__":
    main()
