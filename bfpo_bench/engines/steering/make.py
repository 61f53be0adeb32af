"""From two models and a file of prompts to a stored bias: everything is checked before one is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bfpo_bench import __version__
from bfpo_bench.engines.base import ModelFiles, Remote
from bfpo_bench.engines.steering.check import subject_tokenizer
from bfpo_bench.engines.steering.estimate import Tell, estimate
from bfpo_bench.engines.steering.file import (
    Difference,
    Provenance,
    StoredBias,
    vocabulary_hash,
    write_bias,
)
from bfpo_bench.engines.steering.prompts import read_prompts
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.engines.subject_files import tokenizer_and_files
from bfpo_bench.engines.tokens import fit, render
from bfpo_bench.engines.transformers import check_arguments
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.runs.folder import check_file

CONTEXT = 8192
"""Tokens of a prompt with its response's first positions, at most."""
CONTINUATION = "greedy answers of the model"


@dataclass(frozen=True)
class BiasRequest:
    """`model` and `reference` as the user named them; `random` as in `read_prompts`."""

    model: str
    reference: str
    prompts: Path
    positions: int
    out: Path
    difference: Difference = "logprobs"
    random: int | None = None
    seed: int = 0
    chat_template: bool = True
    engine_arguments: Mapping[str, Any] = field(default_factory=dict)
    trust_remote_code: tuple[str, ...] = ()
    allow_pickle: bool = False


def make_bias(
    asked: BiasRequest, tell: Tell = lambda phase, done, total: None
) -> tuple[StoredBias, int]:
    """Estimate the bias and write it to `asked.out`; -> it, and how many prompts were cut from the left.

    Raises UserError for whatever the user must change. Nothing is kept of an estimate that is stopped.
    """
    if asked.positions < 1:
        raise UserError("--positions must be at least 1: it is how many tokens the bias reaches.")
    if asked.random is not None and asked.random < 1:
        raise UserError("--random must be at least 1: it is a number of prompts.")
    check_arguments(dict(asked.engine_arguments))
    texts, source = read_prompts(asked.prompts, asked.random, asked.seed)
    check_file(asked.out, read=(asked.prompts,))
    safe, reference = _resolved(asked.model, asked, tell), _resolved(asked.reference, asked, tell)
    if safe.identity == reference.identity:
        raise UserError(
            f"{safe.name} is its own reference, and the bias nothing: name another --reference."
        )
    # Before any weights are fetched
    vocabulary = _shared_vocabulary(safe, reference)
    for subject in (safe, reference):
        tell(f"fetching {subject.name}", 0, 0)
        subject.fetch()
    tokenizer, files = _files(safe, asked)
    _, reference_files = _files(reference, asked)
    template = asked.chat_template and safe.identity.chat_template is not None
    context = min(files.context, reference_files.context)
    prompts, cut = _encoded(tokenizer, texts, template, asked.positions, context)
    found = estimate(files, reference_files, prompts, asked.positions, asked.difference, tell)
    told = Provenance(
        model=safe.identity,
        reference=reference.identity,
        vocabulary=vocabulary,
        difference=asked.difference,
        continuation=CONTINUATION,
        chat_template=template,
        prompts=source,
        counts=found.counts,
        engine=found.engine,
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return write_bias(asked.out, found.values, told), cut


def _resolved(given: str, asked: BiasRequest, tell: Tell) -> Subject:
    trust = Trust(given in asked.trust_remote_code, asked.allow_pickle)
    return resolve_subject(given, lambda text: tell(text, 0, 0), trust)


def _shared_vocabulary(safe: Subject, reference: Subject) -> str:
    """Its hash. Raises UserError where the two have each another: a token id is one thing alone."""
    found = [vocabulary_hash(subject_tokenizer(subject)) for subject in (safe, reference)]
    if found[0] != found[1]:
        raise UserError(
            f"The tokenizers of {safe.name} and {reference.name} differ: give the reference that the "
            "model was aligned from."
        )
    return found[0]


def _files(subject: Subject, asked: BiasRequest) -> tuple[Any, ModelFiles]:
    arguments = dict(asked.engine_arguments)
    context = int(arguments.pop("max_model_len", CONTEXT))
    return tokenizer_and_files(subject, "transformers", context, arguments, 0, Remote())


def _encoded(
    tokenizer: Any, texts: Sequence[str], template: bool, positions: int, context: int
) -> tuple[list[tuple[int, ...]], int]:
    """Each text as one user's turn, and how many had to be cut from the left to leave `positions`."""
    if positions >= context:
        raise UserError(f"--positions {positions} is not below the models' context of {context}.")
    fitted = [
        fit(
            render(tokenizer, [{"role": "user", "content": t}], template).tokens, positions, context
        )
        for t in texts
    ]
    return [one.tokens for one in fitted], sum(one.cut > 0 for one in fitted)
