"""The points of a sweep: their order, their names, and who works which."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.runs.shard import Shard
from bfpo_bench.sweep.grid import Knob, dealt, points_of, read_knob
from bfpo_bench.sweep.soups import read_weights

SCALARS = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=12), st.booleans())
KEYS = st.lists(st.text("abAB.", min_size=1, max_size=6), min_size=1, max_size=3, unique=True)


@st.composite
def knobs(draw: st.DrawFn) -> list[Knob]:
    def told(value: Any) -> str:
        return f"{type(value).__name__} {value!r}"

    values = st.lists(SCALARS, min_size=1, max_size=4, unique_by=told)
    return [Knob(key, tuple(draw(values))) for key in draw(KEYS)]


class TestValues:
    @pytest.mark.parametrize(
        ("text", "key", "values"),
        [
            ("objective.tau=0.01,0.1", "objective.tau", (0.01, 0.1)),
            ("training.learning_rate=5e-7, 1e-6", "training.learning_rate", (5e-7, 1e-6)),
            ("training.max_steps=10,2e1", "training.max_steps", (10, 20)),
            ("policy=mixed,safe-first", "policy", ("mixed", "safe-first")),
            (
                "train_only=[down_proj],[up_proj, q_proj]",
                "train_only",
                (["down_proj"], ["up_proj", "q_proj"]),
            ),
            ("lora=null,{r: 4}", "lora", (None, {"r": 4})),
        ],
    )
    def test_they_are_read_as_yaml_has_them(
        self, text: str, key: str, values: tuple[Any, ...]
    ) -> None:
        """But for numbers such as 5e-7, which YAML 1.1 takes for text."""
        assert read_knob(text) == Knob(key, values)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("objective.tau", "--over 'objective.tau' is not KEY=VALUE,VALUE"),
            ("=1", "--over '=1' is not KEY=VALUE,VALUE"),
            ("a=", "--over 'a=' has no values"),
            ("a=1,[", "The values of --over 'a=1,[' are no YAML list"),
            ("a=2024-01-01", "The values of --over 'a=2024-01-01' are no YAML list"),
            ("a=0.1,0.10", "--over 'a=0.1,0.10' has the value 0.1 twice: give it once."),
            ("a=1,1.0", "--over 'a=1,1.0' has the value 1 twice"),
        ],
    )
    def test_what_is_none_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(UserError, match=f"^{re.escape(said)}"):
            read_knob(text)

    def test_weights_of_soups_are_finite_numbers(self) -> None:
        assert read_weights("0,.25,1,-0.5").values == (0, 0.25, 1, -0.5)
        for odd in ("0,half", "0,.inf", "0,true", "0,null"):
            with pytest.raises(UserError, match=r"give finite numbers, like 0,\.5,1\."):
                read_weights(odd)


class TestPoints:
    def test_they_are_every_combination_the_last_key_changing_fastest(self) -> None:
        found = points_of(
            "bfpo", [Knob("objective.alpha", (0.1, 0.5)), Knob("objective.tau", (1, 2))]
        )
        assert [p.name for p in found] == [
            *("bfpo-alpha0.1-tau1", "bfpo-alpha0.1-tau2"),
            *("bfpo-alpha0.5-tau1", "bfpo-alpha0.5-tau2"),
        ]
        assert [p.label for p in found][:2] == ["alpha=0.1 tau=1", "alpha=0.1 tau=2"]
        assert found[0].changes == ("objective.alpha=0.1", "objective.tau=1")

    def test_keys_that_end_alike_are_told_apart(self) -> None:
        [point] = points_of("r", [Knob("data.0.limit", (5,)), Knob("data.1.limit", (5,))])
        assert point.name == "r-data.0.limit5-data.1.limit5"

    def test_a_key_is_swept_once(self) -> None:
        with pytest.raises(
            UserError, match=r"--over a\.b is given twice: list all its values in one"
        ):
            points_of("r", [Knob("a.b", (1,)), Knob("a.b", (2,))])

    def test_values_that_no_file_may_be_called_by(self) -> None:
        """Two of them would share a name, and so each gets a hash of its values."""
        one, other = points_of("r", [Knob("model", ("org/a", "org:a"))])
        assert re.fullmatch("r-modelorg-a-[0-9a-f]{8}", one.name)
        assert one.name != other.name

    def test_names_that_differ_in_capitals_alone(self) -> None:
        """On some file systems they would be one folder."""
        one, other = points_of("r", [Knob("model", ("Base", "base"))])
        assert one.name.casefold() != other.name.casefold()

    @given(knobs())
    def test_names_are_each_others_unlike_and_safe_on_any_file_system(
        self, swept: list[Knob]
    ) -> None:
        names = [point.name for point in points_of("r", swept)]
        total = 1
        for knob in swept:
            total *= len(knob.values)
        assert len({name.casefold() for name in names}) == len(names) == total
        for name in names:
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name)
            assert len(name) <= 120


class TestShards:
    @given(st.integers(0, 40), st.integers(1, 12))
    def test_every_point_falls_to_exactly_one(self, count: int, shards: int) -> None:
        points = points_of("r", [Knob("a", tuple(range(count)))])
        parts = [dealt(points, Shard(number, shards)) for number in range(1, shards + 1)]
        assert sorted(p.values["a"] for part in parts for p in part) == list(range(count))
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1

    def test_without_shards_one_command_works_them_all(self) -> None:
        points = points_of("r", [Knob("a", (1, 2, 3))])
        assert dealt(points, None) == points
