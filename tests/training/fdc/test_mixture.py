"""Shares of safety data: how many rows each group gives, which, and what cannot come out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from preference import saved_model
from recipes import pair_records, recipe, write_records
from training import SMALL, Trained, train

from bfpo_bench.errors import UserError
from bfpo_bench.training.data.spec import DataSpec
from bfpo_bench.training.fdc.mixture import Drawn, read_mixture
from bfpo_bench.training.pairs import DataReport
from bfpo_bench.training.recipe import load_recipe
from bfpo_bench.training.recipe_parts import Shares
from bfpo_bench.training.show import data_lines
from bfpo_bench.training.training_data import load_data

GROUPS = ("general", "explicit", "implicit", "mixed")


def specs(*groups: str) -> list[DataSpec]:
    return [DataSpec.model_validate({"source": "jsonl", "path": g, "group": g}) for g in groups]


def counted(**rows: int) -> Any:
    """A reader of so many rows of each group, in an order that says its seed."""

    def read(given: Sequence[DataSpec], seed: int) -> tuple[list[str], list[DataReport]]:
        found = [f"{s.path} {n} of seed {seed}" for s in given for n in range(rows[str(s.path)])]
        return found, [DataReport("jsonl", str(s.path), None, "") for s in given]

    return read


def test_each_group_is_its_share_of_the_general_rows() -> None:
    """Of 400 general rows 0.04 are 16, 0.015 are 6 and 0.0075 are 3: the defaults."""
    read = counted(general=400, explicit=50, implicit=6, mixed=9)
    found, reports, drawn = read_mixture(specs(*GROUPS), Shares(), 3, read)
    assert [(d.group, d.rows, d.taken, d.asked, d.came_out) for d in drawn] == [
        ("general", 400, 400, None, 1.0),
        ("explicit", 50, 16, 0.04, 0.04),
        ("implicit", 6, 6, 0.015, 0.015),
        ("mixed", 9, 3, 0.0075, 0.0075),
    ]
    assert len(found) == 425
    assert [report.origin for report in reports] == list(GROUPS)


def test_the_first_rows_of_the_shuffled_group_are_taken_and_all_are_shuffled() -> None:
    read = counted(general=100, explicit=9)
    shares = Shares(explicit=0.04, implicit=0, mixed=0)
    found, *_ = read_mixture(specs("general", "explicit"), shares, 3, read)
    explicit = [row for row in found if row.startswith("explicit")]
    assert sorted(explicit) == [f"explicit {n} of seed 3" for n in range(4)]
    assert found[-4:] != explicit
    assert found == read_mixture(specs("general", "explicit"), shares, 3, read)[0]
    assert found != read_mixture(specs("general", "explicit"), shares, 4, read)[0]


@pytest.mark.parametrize(
    ("share", "general", "taken"),
    [(0.29, 100, 29), (0.045, 100, 5), (0.044, 100, 4), (0.005, 100, 1), (1.0, 7, 7)],
)
def test_to_the_nearest_row_halves_up(share: float, general: int, taken: int) -> None:
    """As the decimals that were written: 0.045 of 100 are 4.5 and so 5. The binary number is a little
    less, and would give 4."""
    shares = Shares(explicit=share, implicit=0, mixed=0)
    read = counted(general=general, explicit=100)
    _, _, drawn = read_mixture(specs("general", "explicit"), shares, 0, read)
    assert drawn[1].taken == taken


@given(general=st.integers(1, 5000), share=st.floats(0.001, 1), rows=st.integers(1, 3000))
def test_the_share_comes_out_or_is_refused(general: int, share: float, rows: int) -> None:
    """To half a row; and the share that the refusal offers is one that comes out."""
    read = counted(general=general, explicit=rows)

    def drawn(asked: float) -> Drawn:
        shares = Shares(explicit=asked, implicit=0, mixed=0)
        found, _, told = read_mixture(specs("general", "explicit"), shares, 0, read)
        assert len(found) == general + told[1].taken
        return told[1]

    try:
        assert abs(drawn(share).taken - share * general) <= 0.5 + 1e-9
    except UserError as error:
        said = str(error)
        if "at most" in said:
            possible = Decimal(said.rpartition("at most ")[2].removesuffix("."))
            assert share * general > rows
            assert possible * general <= rows
        else:
            assert share * general < 0.5 + 1e-9


def test_too_few_rows_say_which_share_is_possible() -> None:
    """0.04 of 400 are 16; seven rows are enough for 7 / 400 = 0.0175."""
    read = counted(general=400, explicit=7, implicit=9, mixed=9)
    with pytest.raises(UserError) as error:
        read_mixture(specs(*GROUPS), Shares(), 0, read)
    assert str(error.value) == (
        "shares.explicit 0.04 of 400 general rows are 16, and group explicit has 7: give it more rows, "
        "or a share of at most 0.0175."
    )


def test_a_share_of_no_row_is_refused() -> None:
    read = counted(general=60, explicit=7, implicit=9, mixed=9)
    with pytest.raises(
        UserError, match=r"shares.mixed 0.0075 of 60 general rows is less than half a"
    ):
        read_mixture(specs(*GROUPS), Shares(), 0, read)


def test_without_shares_nothing_is_drawn() -> None:
    plain = [DataSpec(source="jsonl", path=Path("general"))]
    found, _, drawn = read_mixture(plain, None, 5, counted(general=3))
    assert (found, drawn) == ([f"general {n} of seed 5" for n in range(3)], ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("shares=null",), "a source has a group, which shares alone ask for"),
        (("data.1.group=null",), "data.1 has no group, and shares are of groups"),
        (("data.0.group=mixed",), "no source has group: general"),
        (
            ("data.1.group=mixed",),
            "shares ask for 0.04 of group explicit, of which there is no source",
        ),
        (("shares.mixed=0",), "shares.mixed is 0, and a source has that group"),
        (("shares.mixed=-1",), "shares.mixed: Input should be greater than or equal to 0"),
        (("shares.mixd=1",), "shares.mixd: there is no such key (did you mean mixed?)"),
        (("data.1.group=benign",), "data.1.group: Input should be"),
        (
            ("buffer=[{source: ultrafeedback, assume_safe: true, group: general}]",),
            "group is for data, and the buffer is taken whole",
        ),
    ],
)
def test_what_a_recipe_cannot_mean(changes: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe("two-cores/fdc-bfpo", changes)
    assert sentence in str(error.value)


# In a training

SHARES = {"explicit": 0.25, "implicit": 0.1, "mixed": 0.05}


def written(folder: Path) -> list[dict[str, Any]]:
    """Files of 40 general pairs and 12 of each group, whose prompts tell them apart."""
    for group, count in zip(GROUPS, (40, 12, 12, 12), strict=True):
        rows = [r | {"prompt": f"{group}: {r['prompt']}"} for r in pair_records(count)]
        write_records(folder / f"{group}.jsonl", rows)
    return [{"source": "jsonl", "path": str(folder / f"{g}.jsonl"), "group": g} for g in GROUPS]


def test_the_data_of_both_stages_are_mixed_alike(tmp_path: Path) -> None:
    """Of 40 general rows 0.25 are 10, 0.1 are 4 and 0.05 are 2: 56 in all."""
    data = written(tmp_path)
    found = load_data(recipe(tmp_path / "o", data=data, shares=SHARES))
    counts = {g: sum(p.prompt[0]["content"].startswith(g) for p in found.pairs) for g in GROUPS}
    assert counts == {"general": 40, "explicit": 10, "implicit": 4, "mixed": 2}
    assert data_lines(found)[4:] == [
        "group general: 40 of 40 rows",
        "group explicit: 10 of 12 rows, 0.25 of the general (asked 0.25)",
        "group implicit: 4 of 12 rows, 0.1 of the general (asked 0.1)",
        "group mixed: 2 of 12 rows, 0.05 of the general (asked 0.05)",
    ]
    sft = {"stage": "sft", "objective": None, "shares": SHARES}
    learnt = [spec | {"target": "chosen"} for spec in data]
    told = load_data(recipe(tmp_path / "o", data=learnt, **sft))
    assert len(told.conversations) == 56
    assert told.drawn == found.drawn


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "(rows 0, taken 0)"),
        (
            '{"prompt": "?", "chosen": "a", "rejected": "a", "chosen_safe": 1, "rejected_safe": 1}\n',
            "(rows 1, taken 1; dropped 1 equal responses)",
        ),
    ],
)
def test_a_group_without_rows_is_named_with_its_file(text: str, why: str, tmp_path: Path) -> None:
    data = written(tmp_path)
    (tmp_path / "implicit.jsonl").write_text(text)
    with pytest.raises(UserError) as error:
        load_data(recipe(tmp_path / "o", data=data, shares=SHARES))
    assert str(error.value) == (
        f"{tmp_path}/implicit.jsonl: no pair is left for group implicit {why}: take more of it, or other "
        "data."
    )


def test_groups_are_counted_again_after_the_policy(tmp_path: Path) -> None:
    """Of pairs in all four cases in turn `safedpo` drops the fourth, of which both are unsafe: 30 of 40
    general ones are left. How many of a group's are drawn at random; their labels say how many stay."""
    ordered = {"objective": {"name": "dpo"}, "policy": "safedpo"}
    found = load_data(recipe(tmp_path / "o", data=written(tmp_path), shares=SHARES, **ordered))
    counts = {g: sum(p.prompt[0]["content"].startswith(g) for p in found.pairs) for g in GROUPS}
    assert counts["general"] == 30
    assert {d.group: d.kept for d in found.drawn} == counts
    assert {d.group: d.taken for d in found.drawn} == dict(zip(GROUPS, (40, 10, 4, 2), strict=True))
    assert sum(counts.values()) < 56
    for drawn in found.drawn:
        assert drawn.kept_share == counts[drawn.group] / 30
    shares = [f"{g} {counts[g]} ({counts[g] / 30:.4g} of the general)" for g in GROUPS[1:]]
    assert f"groups after the policy: general 30, {', '.join(shares)}" in data_lines(found)


