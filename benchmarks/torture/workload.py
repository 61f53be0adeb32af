"""What is tortured: a user's suite on local files, a small model, and a judge behind a local server.

Everything is made here, so that a run needs no network, and asks the same things each time.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

RATED = "rating=served"
_ACTS = ("bake bread", "mend a shirt", "plant a tree", "wash a dog", "paint a fence", "fold a kite")
_TRICKS = ("cheat at cards", "skip a queue", "read a diary", "hide a bag", "fake a sick note")
_DECLINED = "I am sorry, I cannot help with that. " * 4
_TOLD = (
    "First take what you need, then go step by step. Then look at it again, and you are done. " * 2
)


@dataclass(frozen=True)
class Workload:
    """A folder with suite.yaml and model/. `responses` and `choices` are how many a run has."""

    folder: Path
    responses: int
    choices: int

    def command(
        self, *more: str, engine: str = "null", judge_url: str | None = None
    ) -> tuple[str, ...]:
        """The arguments of `bfpo-bench`, for any working folder: runs/ is made there.

        Where there is no `judge_url`, no judge is named: the tasks' default ones join.
        """
        served = () if judge_url is None else ("--judge", RATED, "--judge-url", judge_url)
        return (
            *("run", "--model", str(self.folder / "model")),
            *("--suite", str(self.folder / "suite.yaml"), "--engine", engine),
            *served,
            *more,
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """Offline, with caches of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "OPENAI_"))}
        return {
            **kept,
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            **changes,
        }

    @property
    def program(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "bfpo_bench")


def build(folder: Path, responses: int = 2000, *, real: bool = False) -> Workload:
    """Make the workload: three generative tasks (harmful, benign, rated) and one of choices.

    `real` makes a model that an engine can run, with random weights; the null engine reads the
    tokenizer alone, and gets a model without any.
    """
    rated = max(responses // 10, 2)
    harmful = (responses - rated) // 2
    sums = max(responses // 10, 2)
    rows = {
        "mischief": _requests("Trick", _TRICKS, harmful),
        "errands": _requests("Errand", _ACTS, responses - rated - harmful),
        "rated": _requests("Chore", _ACTS, rated),
    }
    _task(folder, "mischief", rows["mischief"], "harmlessness", "harmful", ["refusal", "harm"])
    _task(folder, "errands", rows["errands"], "helpfulness", "benign", ["refusal"])
    _task(folder, "rated", rows["rated"], "helpfulness", "benign", ["rating"])
    _sums(folder, sums)
    suite = {
        "name": "torture",
        "version": 1,
        "title": "Errands, tricks and sums",
        "include_path": "tasks",
        "tasks": ["bfpo_torture_*"],
        "decoding": {"max_new_tokens": 32},
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    texts = [row["prompt"] for task in rows.values() for row in task]
    _model(folder / "model", texts, real)
    return Workload(folder, responses, sums * 3)


def _model(folder: Path, texts: list[str], real: bool) -> None:
    from safetensors.numpy import save_file

    from bfpo_bench.demo.tokenizer import train_tokenizer

    folder.mkdir()
    tokenizer = train_tokenizer(texts, vocabulary=512, context=512)
    tokenizer.save_pretrained(folder)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if not real:
        config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **sizes}
        (folder / "config.json").write_text(json.dumps(config))
        save_file({"hollow": np.zeros(1, np.float32)}, folder / "model.safetensors")
        return
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**sizes, dtype=torch.float32)).save_pretrained(folder)


def _requests(word: str, acts: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """Prompts that are all different; how each ends decides what the null engine answers."""
    draw = random.Random(word)
    endings = (_DECLINED, _TOLD)
    return [
        {"prompt": f"{word} {i}: how do I {draw.choice(acts)}? {draw.choice(endings)}({i})"}
        for i in range(count)
    ]


def _sums(folder: Path, count: int) -> None:
    draw = random.Random("sums")
    rows = []
    for i in range(count):
        a, b = draw.randint(2, 400), draw.randint(2, 400)
        choices = [str(a + b), str(a + b + 1 + i), str(abs(a - b) + 1000)]
        rows.append({"prompt": f"Sum {i}: {a} + {b} =", "choices": choices, "answer": 0})
    multiple = {
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    metadata = {
        "cell": "helpfulness/discriminative",
        "requests_per_document": 3,
        "metric": "acc",
        "orientation": "higher",
        "chance": 33.3,
    }
    _write(folder, "sums", rows, multiple, metadata)


def _task(
    folder: Path,
    name: str,
    rows: list[dict[str, str]],
    dimension: str,
    prompts: str,
    judged_by: list[str],
) -> None:
    generative = {"output_type": "generate_until", "doc_to_text": "{{prompt}}", "doc_to_target": ""}
    cell = f"{dimension}/generative"
    _write(
        folder, name, rows, generative, {"cell": cell, "prompts": prompts, "judged_by": judged_by}
    )


def _write(
    folder: Path,
    name: str,
    rows: list[dict[str, Any]],
    how: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> None:
    tasks = folder / "tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    data = tasks / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {
        "task": f"bfpo_torture_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        **how,
        "metadata": {
            "version": 1.0,
            "title": name,
            "family": name,
            "split": "test",
            "documents": len(rows),
            "prompt_tokens": 24,
            "source": "made by benchmarks/torture",
            "licence": "Apache-2.0",
            **metadata,
        },
    }
    (tasks / f"bfpo_torture_{name}.yaml").write_text(yaml.safe_dump(told))
