"""training_manifest.json: its few words for a row, and a stranger's file that is not what it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import (
    Base,
    Merge,
    MergedModel,
    TrainingManifest,
    read_training_manifest,
)

SHA = "1a2b3c4d" + "0" * 56
WHOLE: dict[str, Any] = {
    "format": 1,
    "stage": "preference",
    "recipe": {"objective": "bfpo", "train_only": ["down_proj"]},
    "objective": "bfpo",
    "objective_args": {"tau": 0.01},
    "base": {"name": "org/sft", "commit": "a" * 40, "weights": None},
    "data": [{"source": "pku", "dropped": {"equal responses": 3}, "sha256": SHA}],
    "buffer": [{"source": "ultrafeedback", "used": 9}],
    "policy": {"name": "helpful-only", "flipped": 0, "dropped": {}},
    "mixture": [{"group": "explicit", "rows": 9, "taken": 4, "asked": 0.04, "came_out": 0.04}],
    "levels": None,
    "experts": None,
    "margin": {"name": "safe@1a", "commit": None, "weights": "c" * 64, "adapter": "d" * 64},
    "changed": {"prompt cut": 3},
    "data_sha256": SHA,
    "parameters": {"trained": 10, "all": 90},
    "steps": 7,
    "tokens": 12345,
    "seconds": 1.5,
    "versions": {"torch": "2.13"},
    "bfpo_bench_commit": "b" * 40,
    "command": ["bfpo-bench", "train", "x.yaml"],
    "finished": "2030-01-02T03:04:05+00:00",
    "merge": None,
}


def told(**changes: Any) -> TrainingManifest:
    return TrainingManifest.model_validate(WHOLE | changes)


def read(folder: Path, content: str | bytes) -> TrainingManifest:
    path = folder / TrainingManifest.FILE
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_training_manifest(path, "org/m")


class Run(BaseModel):
    """As a run's manifest holds it, one level deeper than its own file does."""

    training: TrainingManifest


def through_a_run(training: TrainingManifest) -> TrainingManifest:
    written = Run(training=training).model_dump_json(indent=2)
    return Run.model_validate_json(written).training


def merge(*models: tuple[str, float]) -> TrainingManifest:
    summands = tuple(MergedModel(name=name, weight=weight) for name, weight in models)
    return TrainingManifest(format=1, stage="merge", merge=Merge(models=summands))


class TestWords:
    def test_the_objective_its_arguments_and_its_data(self) -> None:
        assert told().describe() == "bfpo tau=0.01 on 1a2b3c4d"

    def test_arguments_stand_by_name_and_numbers_are_short(self) -> None:
        """However the recipe orders them, and whether it says 3 or 3.0."""
        words = "bfpo alpha=0.5 b1=3 tau=0.01 on 1a2b3c4d"
        assert told(objective_args={"tau": 0.01, "b1": 3.0, "alpha": 0.5}).describe() == words
        assert told(objective_args={"alpha": 0.5, "b1": 3, "tau": 0.01}).describe() == words

    def test_arguments_of_other_kinds_stand_as_json(self) -> None:
        given = {"a": True, "b": None, "c": "mean", "d": [1, 2], "lr": 5e-7}
        expected = "mine a=true b=null c=mean d=[1, 2] lr=5e-07 on 1a2b3c4d"
        assert told(objective="mine", objective_args=given).describe() == expected

    def test_without_an_objective_the_stage(self) -> None:
        sft = told(stage="sft", objective=None, objective_args={})
        assert sft.describe() == "sft on 1a2b3c4d"

    def test_without_data_nothing_of_data(self) -> None:
        assert TrainingManifest(format=1, stage="sft").describe() == "sft"

    def test_a_merge_names_its_models_and_weights(self) -> None:
        assert merge(("A", 0.5), ("B", 0.5)).describe() == "merge of A (0.5), B (0.5)"
        thirds = merge(("A", 1 / 3), ("B", 2 / 3))
        assert thirds.describe() == "merge of A (0.333333), B (0.666667)"

    def test_the_base_by_name(self) -> None:
        assert told().base_name == "org/sft"
        assert told(base=None).base_name == ""

    def test_a_merge_has_no_one_base(self) -> None:
        merged = merge(("A", 1.0)).model_copy(update={"base": Base(name="A")})
        assert merged.base_name == ""

    @given(st.text())
    def test_words_are_one_printable_line_that_fits_a_row(self, text: str) -> None:
        """A stranger's file may hold escape sequences, bidirectional marks and novels."""
        found = told(objective=text, objective_args={text: text}, base={"name": text})
        named = merge((text, 1.0))
        for words in (found.describe(), found.base_name, named.describe()):
            assert words.isprintable()
            assert len(words) <= 200

    def test_an_escape_sequence_loses_its_teeth_and_a_long_text_its_end(self) -> None:
        assert told(base={"name": "a\x1b[31m\nb\u202ec"}).base_name == "a[31m bc"
        assert told(base={"name": "x" * 201}).base_name == "x" * 199 + "…"
        assert told(base={"name": "x" * 200}).base_name == "x" * 200


