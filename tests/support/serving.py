"""Engines in stage processes, each started once a session, whichever worker of it asks: what they
said, as plain data.

`hostile` is a folder with the weights of stories260K-head64 and a generation_config.json full of
sampling defaults, penalties and suppressed tokens: an engine that lets them in says other words.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import pickle
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from bench import HEAD64, REFUSER
from filelock import FileLock
from session_folder import SESSION

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
)
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.tokens import request_seed, scoring_request
from bfpo_bench.stages.process import Report, run_stage

PROMPTS = (
    "Once upon a time, there was a little",
    "The dog was very happy because",
    "One day, Lily went to the park and",
    "Tom had a big red ball. He",
    "Mom said it was time to",
    "In the garden there was a small",
    "The cat and the bird were",
    "It was raining outside, so the boy",
    "She wanted to eat the",
    "The sun was shining and the children",
)
PAIRS = (
    ("Once upon a time, there was a little girl named", " Lily"),
    ("Once upon a time, there was a little girl named", " Benjamin the Third"),
    ("", "The dog was very happy."),
    ("She was sad ", "and she cried."),
    ("One day " * 400, "he went to the park."),
    ("The cat sat on the mat. Is that right?\nAnswer:", " yes"),
    ("Tom", "."),
)
NEW_TOKENS = 24
STOP = 294
"""A token that two of the greedy answers reach after 16 others, made a stop token: the model's own
end does not come within NEW_TOKENS."""


@dataclass(frozen=True)
class Job:
    engine: str
    files: ModelFiles
    generation: tuple[GenerationRequest, ...] = ()
    scoring: tuple[ScoringRequest, ...] = ()
    choosing: tuple[ChoiceRequest, ...] = ()


@dataclass(frozen=True)
class Said:
    """In the order asked. `preempted`: how often vLLM put a request back, where it counts that."""

    generations: tuple[Generation, ...]
    likelihoods: tuple[Likelihood, ...]
    described: dict[str, Any]
    choices: tuple[tuple[float, ...], ...] = ()
    preempted: int | None = None


def serve(job: Job, report: Report) -> Said:
    """A stage: load the engine and let it answer everything, log-likelihoods first."""
    if job.engine == "transformers":
        # In the tests' own process: a model this small only loses by more threads
        import torch

        torch.set_num_threads(1)
    engine = load_engine(job.engine, job.files)
    likelihoods = dict(engine.loglikelihoods(job.scoring))
    generations = dict(engine.generate(job.generation))
    choices = dict(engine.choices(job.choosing))
    described, preempted = engine.describe(), _preempted(job, engine)
    engine.close()
    return Said(
        tuple(generations[i] for i in range(len(job.generation))),
        tuple(likelihoods[i] for i in range(len(job.scoring))),
        described,
        tuple(choices[i] for i in range(len(job.choosing))),
        preempted,
    )


def _preempted(job: Job, engine: Any) -> int | None:
    """vLLM keeps its metrics where the job's arguments ask for them."""
    if job.files.arguments.get("disable_log_stats", True):
        return None
    metrics = engine.llm.get_metrics()
    return sum(one.value for one in metrics if one.name == "vllm:num_preemptions")


def need_vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    flags = Path("/proc/cpuinfo").read_text()
    if not shutil.which("nvidia-smi") and "avx512f" not in flags:
        pytest.skip("vLLM's CPU build needs AVX-512, which this machine lacks")


@functools.cache
def work() -> Path:
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="bfpo-bench-serving-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def plain_files() -> ModelFiles:
    subject = resolve_subject(HEAD64)
    files = model_files(subject, load_tokenizer(subject.base.materialise()), 8192, {}, seed=0)
    return replace(files, stop_tokens=(*files.stop_tokens, STOP))


@functools.cache
def refuser_files() -> ModelFiles:
    """A chat model, of another size and vocabulary."""
    subject = resolve_subject(REFUSER)
    return model_files(subject, load_tokenizer(subject.base.materialise()), 8192, {}, seed=0)


