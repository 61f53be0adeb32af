"""The scorer protocol: reward, cost and classifier models, whose head gives scores instead of words.

Scorers see token ids only, and give the head's raw outputs: what they mean is the judge's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bfpo_bench.engines.select import ON_VLLM, EngineChoice, check_engine, vllm_objection
from bfpo_bench.errors import UserError

if TYPE_CHECKING:
    from bfpo_bench.engines.base import Failure, ModelFiles
    from bfpo_bench.engines.probe import VllmProbe
    from bfpo_bench.engines.subject import Subject

SCORE_HEADS = ("LlamaForScore", "LlamaModelForScore")
"""Beaver's class as safe-rlhf names it now, and as it did when the first checkpoints were saved."""

_SUFFIX = "ForSequenceClassification"

_OFFSET_POSITIONS = (
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
"""Encoders whose position ids begin after the pad token's id (transformers'
`create_position_ids_from_input_ids`): so many of their position embeddings are never reached."""


@dataclass(frozen=True)
class ScoreRequest:
    """Score `tokens`: special tokens are in it, and it is no longer than the model's context."""

    tokens: tuple[int, ...]


class Scorer(Protocol):
    """One loaded model. Results come as (position in the sequence given, scores), as they finish."""

    name: str

    def describe(self) -> dict[str, Any]:
        """Device, dtype and library versions, for the manifest."""
        ...

    def scores(
        self, requests: Sequence[ScoreRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """The head's outputs in the order of the model's labels, as float32, with no activation.

        Raises what breaks every request; a request that fails alone has its Failure.
        """
        ...

    def close(self) -> None: ...


def has_score_head(config: dict[str, Any]) -> bool:
    """Whether a model of this config.json is one of Beaver's: a Llama body and a score head."""
    return any(a in SCORE_HEADS for a in config.get("architectures") or [])


def score_labels(config: dict[str, Any]) -> tuple[str, ...]:
    """The names of the head's outputs, in their order, from a model's config.json.

    Where it names none, transformers' defaults: LABEL_0 and so on, two of them if nothing says how
    many.
    """
    if has_score_head(config):
        return tuple(f"LABEL_{i}" for i in range(int(config.get("score_dim", 1))))
    named = config.get("id2label")
    if named:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels", 2))))


def score_context(config: dict[str, Any], context: int) -> int:
    """Tokens that fit: `context`, or less for encoders that cannot reach all their positions."""
    if config.get("model_type") not in _OFFSET_POSITIONS:
        return context
    pad = config.get("pad_token_id")
    unreached = (1 if pad is None else int(pad)) + 1
    return min(context, int(config.get("max_position_embeddings", 512)) - unreached)


def without_padding(tokens: tuple[int, ...], pad: int | None) -> tuple[int, ...]:
    """`tokens` up to the last that is not the pad token of the model's configuration.

    transformers' decoders score there: a text that ends with the pad token, because that is the end
    token as well, was scored one token earlier in training, too. Later tokens change nothing.
    """
    end = len(tokens)
    while end > 1 and tokens[end - 1] == pad:
        end -= 1
    return tokens[:end]


def check_scorable(subject: Subject) -> None:
    """Raises UserError for a model without a score head that can be loaded here."""
    found = subject.config.get("architectures") or []
    own = subject.remote_code and f"AutoModel{_SUFFIX}" in (subject.config.get("auto_map") or ())
    if not (own or has_score_head(subject.config) or any(a.endswith(_SUFFIX) for a in found)):
        named = ", ".join(found) or "none"
        raise UserError(
            f"{subject.name} gives no scores that can be had here (architecture: {named}): name a "
            f"model of an architecture ...{_SUFFIX}, or one of Beaver's."
        )
    if subject.adapter is not None:
        raise UserError(
            f"{subject.name} is an adapter, and scores are asked of whole models only: merge it into "
            "its base and name the result."
        )


def scorer_objection(config: dict[str, Any], context: int, probe: VllmProbe) -> str | None:
    """Why vLLM cannot give the scores of a model of this config.json here; None when it can.

    vLLM makes a classifier of any decoder that it knows (`convert="classify"`).
    """
    if not probe.usable:
        return probe.reason
    if has_score_head(config):
        if config.get("do_normalize"):
            return "vLLM does not normalise scores as the model's config.json asks (do_normalize)"
        config = {**config, "architectures": ["Llama" + _SUFFIX]}
    own = [a for a in config.get("architectures") or [] if a.endswith(_SUFFIX)]
    decoders = [a.removesuffix(_SUFFIX) + "ForCausalLM" for a in own]
    known = [a for a in (*own, *decoders) if a in probe.architectures]
    return vllm_objection({**config, "architectures": known or own}, context, probe)


def choose_scorer(wanted: str, subject: Subject, context: int = 8192) -> EngineChoice:
    """The engine that scores with one model. `auto` takes vLLM where it can, else transformers.

    Raises UserError for an unknown engine, a model that gives no scores, and for one on vLLM by name
    where that cannot serve the model.
    """
    check_engine(wanted)
    check_scorable(subject)
    if wanted == "transformers":
        return EngineChoice("transformers", "as asked")
    from bfpo_bench.cache import default_cache
    from bfpo_bench.engines.probe import probe_vllm

    probe = probe_vllm(cache=default_cache())
    objection = scorer_objection(subject.config, context, probe)
    if objection is None:
        served = f"vLLM {probe.version} can serve it on this {probe.platform}"
        if wanted in ON_VLLM:
            return EngineChoice(wanted, "as asked")
        return EngineChoice("vllm", served)
    if wanted in ON_VLLM:
        raise UserError(
            f"The {wanted} engine cannot score with {subject.name}: {objection}; "
            "use --engine transformers."
        )
    return EngineChoice("transformers", objection)


def load_scorer(name: str, files: ModelFiles) -> Scorer:
    """The scorer of that name with the model loaded. Call it in the process that shall own the model."""
    if name == "vllm":
        from bfpo_bench.engines.scorer_vllm import VllmScorer

        return VllmScorer.load(files)
    if name == "ray":
        from bfpo_bench.engines.ray.scorer import RayScorer

        return RayScorer.start(files)
    from bfpo_bench.engines.scorer_transformers import TransformersScorer

    return TransformersScorer.load(files)
