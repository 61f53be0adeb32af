"""What can be iterated, what makes an iteration another one, and the recipe of each round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import command
from recipes import recipe, write_records

from bfpo_bench.errors import UserError
from bfpo_bench.iterate.asked import Asked, check, pair_seed
from bfpo_bench.iterate.folder import Folder, round_recipe
from bfpo_bench.leaderboard.compare.gate import Rule, Rules

SMALL = recipe(Path("models/small"), buffer=[{"source": "ultrafeedback", "assume_safe": True}])
ASKED = Asked(SMALL, rounds=2, prompts=Path("prompts.jsonl"), out=Path("it/mine"))


def test_the_recipe_of_a_round() -> None:
    """From the model of the round before, on its own pairs; all else is the recipe's."""
    folder = Folder(ASKED.out)
    first, second = (round_recipe(SMALL, folder, number) for number in (1, 2))
    assert (first.model, second.model) == ("org/base", "it/mine/round-1/mine-round-1")
    assert second.output == Path("it/mine/round-2/mine-round-2")
    assert [str(data.path) for data in second.data] == ["it/mine/round-2/pairs/pairs.jsonl"]
    assert second.differences(SMALL.dump()) == ["data", "model", "name"]


def test_every_round_and_recipe_seed_has_responses_of_its_own() -> None:
    seeds = {pair_seed(seed, number) for seed in range(50) for number in range(1, 51)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert pair_seed(42, 1) == pair_seed(42, 1)


class TestAnother:
    BEFORE = ASKED.settings("hash")

    @pytest.mark.parametrize(
        ("other", "prompts", "differs"),
        [
            (ASKED, "hash", []),
            (ASKED, "others", ["--prompts"]),
            (replace(ASKED, judges=("harmbench",)), "hash", ["--judge"]),
            (replace(ASKED, suite="bfpo-quick", tasks="*", limit=3), "hash", ["--suite", "--tasks", "--limit"]),
            (replace(ASKED, temperature=1.0, max_new_tokens=64), "hash", ["--temperature", "--max-new-tokens"]),
            (replace(ASKED, recipe=recipe(Path("x"), buffer=SMALL.dump()["buffer"], seed=1)), "hash", ["seed"]),
            (replace(ASKED, recipe=recipe(Path("models/small"), model="org/other")), "hash", ["buffer", "model"]),
        ],
    )  # fmt: skip
    def test_is_named_by_what_differs(self, other: Asked, prompts: str, differs: list[str]) -> None:
        assert other.differences(self.BEFORE, prompts) == differs

    @pytest.mark.parametrize(
        "same",
        [
            {"rounds": 9},
            {"rules": Rules(rules=(Rule(score="helpfulness", at_least=0),))},
            {"engine": "vllm", "runs": Path("elsewhere"), "leaderboard": Path("other.csv")},
            {
                "recipe": recipe(
                    Path("other"),
                    buffer=SMALL.dump()["buffer"],
                    data=[{"source": "pku-saferlhf"}],
                    reference_cache="cache",
                )
            },
        ],
    )
    def test_rounds_gate_engine_and_places_may_change(self, same: dict[str, Any]) -> None:
        assert replace(ASKED, **same).differences(self.BEFORE, "hash") == []


ROUTER = {
    "objective": {"name": "midpo_router"},
    "experts": {"safety": "models/safety", "helpfulness": "models/helpfulness"},
}
MARGIN = {"objective": {"name": "modpo", "weight": 0.5}}


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"lora": {"r": 4}}, "lora leaves an adapter"),
            (ROUTER, "experts leave a router over adapters"),
            ({"chat_template": "org/other"}, "chat_template is for training alone"),
            ({"ama": {}}, "ama asks for segments with rewards"),
            (MARGIN, "the objective modpo asks for a margin"),
        ],
    )
    def test_recipes_whose_rounds_would_fail_later(
        self, changes: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(UserError, match=f"^Recipe small cannot be iterated: {said}"):
            check(replace(ASKED, recipe=recipe(Path("x"), **changes)))

    def test_shares_of_groups(self) -> None:
        data = [{"source": "jsonl", "path": "a.jsonl", "group": "general"}]
        shares = {"explicit": 0, "implicit": 0, "mixed": 0}
        given = recipe(Path("x"), data=data, shares=shares)
        with pytest.raises(UserError, match="shares asks for groups, which"):
            check(replace(ASKED, recipe=given))

    def test_supervised_fine_tuning(self) -> None:
        given = recipe(Path("x"), stage="sft", objective=None)
        with pytest.raises(UserError, match="its stage is sft, and rounds train on pairs"):
            check(replace(ASKED, recipe=given))

    def test_a_margin_from_a_model_is_fine(self) -> None:
        given = recipe(Path("x"), **MARGIN, margin={"model": "org/safe"})
        check(replace(ASKED, recipe=given))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"rounds": 0}, "--rounds 0 is none: give 1 or more"),
            ({"temperature": 0.0}, "At --temperature 0 both responses to a prompt"),
            ({"temperature": float("nan")}, "At --temperature nan both"),
            ({"engine": "server"}, "--engine server does not load the model"),
            ({"engine": "null"}, "--engine null does not load the model"),
        ],
    )
    def test_what_would_measure_nothing(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(UserError, match=f"^{said}"):
            check(replace(ASKED, **changes))


class TestTheCommandRefuses:
    COMMAND = ("iterate", "two-cores/bfpo", "--rounds", "1", "--prompts")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("none.jsonl",), "none.jsonl cannot be read"),
            (("prompts.jsonl", "output=x"), "leave output out, and give --out"),
            (("prompts.jsonl", "--gate", "none.yaml"), "The rules none.yaml cannot be read"),
            (("prompts.jsonl", "--judge", "ifeval"), "Judge ifeval is of kind instructions"),
            (("prompts.jsonl", "--suite", "bfpo-quik"), "There is no suite 'bfpo-quik'"),
            (("prompts.jsonl", "model=fixtures/no-such"), "There is no model fixtures/no-such"),
            (
                ("prompts.jsonl", "objective={name: modpo}", "margin={model: fixtures/no-such}"),
                "There is no model fixtures/no-such",
            ),
            (("prompts.jsonl", "--out", "models"), "The folder models holds a training"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_in_one_sentence_and_nothing_is_measured(
        self, hub: str, words: tuple[str, ...], said: str, tmp_path: Path
    ) -> None:
        write_records(tmp_path / "prompts.jsonl", [{"prompt": "Why?", "harmful": False}])
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "recipe.yaml").write_text("name: another\n")
        model = () if words[-1].startswith("model=") else ("model=fixtures/refuser-9M",)
        done = command(*self.COMMAND, *words, *model, "--engine", "transformers", cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert said in done.error
        assert not (tmp_path / "runs").exists()

    def test_several_processes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        done = command(*self.COMMAND, "prompts.jsonl", cwd=tmp_path)
        assert (done.code, "`iterate` trains in one process" in done.error) == (2, True)