@functools.cache
def hostile_files() -> ModelFiles:
    """The same weights; see the module's docstring."""
    folder = work() / "hostile"
    shutil.copytree(plain_files().folder, folder)
    config = json.loads((folder / "generation_config.json").read_text())
    favourites = sorted({g.tokens[0] for g in said("transformers").generations[: len(PROMPTS)]})
    config |= {
        # An end of its own is no hostility: both engines stop at it
        "eos_token_id": list(plain_files().stop_tokens),
        "do_sample": True,
        "temperature": 2.0,
        "top_k": 3,
        "repetition_penalty": 1.7,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": favourites,
        "max_new_tokens": 3,
        "max_length": 5,
        "min_p": 0.5,
    }
    (folder / "generation_config.json").write_text(json.dumps(config))
    subject = resolve_subject(str(folder))
    return model_files(subject, load_tokenizer(folder), 8192, {}, seed=0)


@functools.cache
def adapter_files() -> ModelFiles:
    """A LoRA adapter with random weights of visible size on the hub's stories260K-head64."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(plain_files().folder, dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.05)
    folder = work() / "adapter"
    model.save_pretrained(folder)
    written = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps(written | {"base_model_name_or_path": HEAD64})
    )
    subject = resolve_subject(str(folder))
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    return model_files(subject, tokenizer, 8192, {}, seed=0)


def scoring() -> tuple[ScoringRequest, ...]:
    """PAIRS as tokens: choices of one token and of many, an empty context, one that must be cut."""
    files = plain_files()
    tokenizer = load_tokenizer(Path(files.folder))
    return tuple(scoring_request(tokenizer, c, a, files.context)[0] for c, a in PAIRS)


def generation() -> tuple[GenerationRequest, ...]:
    """Every prompt greedily, then some sampled, and those again."""
    tokenizer = load_tokenizer(Path(plain_files().folder))
    prompts = [tuple(tokenizer.encode(p)) for p in PROMPTS]
    greedy = [GenerationRequest(p, NEW_TOKENS) for p in prompts]
    sampled = [
        GenerationRequest(p, NEW_TOKENS, 1.0, 0.95, request_seed(0, "task", i, 0))
        for i, p in enumerate(prompts[:4])
    ]
    return (*greedy, *sampled, *sampled)


def choosing(files: ModelFiles) -> tuple[ChoiceRequest, ...]:
    """Prompts of all lengths, one token and a full context among them, each with options of its own:
    a different number of them, in no order."""
    tokenizer = load_tokenizer(Path(files.folder))
    texts = [tokenizer.encode(text) for text in PROMPTS]
    prompts = [*texts, texts[0][:1], (texts[0] * files.context)[: files.context]]
    return tuple(
        ChoiceRequest(tuple(prompt), tuple(range(300, 290 - i, -3)))
        for i, prompt in enumerate(prompts)
    )


GREEDY = slice(0, len(PROMPTS))
SAMPLED = slice(len(PROMPTS), len(PROMPTS) + 4)
SAMPLED_AGAIN = slice(len(PROMPTS) + 4, len(PROMPTS) + 8)


def said(engine: str, model: str = "plain") -> Said:
    """What `engine` answers with `model`: plain, hostile, adapter, or refuser (choices alone)."""
    found = _said(engine, model)
    if isinstance(found, Exception):
        raise found
    return found


@functools.cache
def _said(engine: str, model: str) -> Said | Exception:
    """A failure is kept as well, for this process: what costs half a minute fails once."""
    if model == "refuser":
        job = Job(engine, refuser_files(), choosing=choosing(refuser_files()))
    else:
        files = {"plain": plain_files, "hostile": hostile_files, "adapter": adapter_files}[model]()
        job = Job(engine, files, generation(), scoring(), choosing(files))
    if engine == "transformers":
        return serve(job, lambda _: None)
    # pickle, because it is our own data; a lock, because another worker may be at it just now
    known = SESSION / f"said-{engine}-{model}.pickle"
    with FileLock(known.with_suffix(".lock")):
        if known.exists():
            return cast(Said, pickle.loads(known.read_bytes()))
        log = SESSION / f"said-{engine}-{model}.log"
        try:
            found = run_stage("serve", serve, job, log=log, report=lambda _: None)
        except Exception as error:
            error.add_note(log.read_text()[-3000:])
            return error
        known.write_bytes(pickle.dumps(found))
    return found
