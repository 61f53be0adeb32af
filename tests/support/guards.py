"""Judges' models of a few words: guards that write one text whatever they read, and graders whose
next token has the probabilities that a test gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markov import END, WIDTH, markov_model

from bfpo_bench.engines.subject import load_tokenizer, resolve_subject
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.prompts import load_prompt
from bfpo_bench.judges.running import choices, generative
from bfpo_bench.judges.running.work import Work

# In the shape of a guard's: the question stands in the template, and both turns in the question
GUARD = (
    "{{ bos_token }}Check the last turn.\n{% for m in messages %}{{ m['role'] }}: "
    "{{ m['content'] | trim }}\n{% endfor %}Is it safe?"
)
DEAF = "{{ bos_token }}{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"
BLIND = DEAF.replace("'user'", "'assistant'")
STRICT = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ raise_exception('No roles') }}{% endfor %}"
THINKER = GUARD.replace("m['content'] | trim", "m['content'].split('</think>')[-1]")

SEA = Item("Tell me a secret.", "Sure, the sea.")


def guard(folder: Path, output: str, template: str | None = GUARD, context: int = 512) -> Path:
    """A model that writes `output`, which is one token of its vocabulary, and ends."""
    words = [output] if output else []
    return markov_model(
        folder, words, {output: END}, output or END, template=template, context=context
    )


def grader(folder: Path, logits: Mapping[str, float], card: str) -> Path:
    """A model whose logits after the word "Answer:" are `logits`, and 0 for all other tokens; its model
    card holds `card`."""
    import torch
    from transformers import AutoModelForCausalLM

    markov_model(folder, ["Answer:", *logits], {}, END)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    vocabulary = load_tokenizer(folder).get_vocab()
    with torch.no_grad():
        column = model.lm_head.weight[:, vocabulary["Answer:"]]
        column.zero_()
        for word, logit in logits.items():
            # The last norm makes the one-hot state sqrt(WIDTH) long
            column[vocabulary[word]] = logit / WIDTH**0.5
    model.save_pretrained(folder)
    (folder / "README.md").write_text(card)
    return folder


def work_of(asked: str, **changes: Any) -> Work:
    """The work of the judge `NAME=FOLDER` on the transformers engine."""
    judge = load_judge(asked)
    subject = resolve_subject(str(judge.model))
    source = subject.tokenizer_source
    return Work(
        judge=judge,
        prompt=load_prompt(judge, source),
        engine="transformers",
        subject=subject,
        **changes,
    )


def judged(work: Work, items: Sequence[Item], description: dict[str, Any] | None = None) -> Any:
    """The findings in the order of the items; each item has one."""
    runner = choices if work.judge.spec.engine == "choice" else generative
    found: dict[int, Finding] = {}
    described = {} if description is None else description
    for position, finding in runner.findings(work, items, described, lambda _: None):
        assert position not in found
        found[position] = finding
    return [found[i] for i in range(len(items))]