class TestReading:
    def test_all_of_it_comes_back(self, tmp_path: Path) -> None:
        found = read(tmp_path, json.dumps(WHOLE))
        assert found == told()
        assert json.loads(found.model_dump_json()) == WHOLE

    def test_levels_come_back_and_are_told(self, tmp_path: Path) -> None:
        levels = {"count": 5, "cells": {"0,4": 3, "4,0": 7}}
        found = read(tmp_path, json.dumps(WHOLE | {"levels": levels}))
        assert json.loads(found.model_dump_json())["levels"] == levels
        assert found.describe() == "bfpo tau=0.01 levels=5 on 1a2b3c4d"

    def test_what_is_not_said_is_empty(self, tmp_path: Path) -> None:
        found = read(tmp_path, '{"format": 1, "stage": "sft"}')
        assert (found.recipe, found.data, found.base, found.steps) == (None, (), None, None)

    def test_keys_of_later_versions_are_kept(self, tmp_path: Path) -> None:
        """Also in its parts, also where they bear the name of something of ours."""
        later = WHOLE | {"describe": 1, "energy": {"kWh": 2.5}}
        later["base"] = {"name": "org/sft", "licence": "mit", "commit": None, "weights": None}
        found = read(tmp_path, json.dumps(later))
        assert json.loads(found.model_dump_json()) == later
        assert found.describe() == told().describe()

    @pytest.mark.parametrize("content", ['{"format": 2}', '{"format": 1' + "0" * 400 + "}"])
    def test_a_later_format_asks_for_an_update(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(UserError) as error:
            read(tmp_path, content)
        expected = "org/m's training_manifest.json is of a later format than 1: update bfpo-bench."
        assert str(error.value) == expected

    @pytest.mark.parametrize(
        "content",
        ["", "{", "{}, {}", '{"format": 1, "stage": "sft", "seconds": NaN}', b"\xff", "[" * 10**5],
    )
    def test_what_is_no_json(self, tmp_path: Path, content: str | bytes) -> None:
        with pytest.raises(UserError, match=r"is not valid JSON: restore or remove it\.$"):
            read(tmp_path, content)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"format": 0}, "format: Input should be 1"),
            ({"format": None}, "format: Input should be 1"),
            ({"stage": "rl"}, "stage: Input should be 'sft', 'preference' or 'merge'"),
            ({"data": [1]}, "data: 0: Input should be a valid dictionary"),
            ({"data_sha256": "\x1b[31m"}, "data_sha256: String should match pattern"),
            ({"steps": -1}, "steps: Input should be greater than or equal to 0"),
            ({"parameters": {"trained": 1}}, "parameters: all: Field required"),
            ({"stage": "merge"}, "stage merge and the key merge go together"),
            ({"merge": {"models": [{"name": "A", "weight": 1}]}}, "merge go together"),
            ({"stage": "merge", "merge": {"models": []}}, "merge: models: Tuple should have"),
        ],
    )
    def test_what_is_no_training_manifest(
        self, tmp_path: Path, changes: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(UserError) as error:
            read(tmp_path, json.dumps(WHOLE | changes))
        message = str(error.value)
        assert message.startswith("org/m's training_manifest.json is no training manifest (")
        assert reason in message
        assert message.endswith("): restore or remove it.")

    def test_what_is_said_of_it_is_one_printable_line_too(self, tmp_path: Path) -> None:
        """A key of the file's own may be part of the reason."""
        with pytest.raises(UserError) as error:
            read(tmp_path, json.dumps(WHOLE | {"versions": {"\x1b\n" * 10**4: 1}}))
        assert str(error.value).isprintable()
        with pytest.raises(UserError) as error:
            read(tmp_path, json.dumps(WHOLE | {"versions": {"x" * 10**5: 1}}))
        assert len(str(error.value)) < 300

    @pytest.mark.parametrize("content", ["[]", "null", "1", '"x"'])
    def test_json_that_is_no_object(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(UserError, match="is no training manifest"):
            read(tmp_path, content)

    def test_an_infinite_number_is_refused(self, tmp_path: Path) -> None:
        """It would be written as null, and the run's manifest could not be read again."""
        content = (
            '{"format": 1, "stage": "merge", "merge": {"models": [{"name": "A", "weight": 1e400}]}}'
        )
        with pytest.raises(UserError, match="weight: Input should be a finite number"):
            read(tmp_path, content)

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is larger than 1 MiB: restore or remove it"):
            read(tmp_path, json.dumps(WHOLE | {"finished": "x" * (1 << 20)}))

    def test_one_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"cannot be read \(Is a directory\): restore it"):
            read_training_manifest(tmp_path, "org/m")

    def test_what_is_nested_too_deep_for_a_runs_manifest_is_refused(self, tmp_path: Path) -> None:
        """pydantic reads JSON that is nested about 200 deep, which the run's manifest is one more."""
        refused = []
        for depth in range(150, 250):
            nested = "[" * depth + "]" * depth
            try:
                found = read(tmp_path, json.dumps(WHOLE).replace('["down_proj"]', nested))
            except UserError:
                refused.append(depth)
            else:
                assert through_a_run(found) == found
        assert refused[0] > 150
        assert refused == list(range(refused[0], 250))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
anything = st.dictionaries(st.sampled_from(sorted(WHOLE)) | st.text(), values, max_size=3)
likely = st.fixed_dictionaries(
    {"objective": st.text(), "objective_args": st.dictionaries(st.text(), values, max_size=3)}
)


@given(likely, st.just({}) | anything)
def test_any_json_is_read_and_written_again_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, likely: dict[str, Any], changes: dict[str, Any]
) -> None:
    content = json.dumps(WHOLE | likely | changes)
    try:
        found = read(tmp_path_factory.mktemp("any"), content)
    except UserError:
        return
    assert found.describe().isprintable()
    assert through_a_run(found).describe() == found.describe()
