"""What a training needs beside its data, from its recipe: tokenizer, model, arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.cache import default_cache
from bfpo_bench.engines.source import chat_template
from bfpo_bench.engines.subject import Subject, load_tokenizer, resolve_subject
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.nearest import nearest
from bfpo_bench.training.encode import check_template
from bfpo_bench.training.loggers import logger_arguments
from bfpo_bench.training.output import CHECKPOINTS
from bfpo_bench.training.processes import check_sharding
from bfpo_bench.training.recipe import Recipe


def base_of(recipe: Recipe, progress: Callable[[str], None]) -> Subject:
    """The model that the training begins with. Raises UserError for an adapter, or no model."""
    subject = resolve_subject(recipe.model, progress)
    if subject.routed:
        raise UserError(
            f"{recipe.model} is a router over LoRA experts, and a training begins with whole weights: name "
            f"its base, {subject.base.name}."
        )
    if subject.adapter is not None:
        raise UserError(
            f"{recipe.model} is a LoRA adapter, and a training begins with whole weights: merge it into "
            "its base (peft's merge_and_unload) and name the result."
        )
    return subject


def tokenizer_of(recipe: Recipe, base: Subject) -> Any:
    """The base's tokenizer with a chat template: its own, or that of the recipe's `chat_template`."""
    tokenizer = load_tokenizer(base.base.materialise())
    if recipe.chat_template is not None:
        tokenizer.chat_template = _template(recipe.chat_template)
    check_template(tokenizer, recipe.model)
    return tokenizer


def _template(given: str) -> str:
    path = Path(given).expanduser()
    if path.suffix == ".jinja":
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"chat_template {given} cannot be read ({first_line(error)}): mend the path."
            ) from error
    found = chat_template(resolve_subject(given).tokenizer_source)
    if not found:
        raise UserError(f"chat_template: {given} has no chat template: name another model.")
    return found


def model_of(recipe: Recipe, base: Subject) -> Any:
    """The base's weights. With LoRA a model of the hub keeps its id, which the adapter's configuration
    names; else its folder at the commit, which a reference may be loaded from again.

    Raises UserError for what cannot be loaded, and for a context below the recipe's max_length.
    """
    model = _weights(base, recipe.model_dtype, by_id=recipe.lora is not None)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and recipe.max_length > context:
        raise UserError(
            f"max_length {recipe.max_length} is above the context of {recipe.model}, {context} tokens: "
            "lower it."
        )
    return model


def margin_of(recipe: Recipe, base: Subject) -> Subject | None:
    """Whose h the margins are, whole or a LoRA adapter; None where the recipe names none.

    Raises UserError for one with another vocabulary than the base: its ids would be other words.
    """
    if recipe.margin is None:
        return None
    found = _margin_subject(recipe.margin.model)
    if found.routed:
        raise UserError(
            f"margin.model {recipe.margin.model} is a router over LoRA experts, which is no reward here: "
            "name a whole model or a LoRA adapter."
        )
    tokenizers = [load_tokenizer(s.tokenizer_source.materialise()) for s in (base, found)]
    if tokenizers[0].get_vocab() != tokenizers[1].get_vocab():
        raise UserError(
            f"margin.model {recipe.margin.model} has another vocabulary than {recipe.model}: name a "
            "model that was trained from the same base."
        )
    return found


def _margin_subject(name: str) -> Subject:
    try:
        return resolve_subject(name)
    except UserError as error:
        raise UserError(
            f"margin.model: {str(error).removesuffix('.')}; a model of your own is trained first, and "
            "named by its folder."
        ) from error


def margin_model_of(recipe: Recipe, margin: Subject | None) -> Any:
    """The weights of `margin`, an adapter merged in, or None."""
    if margin is None:
        return None
    model = _weights(margin, recipe.model_dtype, by_id=False)
    if margin.adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(margin.adapter.materialise())).merge_and_unload()


def _weights(subject: Subject, dtype: str, by_id: bool) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = subject.base
    name, options = str(source.materialise()), {"dtype": dtype, "output_loading_info": True}
    if by_id and source.commit is not None:
        name, options = source.name, options | {"revision": source.commit}
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise UserError(
            f"transformers cannot load {source.name} ({first_line(error)}): check its files, and the "
            "memory that it needs."
        ) from error
    if absent := sorted(loaded["missing_keys"]):
        raise UserError(
            f"The weights of {source.name} lack {len(absent)} that its config.json asks for "
            f"({absent[0]}, ...): complete them."
        )
    return model


def lora_of(recipe: Recipe, base: Subject, model: Any) -> Any:
    """peft's LoraConfig, or None. Raises UserError for a target that is no module of the model."""
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    if recipe.lora.target_modules != "all-linear":
        _check_targets(recipe.lora.target_modules, model)

    return LoraConfig(
        task_type="CAUSAL_LM", revision=base.base.commit, **recipe.lora.model_dump(mode="python")
    )


