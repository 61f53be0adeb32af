"""Judges that are reward, cost or classifier models: a number for each answer, read by the parser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.scorer import ScoreRequest, load_scorer, score_context, score_labels
from bfpo_bench.engines.subject import Subject, load_tokenizer, model_files
from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.judge import Judge, Parser
from bfpo_bench.judges.running.local import failed
from bfpo_bench.judges.running.score_texts import ScoreTexts
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress, Report

PREFERENCE = {"better": 2.0, "worse": 1.0, "draw": 1.5}
"""AlpacaEval's numbers: 2 where the answer is better than the baseline's, 1 where it is worse."""


@dataclass(frozen=True)
class _Asked:
    """An item, and which requests score its answer and, to compare with, its baseline."""

    position: int
    answer: int
    baseline: int | None

    @property
    def requests(self) -> set[int]:
        return {self.answer} | ({self.baseline} if self.baseline is not None else set())


@dataclass(frozen=True)
class _Questions:
    """What is asked of which item, the requests' tokens (no two of them the same), and the findings
    on items of which nothing can be asked."""

    asked: list[_Asked] = field(default_factory=list)
    tokens: dict[tuple[int, ...], int] = field(default_factory=dict)
    unjudged: list[tuple[int, Finding]] = field(default_factory=list)


def findings(
    work: Work, items: Sequence[Item], description: dict[str, Any], report: Report
) -> Iterator[tuple[int, Finding]]:
    """(position, finding) of every item: first of those that the model cannot be asked about, then
    as their scores are made. Equal texts are scored once.

    A judge of preferences scores the baseline as well, where there is one, and says which is higher.
    Raises UserError for a model that cannot serve, before anything is judged.
    """
    judge, subject = work.judge, work.subject
    assert subject is not None
    assert work.engine is not None
    output = output_of(judge, subject)
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise(), subject.remote_code)
    files = model_files(subject, tokenizer, work.context, work.arguments, seed=0)
    context = score_context(subject.config, files.context)
    files = replace(files, context=context, remote=work.remote)
    questions = _questions(judge, ScoreTexts(work, tokenizer, files.context), items)
    parse = judge.parse()
    yield from questions.unjudged
    if not questions.asked:
        return
    waiting: dict[int, list[_Asked]] = {}
    for asked in questions.asked:
        for request in asked.requests:
            waiting.setdefault(request, []).append(asked)
    report(Progress(f"loading the judge into {work.engine}"))
    scorer = load_scorer(work.engine, files)
    description.update(scorer.describe())
    values: dict[int, float | Failure] = {}
    try:
        for request, found in scorer.scores([ScoreRequest(t) for t in questions.tokens]):
            if isinstance(found, Failure):
                values[request] = found
            else:
                values[request] = activated(found, judge.spec.activation)[output]
            for asked in waiting.get(request, ()):
                if asked.requests <= values.keys():
                    yield asked.position, _finding(judge, parse, asked, values)
    finally:
        scorer.close()


def output_of(judge: Judge, subject: Subject) -> int:
    """Which of the model's outputs the judge reads.

    Raises UserError for a model without the judge's label, or with several outputs and none named.
    """
    labels, wanted = score_labels(subject.config), judge.spec.output
    if wanted is None and len(labels) == 1:
        return 0
    named = [label.lower() for label in labels]
    if wanted is not None and wanted.lower() in named:
        return named.index(wanted.lower())
    lacking = "judge.yaml does not say which to read" if wanted is None else f"none is {wanted}"
    raise UserError(
        f"Judge {judge.spec.name}: {subject.name} gives scores named {', '.join(labels)}, and "
        f"{lacking}: copy the judge's folder ({judge.folder.name}), set `output` in its judge.yaml, "
        "and name that folder with --judge."
    )


def _questions(judge: Judge, texts: ScoreTexts, items: Sequence[Item]) -> _Questions:
    questions = _Questions()

    def request(item: Item) -> int | Finding:
        tokens = texts.tokens(item)
        if isinstance(tokens, Finding):
            return tokens
        return questions.tokens.setdefault(tokens, len(questions.tokens))

    for position, item in enumerate(items):
        answer, baseline = request(item), None
        if judge.spec.kind == "preference" and item.baseline is not None:
            baseline = request(replace(item, answer=item.baseline))
        if isinstance(answer, Finding):
            questions.unjudged.append((position, answer))
        elif isinstance(baseline, Finding):
            questions.unjudged.append((position, baseline))
        else:
            questions.asked.append(_Asked(position, answer, baseline))
    return questions


def activated(logits: Sequence[float], activation: str) -> tuple[float, ...]:
    """The head's raw outputs after judge.yaml's `activation`: none, sigmoid (each by itself) or
    softmax (over all of them). Where one is not finite, none of them means anything: all are NaN."""
    if not all(map(math.isfinite, logits)):
        return tuple(math.nan for _ in logits)
    if activation == "none":
        return tuple(logits)
    if activation == "sigmoid":
        return tuple(_sigmoid(x) for x in logits)
    highest = max(logits)
    powers = [math.exp(x - highest) for x in logits]
    return tuple(p / sum(powers) for p in powers)


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def _finding(
    judge: Judge, parse: Parser, asked: _Asked, values: dict[int, float | Failure]
) -> Finding:
    value = values[asked.answer]
    baseline = None if asked.baseline is None else values[asked.baseline]
    if isinstance(value, Failure):
        return failed(value)
    if isinstance(baseline, Failure):
        return failed(baseline)
    if not math.isfinite(value) or not math.isfinite(baseline or 0.0):
        return Finding("unjudged", error="the model's score is not a finite number")
    if baseline is not None:
        return preference(value, baseline)
    found = judge.checked(parse(value), raw=repr(value))
    return found if found.score is not None else replace(found, score=value)


def preference(reward: float, baseline: float) -> Finding:
    """Which answer the reward model likes better, with AlpacaEval's number for it."""
    label = "draw" if reward == baseline else "better" if reward > baseline else "worse"
    raw = json.dumps({"reward": reward, "baseline_reward": baseline})
    return Finding(label, score=PREFERENCE[label], raw=raw)
