"""The run id, and the comparability key: what changes them and what does not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import settings

from bfpo_bench.runs.identity import (
    ModelIdentity,
    Settings,
    comparability,
    comparability_key,
    digest,
    run_id,
    short_name,
)

SETTINGS = settings(
    tasks={"a": "1 cafe", "b": "2 beef"},
    samples={"a": {"documents": 10, "stratify_by": ["x"]}},
)
MODEL = ModelIdentity(name="org/model", weights="w", adapter=None, tokenizer="t", chat_template="c")
DATA: dict[str, dict[str, Any]] = {
    "a": {"revision": "r", "fingerprint": "f"},
    "b": {"revision": None, "fingerprint": "g"},
}
JUDGES: dict[str, dict[str, Any]] = {
    "yesno@m": {"kind": "harm", "version": 1, "model": "m", "revision": "r", "prompt_sha256": "p"},
    "refusal": {"kind": "refusal", "version": 1, "model": None, "prompt_sha256": None},
}

OTHER_SETTINGS: dict[str, Any] = {
    "suite": "t",
    "suite_version": 3,
    "tasks": {"a": "1 cafe", "b": "2 f00d"},
    "limit": 5,
    "seed": 1,
    "temperature": 0.7,
    "top_p": 0.9,
    "max_new_tokens": 64,
    "context": 4096,
    "chat_template": False,
    "few_shot": {"a": 5},
    "system_prompt": "",
    "samples": {"a": {"documents": 11, "stratify_by": ["x"]}},
    "task_decoding": {"a": {"top_p": 0.95}},
    "weights": {"a": 2.0},
    "dimensions": {"helpfulness": ["helpfulness/generative"]},
    "placement": {"a": {"orientation": "complement"}},
    "bias": "b1a5",
}
OTHER_MODEL = {
    "name": "org/other",
    "weights": "v",
    "adapter": "a",
    "tokenizer": "u",
    "chat_template": None,
    "defence": "instruction 1 cafe",
    "levels": "[helpful=1][harmless=0]",
}


def key(settings: Settings = SETTINGS, data: Any = DATA, judges: Any = JUDGES) -> str:
    return comparability_key(comparability(settings, data, judges))


def test_the_cases_below_cover_every_part() -> None:
    assert set(OTHER_SETTINGS) == set(Settings.model_fields)
    assert set(OTHER_MODEL) == set(ModelIdentity.model_fields)


@pytest.mark.parametrize("part", OTHER_SETTINGS)
def test_each_setting_changes_the_key_and_what_decides_about_responses_the_run_id(
    part: str,
) -> None:
    """Other weights or places score the same responses anew, in the same folder."""
    other = SETTINGS.model_copy(update={part: OTHER_SETTINGS[part]})
    assert key(other) != key()
    same_run = part in ("weights", "dimensions", "placement")
    assert (run_id(MODEL, other) == run_id(MODEL, SETTINGS)) is same_run


@pytest.mark.parametrize("part", OTHER_MODEL)
def test_each_part_of_the_model_changes_the_run_id(part: str) -> None:
    assert run_id(MODEL.model_copy(update={part: OTHER_MODEL[part]}), SETTINGS) != run_id(
        MODEL, SETTINGS
    )


@given(st.text(max_size=100), st.sampled_from(["", "@1a2b3c4d", " + instruction", " (as served)"]))
def test_a_run_id_begins_with_the_models_short_name(name: str, more: str) -> None:
    """Also of one whose name goes on: so the runs of a folder are found without its hash."""
    model = MODEL.model_copy(update={"name": name + more})
    assert run_id(model, SETTINGS).startswith(short_name(name))


def test_engine_devices_and_judges_are_no_part_of_the_run_id() -> None:
    """A run may be finished on another engine and judged again."""
    parts = {*Settings.model_fields, *ModelIdentity.model_fields}
    assert not {p for p in parts if re.search("engine|device|dtype|judge", p)}


def test_settings_without_a_bias_do_not_speak_of_one() -> None:
    """So that what was measured before there was any keeps its run and its key."""
    assert "bias" not in SETTINGS.model_dump()
    assert "bias" not in SETTINGS.model_dump(mode="json", exclude={"suite"})
    biased = SETTINGS.model_copy(update={"bias": "b1a5"})
    assert biased.model_dump()["bias"] == "b1a5"
    assert Settings.model_validate_json(biased.model_dump_json()) == biased


def test_the_model_is_no_part_of_the_key() -> None:
    assert set(comparability(SETTINGS, DATA, JUDGES)) == {"settings", "data", "judges"}
    assert "org/model" not in str(comparability(SETTINGS, DATA, JUDGES))


@pytest.mark.parametrize("part", ["revision", "fingerprint"])
def test_data_changes_the_key(part: str) -> None:
    assert key(data={**DATA, "a": {**DATA["a"], part: "other"}}) != key()


@pytest.mark.parametrize("part", list(JUDGES["yesno@m"]))
def test_each_part_of_a_judge_changes_the_key(part: str) -> None:
    assert key(judges={**JUDGES, "yesno@m": {**JUDGES["yesno@m"], part: "other"}}) != key()


def test_another_judge_changes_the_key() -> None:
    assert key(judges={"refusal": JUDGES["refusal"]}) != key()


def test_the_order_of_judges_of_one_kind_changes_the_key() -> None:
    """Of two harm judges the first decides, so the rows rest on different judges."""
    a, b = dict(JUDGES["yesno@m"]), {**JUDGES["yesno@m"], "model": "n"}
    assert key(judges={"a": a, "b": b}) != key(judges={"b": b, "a": a})


def test_the_order_of_judges_of_different_kinds_does_not() -> None:
    assert key(judges=dict(reversed(JUDGES.items()))) == key()


def test_the_order_of_keys_changes_nothing() -> None:
    turned = SETTINGS.model_copy(update={"tasks": {"b": "2 beef", "a": "1 cafe"}})
    assert run_id(MODEL, turned) == run_id(MODEL, SETTINGS)
    assert key(turned, dict(reversed(DATA.items()))) == key()
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_settings_read_back_from_json_are_the_same_run() -> None:
    """0 and 0.0, lists and tuples: what the manifest holds must lead to the same folder."""
    written = SETTINGS.model_copy(
        update={"temperature": 0, "samples": {"a": {"stratify_by": ("x",)}}}
    )
    stored = Settings.model_validate_json(written.model_dump_json())
    assert run_id(MODEL, stored) == run_id(MODEL, Settings(**written.model_dump()))


def test_the_run_id_is_readable() -> None:
    assert re.fullmatch(r"model-[0-9a-f]{8}", run_id(MODEL, SETTINGS))
    assert re.fullmatch(r"[0-9a-f]{12}", key())


@given(
    st.text(st.characters()) | st.sampled_from(["..", "../..", "/", "a/..", "-rf", ".hidden", ""])
)
def test_any_model_name_gives_a_safe_folder_name(name: str) -> None:
    found = run_id(MODEL.model_copy(update={"name": name}), SETTINGS)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,89}", found)
    assert not found.startswith((".", "-"))


@pytest.mark.parametrize("part", ["defence", "levels"])
def test_a_model_without_defence_or_levels_is_written_as_before(part: str) -> None:
    """Its dump, and so its run's id, knows nothing of them."""
    assert part not in MODEL.model_dump()
    assert part not in MODEL.model_dump_json()
    guarded = MODEL.model_copy(update={part: OTHER_MODEL[part]})
    assert ModelIdentity.model_validate_json(guarded.model_dump_json()) == guarded
    assert run_id(MODEL, SETTINGS) == "model-da09d2df"
