"""Any recipe survives its own YAML, and any text loads or is refused."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.training.policies import POLICIES
from bfpo_bench.training.recipe import Recipe, load_recipe

# Recipes of all kinds. Texts are of one line: no surrogates, controls or line separators
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)
shares = st.floats(0.001, 1)
counts = st.integers(1, 10**6)
rates = st.floats(1e-12, 1)


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the keys."""
    return st.fixed_dictionaries({}, optional=keys)


trainings = st.builds(
    dict.__or__,
    rates.map(lambda rate: {"learning_rate": rate}),
    some(
        warmup_steps=st.one_of(shares, counts),
        num_train_epochs=rates,
        max_steps=counts,
        gradient_checkpointing=st.booleans(),
        bf16=st.one_of(st.none(), st.booleans()),
        optim=texts,
        weight_decay=shares,
        report_to=st.lists(texts, max_size=2),
    ),
)
amounts = some(fraction=shares, limit=counts, revision=texts)
pair_sources = st.lists(
    st.one_of(
        amounts.map(lambda a: {"source": "pku-saferlhf", **a}),
        amounts.map(lambda a: {"source": "ultrafeedback", "assume_safe": True, **a}),
        texts.map(lambda path: {"source": "jsonl", "path": path}),
    ),
    min_size=1,
    max_size=2,
)
conversations = st.lists(
    st.one_of(
        amounts.map(lambda a: {"source": "ultrachat", **a}),
        amounts.map(lambda a: {"source": "pku-saferlhf", "target": "safer", **a}),
    ),
    min_size=1,
    max_size=2,
)
objectives = st.one_of(
    st.builds(
        lambda tau, alpha: {
            "objective": {"name": "bfpo", "tau": tau, "alpha": alpha},
        },
        rates,
        st.floats(0.001, 0.999),
    ),
    st.builds(
        lambda beta, policy: {"objective": {"name": "dpo", "beta": beta}, "policy": policy},
        rates,
        st.sampled_from(list(POLICIES)),
    ),
    st.builds(
        lambda weight, model, beta: {
            "objective": {"name": "modpo", "weight": weight},
            "margin": {"model": model, "beta": beta},
            "reference": "precomputed",
        },
        shares,
        texts,
        rates,
    ),
)
any_recipe = st.builds(
    lambda *parts: {k: v for part in parts for k, v in part.items()},
    st.fixed_dictionaries({"name": texts, "model": texts, "output": texts, "training": trainings}),
    some(chat_template=texts, seed=st.integers(0, 2**32 - 1)),
    some(model_dtype=st.sampled_from(["float32", "bfloat16", "auto"])),
    st.one_of(
        some(train_only=st.lists(texts, min_size=1, max_size=3)),
        some(lora=some(r=counts, target_modules=st.lists(texts, min_size=1, max_size=2))),
    ),
    st.one_of(
        st.builds(
            lambda data, more: {"stage": "sft", "data": data, **more},
            conversations,
            some(packing=st.booleans(), max_length=st.integers(2, 10**6)),
        ),
        st.builds(
            lambda data, objective, more: {
                "stage": "preference",
                "data": data,
                **more,
                **objective,
            },
            pair_sources,
            objectives,
            some(
                buffer=pair_sources,
                reference=st.sampled_from(["precomputed", "live"]),
                reference_cache=texts,
                max_prompt_length=st.integers(1, 1023),
            ),
        ),
    ),
)


@given(any_recipe)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_recipe_survives_its_own_yaml(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    """recipe.yaml of an output folder is the recipe: it loads, and differs in nothing."""
    recipe = Recipe.model_validate(values)
    file = tmp_path_factory.getbasetemp() / "round.yaml"
    told = yaml.safe_dump(recipe.dump(), sort_keys=False, allow_unicode=True)
    file.write_text(told, encoding="utf-8")
    again = load_recipe(str(file))
    assert again == recipe
    assert recipe.differences(yaml.safe_load(told)) == []


def loads_or_is_refused(recipe: str, changes: Sequence[str]) -> None:
    with suppress(UserError):
        assert isinstance(load_recipe(recipe, changes), Recipe)


keys = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["data.0.limit", "training.max_steps", "objective.tau", "lora", "output"]),
)
values = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["1e3", "0x_", "{", "[]", "{name: sft}", "2024-99-99", "~", "!!x 1", "&a *a"]),
)


@given(st.lists(st.builds("{}={}".format, keys, values), max_size=3))
def test_whatever_is_written_on_the_command_line_loads_or_is_refused(changes: list[str]) -> None:
    loads_or_is_refused("two-cores/bfpo", changes)


@given(st.text(max_size=60))
def test_whatever_a_file_holds_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_is_refused(str(file), [])
