"""What a BFPO step costs: this project's trainer against TRL's DPO on the same model and pairs.

    python benchmarks/training.py [--steps N] [--repeats N] [--hidden N] [--layers N] [--bf16] [--json FILE]

A Llama with random weights and pairs of synthetic text; every side trains in a process of its own, in
turns, so that neither gets the warmer machine. Printed are medians over the repeats, and ratios:
tokens/s of BFPO with a precomputed reference against TRL's DPO with one and with a live one (and by
CPU time, which a busy machine disturbs less, most of all with OMP_NUM_THREADS=1), the
peak memory of the processes (of the GPU, where there is one), and the pass that precomputes the
reference against plain forwards over the same batches. The share of peak FLOP/s, with --peak-tflops,
counts 6 operations a parameter and token and the attention's (PaLM, arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json

SIDES = ("bfpo", "trl", "trl-live")
WORDS = "the a small red dog cat girl boy went to park saw big ball and said hello then home rain"
WARM_UP = 2


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=10, help="timed steps a training")
    made.add_argument("--batch", type=int, default=4, help="pairs a step")
    made.add_argument("--words", type=int, default=60, help="words of a prompt and of an answer")
    made.add_argument("--hidden", type=int, default=256)
    made.add_argument("--layers", type=int, default=6)
    made.add_argument("--vocabulary", type=int, default=16_000)
    made.add_argument("--bf16", action="store_true", help="mixed precision, on a GPU")
    made.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    made.add_argument("--peak-tflops", type=float, help="of the GPU, for the share of its peak")
    made.add_argument("--side", choices=(*SIDES, "reference"), help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    if options.side == "reference":
        print(json.dumps(reference_pass(options)))
    elif options.side:
        print(json.dumps(training(options)))
    else:
        words = list(sys.argv[1:] if arguments is None else arguments)
        found = measure(options, words)
        ratios = show(options, found)
        write_json(options.json, command(__file__, arguments), ratios, {"sides": found})


def measure(options: argparse.Namespace, words: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Every side in turns."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in (*SIDES, "reference")}
    for _ in range(options.repeats):
        for side, figures in found.items():
            figures.append(_child(words, side))
    return found


def show(options: argparse.Namespace, found: dict[str, list[dict[str, float]]]) -> list[Ratio]:
    """Print the tables; returns the ratios."""

    def median(side: str, key: str) -> float:
        return statistics.median(f[key] for f in found[side])

    def over(key: str, side: str) -> float:
        return median("bfpo", key) / median(side, key)

    keys = ["tokens_per_second", "tokens_per_cpu_second", "peak_mib"]
    columns = ["medians", "tokens/s", "tokens a CPU second", "peak MiB"]
    rows: list[list[object]] = [[side, *(median(side, key) for key in keys)] for side in SIDES]
    if options.peak_tflops:
        columns.append("% of peak")
        for row, side in zip(rows, SIDES, strict=True):
            row.append(100 * median(side, "tflops") / options.peak_tflops)
    title = f"{found['bfpo'][0]['parameters']:,.0f} parameters on {found['bfpo'][0]['device']}"
    table(title, columns, rows)
    reference = [f["forward_seconds"] / f["pass_seconds"] for f in found["reference"]]
    ratios = [
        Ratio("speed, BFPO / TRL DPO precomputed", over("tokens_per_second", "trl")),
        Ratio("per CPU second, the same", over("tokens_per_cpu_second", "trl")),
        Ratio("speed, BFPO / TRL DPO live", over("tokens_per_second", "trl-live")),
        Ratio("per CPU second, the same, live", over("tokens_per_cpu_second", "trl-live")),
        Ratio("memory, BFPO / TRL DPO precomputed", over("peak_mib", "trl")),
        Ratio("speed, reference pass / plain forward", statistics.median(reference)),
    ]
    ratio_table("Ratios of medians", ratios)
    return ratios


def _child(words: Sequence[str], side: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, *words, "--side", side], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{side}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def training(options: argparse.Namespace) -> dict[str, Any]:
    """One side's training: tokens/s over the steps after the first ones, and the peak memory."""
    import torch

    tokenizer = build_tokenizer(options)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(options, tokenizer)
        model.save_pretrained(folder)
        clock = _clock()
        trainer = build_trainer(options, model, folder, tokenizer, clock)
        trainer.train()
    seconds = clock.ends[-1] - clock.ends[WARM_UP - 1]
    worked = clock.worked[-1] - clock.worked[WARM_UP - 1]
    tokens = options.steps * clock.tokens
    if torch.cuda.is_available():
        peak, device = torch.cuda.max_memory_allocated() / 2**20, torch.cuda.get_device_name()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        device = f"{torch.get_num_threads()} CPU threads"
    parameters = sum(p.numel() for p in model.parameters())
    length = clock.tokens / (2 * options.batch)
    operations = 6 * parameters + 12 * options.layers * options.hidden * length
    return {
        "tokens_per_second": tokens / seconds,
        "tokens_per_cpu_second": tokens / worked,
        "tflops": tokens / seconds * operations / 1e12,
        "peak_mib": peak,
        "parameters": parameters,
        "device": device,
    }


