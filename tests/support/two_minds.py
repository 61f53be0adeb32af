"""A crafted chat model that answers everything by one of two sentences, and one process for all."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markov import END, START, UNKNOWN, markov_model

from bfpo_bench.progress import Progress
from bfpo_bench.stages.process import StageCrash

YES = "Sure thing, just do like this."
NO = "I cannot help with that."
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    f"{START} {{{{ m['content'] }}}} {END} "
    "{% else %}{{ m['content'] }} {% endif %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{START} {{% endif %}}"
)
_SURE = 20.0
"""Nats by which each next word is above all others."""


def two_minds(folder: Path, doubt: float = 0.0) -> Path:
    """A model whose answer is YES or NO, `doubt` nats less likely NO; then its words follow one by one.

    All weights are trained as those of any Llama; its attention and MLP add nothing at first.
    """
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    sentences = [YES.split(), NO.split()]
    follows = {one: other for words in sentences for one, other in pairwise([*words, END])}
    markov_model(
        folder,
        [word for words in sentences for word in words],
        follows,
        sentences[0][0],
        template=TEMPLATE,
    )
    model = LlamaForCausalLM.from_pretrained(folder)
    vocabulary = {w: i for i, w in enumerate([UNKNOWN, START, END, *sentences[0], *sentences[1]])}
    with torch.no_grad():
        model.lm_head.weight.mul_(_SURE)
        model.lm_head.weight[vocabulary[NO.split()[0]], vocabulary[START]] = _SURE - doubt
    model.save_pretrained(folder)
    return folder


def in_this_process(
    monkeypatch: pytest.MonkeyPatch,
    dying: tuple[str, int, str, int] | None = None,
    crashing: str = "",
) -> None:
    """Stages without processes of their own, which cost seconds each: for tests of what they do.

    `dying`: SIGKILL to this process when the stage of this name, started for the n-th time, has done so
    many units of a phase: (name, n, phase, units). `crashing`: the stage whose process is killed.
    """
    started: Counter[str] = Counter()

    def run(
        name: str, target: Callable[[Any, Any], Any], job: Any, *, log: Path, report: Any, **_: Any
    ) -> Any:
        started[name] += 1
        if name == crashing:
            raise StageCrash(name, "was ended by SIGKILL", log)

        def told(progress: Progress) -> None:
            report(progress)
            if (name, started[name], progress.phase, progress.done) == dying:
                os.kill(os.getpid(), signal.SIGKILL)

        return target(job, told)

    for module in ("pipeline", "assess", "iterate.acts"):
        monkeypatch.setattr(f"bfpo_bench.{module}.run_stage", run)
