"""What judges on an engine of ours share: the tokenizer, the prompts, and the loaded model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bfpo_bench.engines.base import Engine, Failure, ModelFiles
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.running.wording import check_template, judge_prompt
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress, Report


@dataclass(frozen=True)
class Asked:
    """Prompts of a judge as token ids, each with its position in the items, and the tokenizer that
    reads and writes them; `files` is what an engine loads to answer them."""

    tokenizer: Any
    files: ModelFiles
    prompts: list[tuple[int, tuple[int, ...]]]
    unjudged: list[tuple[int, Finding]]


def prepare(work: Work, items: Sequence[Item]) -> Asked:
    """The prompts of all items, and findings for those that cannot be asked about.

    Raises UserError for a tokenizer or chat template that cannot serve the judge.
    """
    from bfpo_bench.engines.subject import load_tokenizer, model_files

    assert work.subject is not None
    subject = work.subject
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise(), subject.remote_code)
    check_template(work, tokenizer)
    files = model_files(subject, tokenizer, work.context, work.arguments, seed=0)
    files = replace(files, remote=work.remote)
    asked = Asked(tokenizer, files, [], [])
    for position, item in enumerate(items):
        prompt = judge_prompt(work, tokenizer, files.context, item)
        if isinstance(prompt, Finding):
            asked.unjudged.append((position, prompt))
        else:
            asked.prompts.append((position, tuple(prompt)))
    return asked


@contextmanager
def loaded(
    work: Work, files: ModelFiles, description: dict[str, Any], report: Report
) -> Iterator[Engine]:
    """The judge's model in its engine, which is described, and closed at the end."""
    from bfpo_bench.engines.select import load_engine

    assert work.engine is not None
    report(Progress(f"loading the judge into {work.engine}"))
    engine = load_engine(work.engine, files)
    description.update(engine.describe())
    try:
        yield engine
        # What happened on the way: smaller batches, an engine that was started again
        description.update(engine.describe())
    finally:
        engine.close()


def failed(failure: Failure) -> Finding:
    """The judge has not spoken: not remembered, and asked again by the same command, which may have
    more memory or a sounder machine."""
    return Finding(
        "unjudged", error=f"the judge's engine failed on it: {failure.reason}", fault=True
    )


def read(judge: Judge, parsed: Finding | str, raw: str) -> Finding:
    """What a parser made of `raw`, which is kept with it."""
    found = judge.checked(parsed, raw)
    return found if found.raw is not None else replace(found, raw=raw)
