"""From `--model` to files: which repository or folder, at which commit or hash, base or adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.routed.check import check_base, check_whole
from bfpo_bench.engines.source import (
    ROUTED,
    ROUTED_FILES,
    TOKENIZER,
    Source,
    chat_template,
    open_source,
    tokenizer_config,
)
from bfpo_bench.engines.tokens import model_context
from bfpo_bench.engines.trust import Trust, check_pickle, runs_code
from bfpo_bench.engines.weights import content_hash
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.names import existing
from bfpo_bench.runs.identity import ModelIdentity, digest
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest


@dataclass(frozen=True)
class Subject:
    """A model as the user named it: a base, and perhaps a LoRA adapter on it, or a router over two.

    `training` is what it says of its own training; `training_fault` why that cannot be used.
    `remote_code`: code of its own may run. `servers` are the URLs of one that is known by its name
    there alone.
    """

    name: str
    base: Source
    adapter: Source | None
    config: dict[str, Any]
    identity: ModelIdentity
    training: TrainingManifest | None = None
    training_fault: str | None = None
    remote_code: bool = False
    servers: tuple[str, ...] = ()

    @property
    def hosted(self) -> bool:
        """Whether it has no files here: not its configuration, nor its tokenizer."""
        return self.base.folder is None and self.base.hub is None

    @property
    def routed(self) -> bool:
        """Whether the adapter is MidPO's: a router over two LoRA experts (`routed/`)."""
        return self.adapter is not None and self.adapter.has(ROUTED)

    @property
    def tokenizer_source(self) -> Source:
        return _tokenizer_source(self.base, self.adapter)

    def weight_bytes(self) -> int | None:
        """Of all its weight files, an adapter's too; None where the hub does not tell their sizes."""
        sizes = [s.weight_bytes() for s in (self.base, self.adapter) if s is not None]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def renamed(self, name: str) -> Subject:
        """The same files under another name, which is another run and another row."""
        return replace(self, name=name, identity=self.identity.model_copy(update={"name": name}))

    def fetch(self, *, weights: bool = True) -> None:
        """Its files, on this disk."""
        for source in (self.base, self.adapter):
            if source is not None and not self.hosted:
                source.materialise(weights=weights)

    def describe(self) -> dict[str, Any]:
        """For the manifest: where each part came from, and what the user allowed it."""
        if self.hosted:
            return {"servers": list(self.servers)}
        parts = {"base": self.base, "adapter": self.adapter}
        told: dict[str, Any] = {
            part: {"name": source.name, "commit": source.commit, "folder": str(source.folder or "")}
            for part, source in parts.items()
            if source is not None
        }
        pickles = [s.weight_files()[0] for s in parts.values() if s is not None and s.pickled]
        if self.remote_code:
            told["remote_code"] = True
        return told | {"pickles": pickles} if pickles else told


def resolve_subject(
    given: str, progress: Callable[[str], None] = lambda _: None, trust: Trust = Trust()
) -> Subject:
    """The subject behind `ID[@REVISION]_OR_PATH`, from metadata and small files; no weights are loaded.

    Local weights are hashed (once: the hash is cached by size and time), `progress` is told so.
    Raises UserError for a model that is not there, gated, or without weights, configuration or
    tokenizer, and for one that needs more `trust`.
    """
    source = open_source(given)
    adapter = source if source.has("adapter_config.json", ROUTED) else None
    base = _base_of(adapter) if adapter is not None else source
    _check_complete(base, adapter)
    for part in (base, adapter):
        if part is not None:
            check_pickle(part, trust)
    tokens = _tokenizer_source(base, adapter)
    config, template = base.json("config.json"), chat_template(tokens)
    code = runs_code(base.name, given, config, tokenizer_config(tokens), trust)
    identity = ModelIdentity(
        name=source.name,
        weights=_identify(base, progress, code),
        adapter=_identify(adapter, progress, code) if adapter is not None else None,
        tokenizer=_identify_tokenizer(tokens),
        chat_template=digest(template)[:16] if template else None,
    )
    if adapter is not None and adapter.has(ROUTED):
        check_base(adapter, base.name, identity.weights, code)
        # No other engine may take it for its base
        config = {**config, "architectures": [f"of a router over experts of {base.name}"]}
    name = source.name
    if source.folder is not None:
        # A folder's name says little: what lies in it tells two subjects of one name apart
        name = f"{source.name}@{digest(identity.model_dump())[:8]}"
    elif source.hub is not None and source.hub.requested != "main":
        name = f"{source.name}@{source.hub.requested}"
    identity = identity.model_copy(update={"name": name})
    training, fault = _training(source)
    return Subject(name, base, adapter, config, identity, training, fault, remote_code=code)


def _training(source: Source) -> tuple[TrainingManifest | None, str | None]:
    """What `source` says of its training, or what is wrong with that.

    No number depends on it, so a broken file is no error. A hub that does not give it is one, as
    for any file: a row must not depend on the network.
    """
    if not source.has(TrainingManifest.FILE):
        return None, None
    path = source.file(TrainingManifest.FILE)
    try:
        return read_training_manifest(path, source.name), None
    except UserError as error:
        return None, str(error)


