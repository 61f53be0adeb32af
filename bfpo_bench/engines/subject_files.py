"""What one engine needs of a subject on this disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bfpo_bench.engines.base import ModelFiles, Remote
from bfpo_bench.engines.subject import Subject, load_tokenizer, model_files


def needs_weights(engine: str) -> bool:
    """A server has loaded the model already."""
    return engine != "server"


def tokenizer_and_files(
    subject: Subject,
    engine: str,
    context: int,
    arguments: dict[str, Any],
    seed: int,
    remote: Remote,
) -> tuple[Any, ModelFiles]:
    """The subject's tokenizer and what `engine` is built from. A hosted subject has no tokenizer, and
    nothing on this disk: `context` is the suite's then.

    Raises UserError for a tokenizer that cannot be loaded.
    """
    if subject.hosted:
        return None, ModelFiles("", context, (), seed=seed, arguments=arguments, remote=remote)
    weights = needs_weights(engine)
    folder = subject.tokenizer_source.materialise(weights=weights)
    tokenizer = load_tokenizer(folder, subject.remote_code)
    files = model_files(subject, tokenizer, context, arguments, seed, weights=weights)
    return tokenizer, replace(files, remote=remote)