def test_an_empty_group_ends_the_command(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = written(tmp_path)
    (tmp_path / "mixed.jsonl").write_text("")
    model = f"model={saved_model(tmp_path / 'start')}"
    said = train(
        "two-cores/fdc-bfpo", model, f"data={json.dumps(data)}", f"shares={json.dumps(SHARES)}"
    )
    assert said.code == 2
    assert "mixed.jsonl: no pair is left for group mixed (rows 0, taken 0)" in said.error


def test_a_policy_that_keeps_no_general_pair_leaves_no_share(tmp_path: Path) -> None:
    """Both responses of every general pair are safe, and `safety-only` asks for a difference."""
    data = written(tmp_path)
    write_records(
        tmp_path / "general.jsonl",
        [r for r in pair_records(160) if r["chosen_safe"] and r["rejected_safe"]],
    )
    ordered = {"objective": {"name": "dpo"}, "policy": "safety-only"}
    found = load_data(recipe(tmp_path / "o", data=data, shares=SHARES, **ordered))
    assert next(d.kept for d in found.drawn) == 0
    assert {d.kept_share for d in found.drawn} == {None}


def test_the_recipe_trains_and_its_manifest_and_card_say_what_came_out(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = written(tmp_path)
    options = [change for change in SMALL[2:] if not change.startswith(("data.", "buffer."))]
    said = train(
        "two-cores/fdc-bfpo",
        f"model={saved_model(tmp_path / 'start')}",
        *options,
        f"data={json.dumps(data)}",
        f"shares={json.dumps(SHARES)}",
        "training.max_steps=1",
        "output=o",
    )
    assert said.code == 0, said.err[-3000:]
    assert "group explicit: 10 of 12 rows, 0.25 of the general (asked 0.25)" in said.err
    trained = Trained(tmp_path / "o")
    assert [(d["group"], d["taken"], d["came_out"]) for d in trained.manifest["mixture"]] == [
        ("general", 40, 1.0),
        ("explicit", 10, 0.25),
        ("implicit", 4, 0.1),
        ("mixed", 2, 0.05),
    ]
    card = (trained.folder / "README.md").read_text()
    assert "Drawn, by group: 40 of 40 general, 10 of 12 explicit," in card