def _base_of(adapter: Source) -> Source:
    """The base that adapter_config.json (midpo.json) names, at the revision that it names, if it does."""
    file = ROUTED if adapter.has(ROUTED) else "adapter_config.json"
    told = adapter.json(file)
    base, revision = told.get("base_model_name_or_path"), told.get("revision")
    if not base or not isinstance(base, str):
        raise UserError(f"{adapter.name}: its {file} names no base_model_name_or_path: add it.")
    pinned = revision and existing(base) is None
    return open_source(f"{base}@{revision}" if pinned else base)


def _tokenizer_source(base: Source, adapter: Source | None) -> Source:
    if adapter is not None and adapter.has("tokenizer.json", "tokenizer.model"):
        return adapter
    return base


def _check_complete(base: Source, adapter: Source | None) -> None:
    if adapter is not None and base.has("adapter_config.json", ROUTED):
        raise UserError(
            f"{base.name}, the base of the adapter {adapter.name}, is an adapter itself: merge it into "
            "its own base, and name the result in adapter_config.json."
        )
    if not base.has("config.json"):
        raise UserError(f"{base.name} has no config.json: give a transformers model folder or id.")
    if not base.weight_files():
        raise UserError(
            f"{base.name} has no weights (*.safetensors): finish its download or give another."
        )
    if not any(s.has(*TOKENIZER) for s in (base, adapter) if s is not None):
        raise UserError(
            f"{base.name} has no tokenizer (tokenizer.json or tokenizer.model): "
            "save one beside the weights with tokenizer.save_pretrained()."
        )
    if adapter is not None and adapter.has(ROUTED):
        check_whole(adapter)
    elif adapter is not None and not adapter.weight_files():
        raise UserError(f"The adapter {adapter.name} has no weights (adapter_model.safetensors).")


def _identify(source: Source, progress: Callable[[str], None], code: bool) -> str:
    """The hub's commit, or the hash of a folder's weights and configuration.

    With `code` of its own the same weights may answer otherwise: the commit, which pins that code as
    well, says so, and the hash is over the code's files, too.
    """
    if source.commit is not None:
        return f"{source.commit} with its code" if code else source.commit
    assert source.folder is not None
    progress(f"hashing the weights of {source.name}")
    # A training's checkpoints lie below its result, and are none of it
    configs = [f for f in source.files if f.endswith("config.json") and "/" not in f]
    configs += ROUTED_FILES if source.has(ROUTED) else ()
    names = [*source.weight_files(), *configs, *(source.code_files() if code else ())]
    return content_hash([source.folder / n for n in sorted(set(names))])


def _identify_tokenizer(source: Source) -> str:
    if source.commit is not None:
        return source.commit
    assert source.folder is not None
    names = sorted(
        f for f in source.files if f.startswith(("tokenizer", "vocab", "merges", "special"))
    )
    return content_hash([source.folder / n for n in names])


def stop_tokens(source: Source, config: dict[str, Any], tokenizer: Any) -> tuple[int, ...]:
    """Every token that ends an answer: the configuration's, the generation config's, the tokenizer's."""
    found: list[int] = []
    given = source.json("generation_config.json") if source.has("generation_config.json") else {}
    text = config.get("text_config") or config
    for value in (tokenizer.eos_token_id, text.get("eos_token_id"), given.get("eos_token_id")):
        found += value if isinstance(value, list) else [] if value is None else [value]
    return tuple(sorted(set(found)))


def model_files(
    subject: Subject,
    tokenizer: Any,
    context: int,
    arguments: dict[str, Any],
    seed: int,
    *,
    weights: bool = True,
) -> ModelFiles:
    """What an engine loads: the subject's folders (fetched already), context and stop tokens. An
    engine whose model is loaded elsewhere needs no `weights`."""
    folder = str(subject.base.materialise(weights=weights))
    return ModelFiles(
        folder=folder,
        context=model_context(_full_config(subject, folder), tokenizer, context),
        stop_tokens=stop_tokens(subject.base, subject.config, tokenizer),
        adapter=str(subject.adapter.materialise(weights=weights)) if subject.adapter else None,
        seed=seed,
        arguments=arguments,
        remote_code=subject.remote_code,
        pickle=subject.base.pickled,
    )


def _full_config(subject: Subject, folder: str) -> dict[str, Any]:
    """config.json with the defaults of its model class, as lm-eval's HF backend sees it.

    vLLM serves a few model types that transformers does not know: they have no such defaults.
    """
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(folder, trust_remote_code=subject.remote_code)
    except Exception as error:
        if subject.remote_code:
            raise UserError(
                f"The code of {subject.name} fails here ({first_line(error)}): see what it needs."
            ) from error
        if isinstance(error, ValueError | KeyError):
            return subject.config
        raise
    told: dict[str, Any] = found.to_dict()
    return told


def load_tokenizer(folder: Path, remote_code: bool = False) -> Any:
    """The tokenizer in `folder`, with code of its own where that may run.

    Raises UserError when transformers cannot read it.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    # It warns of every long text, which the one truncation rule handles
    transformers_logging.get_logger("transformers.tokenization_utils_base").setLevel(40)
    expected = Exception if remote_code else (OSError, ValueError, ImportError, KeyError)
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=remote_code)
    except expected as error:
        reason = first_line(error)
        raise UserError(
            f"The tokenizer in {folder} cannot be loaded ({reason}): mend it."
        ) from error
