"""What of `--bias` can be checked before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import BiasFile
from bfpo_bench.engines.steering.file import StoredBias, read_bias, vocabulary_hash
from bfpo_bench.engines.subject import Subject, load_tokenizer
from bfpo_bench.errors import UserError

ABLE = ("auto", "vllm", "transformers")
"""Of `--engine`: those whose decoding is ours to change."""


def bias_asked(path: Path | None, engine: str) -> StoredBias | None:
    """The bias of a command; None where it asks for none. Raises UserError for an engine that cannot
    subtract it, and for a file that is no bias."""
    if path is None:
        return None
    if engine not in ABLE:
        raise UserError(
            f"--engine {engine} cannot subtract a bias from the model's logits: leave --bias out, or "
            "take --engine vllm or transformers."
        )
    return read_bias(path)


def subject_tokenizer(subject: Subject) -> Any:
    """Without its weights."""
    folder = subject.tokenizer_source.materialise(weights=False)
    return load_tokenizer(folder, subject.remote_code)


def biased(subject: Subject, bias: StoredBias) -> Subject:
    """The subject under a name that says which bias it answers with.

    Raises UserError where its tokens are not those that the bias is for.
    """
    text = subject.config.get("text_config") or subject.config
    size = int(text.get("vocab_size") or bias.vocabulary_size)
    made_from = bias.provenance.model.name
    if vocabulary_hash(subject_tokenizer(subject)) != bias.provenance.vocabulary:
        raise UserError(
            f"The bias is for the tokenizer of {made_from}, and that of {subject.name} is another: "
            "estimate one for this model with `bfpo-bench bias`."
        )
    if size != bias.vocabulary_size:
        raise UserError(
            f"The bias has {bias.vocabulary_size:,} entries a position, and the vocabulary of "
            f"{subject.name} {size:,}: estimate one for this model with `bfpo-bench bias`."
        )
    return subject.renamed(f"{subject.name} (bias {bias.sha256[:8]})")


def bias_file(path: Path, bias: StoredBias) -> BiasFile:
    """What an engine needs: another process may have another working directory."""
    return BiasFile(str(path.expanduser().resolve()), bias.sha256)
