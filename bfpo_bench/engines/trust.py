"""What a model's files may be besides data: code of its own, and weights that are Python pickles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.scorer import has_score_head
from bfpo_bench.engines.source import Source
from bfpo_bench.errors import UserError


@dataclass(frozen=True)
class Trust:
    """What the user allows one model: to run `code` of its own, to have its weights in a `pickle`."""

    code: bool = False
    pickle: bool = False


def runs_code(
    name: str, given: str, config: Mapping[str, Any], tokenizer: Mapping[str, Any], trust: Trust
) -> bool:
    """Whether a model of this config.json and tokenizer_config.json is loaded with code of its own.

    A model that transformers knows is loaded without, unless the user trusts it: what the code
    computes may differ. Code of another repository is never run: no commit and no hash pins it.
    Raises UserError for a model that cannot do without code that may not be run; `given` is what the
    user called it.
    """
    references = [*_references(config), *_references(tokenizer)]
    elsewhere = [r.split("--")[0] for r in references if "--" in r]
    if references and trust.code and not elsewhere:
        return True
    if not references or _known(config, tokenizer):
        return False
    if elsewhere:
        raise UserError(
            f"{name} wants to run code of another repository, {elsewhere[0]}, which its own commit "
            "does not pin: put that code beside the weights in a folder, name it so in the auto_map "
            "of its config.json and tokenizer_config.json, and give the folder."
        )
    raise UserError(
        f"{name} wants to run code of its own ({references[0].partition('.')[0]}.py): read that, and "
        f"give --trust-remote-code {given} where a command measures or judges, or name another model."
    )


def _references(config: Mapping[str, Any]) -> Iterator[str]:
    """`module.Class` or `repository--module.Class` of all that `auto_map` names. Tokenizers have a
    slow and a fast class, one of which may be null."""
    found = config.get("auto_map") or {}
    for value in found.values() if isinstance(found, Mapping) else found:
        classes = value if isinstance(value, list) else [value]
        yield from (c for c in classes if isinstance(c, str))


def _known(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    """Whether transformers has the configuration, the model's class and the tokenizer's itself.

    Classes count where they are named: transformers loads a model of a type that it knows by its own
    class, whatever class the weights were trained in.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    known_type = config.get("model_type") in CONFIG_MAPPING_NAMES
    if any(_references(config)):
        classes = dir(transformers)
        named = all(a in classes for a in config.get("architectures") or [])
        if not known_type or not (named or has_score_head(dict(config))):
            return False
    if not any(_references(tokenizer)):
        return True
    own = tokenizer.get("tokenizer_class")
    return known_type if own is None else tokenizer_class_from_name(own) is not None


def check_pickle(source: Source, trust: Trust) -> None:
    """Raises UserError for weights that are pickles alone and may not be."""
    if source.pickled and not trust.pickle:
        raise UserError(
            f"{source.name} has its weights as a PyTorch pickle alone ({source.weight_files()[0]}), "
            "which could hold code: save them as safetensors (save_pretrained does so), or give "
            "--allow-pickle where a command measures or judges."
        )