def build_trainer(
    options: argparse.Namespace, model: Any, folder: str, tokenizer: Any, clock: Any
) -> Any:
    from trl import DPOConfig, DPOTrainer

    from bfpo_bench.training.config import BFPOConfig
    from bfpo_bench.training.trainer import BFPOTrainer

    shared = {
        "output_dir": folder,
        "per_device_train_batch_size": options.batch,
        "max_steps": WARM_UP + options.steps,
        "max_length": 1024,
        "learning_rate": 1e-6,
        "bf16": options.bf16,
        "gradient_checkpointing": options.checkpointing,
        "logging_steps": 5,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    own = options.side == "bfpo"
    live = options.side == "trl-live"
    made = BFPOTrainer if own else DPOTrainer
    config = BFPOConfig if own else DPOConfig
    model.config._name_or_path = folder
    return made(
        model=model,
        args=config(**shared, precompute_ref_log_probs=not live),
        train_dataset=pairs(options),
        processing_class=tokenizer,
        callbacks=[clock],
    )


def _clock() -> Any:
    """A callback that notes when each step ended, with the GPU's work done."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []
            self.worked: list[float] = []
            self.tokens = 0

        def on_train_begin(self, *_: Any, train_dataloader: Any, **__: Any) -> None:
            # All pairs are equally long, so that every batch has as many tokens
            self.tokens = int(next(iter(train_dataloader))["attention_mask"].sum())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())
            self.worked.append(time.process_time())

    return Clock()


def reference_pass(options: argparse.Namespace) -> dict[str, float]:
    """The pass that scores the reference, and plain forwards over the batches that it made."""
    import torch

    from bfpo_bench.training import reference

    options.side = "bfpo"
    tokenizer = build_tokenizer(options)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            options, build_model(options, tokenizer), folder, tokenizer, _clock()
        )
    rows = list(trainer.train_dataset)
    todo = reference.unscored(rows, {})
    own = reference.batches(todo, 2 * options.batch, 0, 1)
    run, model, pad = trainer._reference_runner(), trainer.model, tokenizer.pad_token_id

    def forward(batch: list[reference.Scored]) -> None:
        inputs = reference.padded(batch, pad)
        with torch.no_grad(), trainer.accelerator.autocast():
            model(
                input_ids=inputs["input_ids"].to(model.device),
                attention_mask=inputs["attention_mask"].to(model.device),
                use_cache=False,
            )
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    batches = [[todo[name] for name in names] for names in own]
    run(batches[0])
    forward(batches[0])
    times = {"pass_seconds": 0.0, "forward_seconds": 0.0}
    for batch in batches:
        for key, call in (("pass_seconds", run), ("forward_seconds", forward)):
            began = time.perf_counter()
            call(batch)
            times[key] += time.perf_counter() - began
    return times


def pairs(options: argparse.Namespace) -> Any:
    """As many pairs as the steps take, all of the same length in words."""
    from datasets import Dataset

    draw = random.Random(0)

    def text() -> str:
        return " ".join(draw.choices(WORDS.split(), k=options.words))

    count = options.batch * (WARM_UP + options.steps)
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": text()}],
                "chosen": [{"role": "assistant", "content": text()}],
                "rejected": [{"role": "assistant", "content": text()}],
                "chosen_safe": number % 2,
                "rejected_safe": number // 2 % 2,
            }
            for number in range(count)
        ]
    )


def build_tokenizer(options: argparse.Namespace) -> Any:
    from bfpo_bench.demo.tokenizer import train_tokenizer

    return train_tokenizer([f" {word}" for word in WORDS.split()], vocabulary=2048, context=2048)


def build_model(options: argparse.Namespace, tokenizer: Any) -> Any:
    """Random weights; the vocabulary is as large as asked, of which the tokenizer uses the first."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        intermediate_size=3 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        num_key_value_heads=options.hidden // 64,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


if __name__ == "__main__":
    main()