def _check_targets(targets: Sequence[str], model: Any) -> None:
    """A target is a module's whole name or its end, as peft has it."""
    from torch.nn import Embedding, Linear
    from transformers.pytorch_utils import Conv1D

    kinds = (Linear, Embedding, Conv1D)
    names = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in names):
            ends = sorted({name.rpartition(".")[2] for name in names})
            raise UserError(
                f"lora.target_modules: the model has no layer {target!r}{nearest(target, ends)} that "
                f"LoRA can adapt: name some of {', '.join(ends)}."
            )


def arguments_of(recipe: Recipe) -> Any:
    """The trainer's arguments. Raises UserError for values that transformers refuses, or that need
    a package or a GPU that is not there."""

    settings = recipe.training.model_dump(exclude_none=True)
    if settings.get("bf16") and not _has_gpu():
        raise UserError(
            f"Recipe {recipe.name}: training.bf16 needs a GPU: leave it out, which is float32 on a CPU."
        )
    warm_up = settings.pop("warmup_steps")
    shared = {
        **settings,
        "warmup_steps": int(warm_up) if warm_up >= 1 else warm_up,
        "output_dir": str(recipe.output / CHECKPOINTS),
        "seed": recipe.seed,
        "max_length": recipe.max_length,
        "disable_tqdm": True,
        **logger_arguments(recipe),
        "dataloader_pin_memory": _has_gpu(),
        # Several processes find each other on CPUs only if they are told
        "use_cpu": not _has_accelerator(),
        # Frozen parts and checkpointing only work together in this form
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
    }
    try:
        arguments = _arguments(recipe, shared)
    except (ValueError, TypeError) as error:
        raise UserError(f"Recipe {recipe.name}: {first_line(error)}: mend training.") from error
    _check_packages(recipe, arguments)
    check_sharding(recipe, arguments)
    return arguments


def _arguments(recipe: Recipe, shared: dict[str, Any]) -> Any:
    if recipe.stage == "sft":
        from trl import SFTConfig

        bf16 = shared.get("bf16", _has_gpu())
        return SFTConfig(**shared | {"packing": bool(recipe.packing), "bf16": bf16})
    from bfpo_bench.training.config import BFPOConfig

    return BFPOConfig(
        **shared,
        objective=str(recipe.objective_name),
        objective_args=recipe.objective_args,
        max_prompt_length=recipe.prompt_length,
        train_only=recipe.train_only,
        ama_baseline=recipe.ama.baseline if recipe.ama else None,
        precompute_ref_log_probs=recipe.reference != "live",
        reference_cache=str(recipe.reference_cache or default_cache() / "reference"),
    )


def _check_packages(recipe: Recipe, arguments: Any) -> None:
    """transformers misses what optimizer and loggers need only when the model is loaded."""
    from transformers import Trainer
    from transformers.integrations import get_reporting_integration_callbacks

    try:
        Trainer.get_optimizer_cls_and_kwargs(arguments)
        for logger in get_reporting_integration_callbacks(arguments.report_to):
            logger()
    except (ValueError, RuntimeError, ImportError) as error:
        raise UserError(
            f"Recipe {recipe.name}: {first_line(error)}: mend training.optim or training.report_to."
        ) from error


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _has_accelerator() -> bool:
    """Apple's has no float64, which the log's sums are in."""
    from torch import accelerator

    found = accelerator.current_accelerator() if accelerator.is_available() else None
    return found is not None and found.type != "mps"
