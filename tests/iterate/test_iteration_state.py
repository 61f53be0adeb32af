"""iteration.json: whose it is, what is the best round, and when it may become another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recipes import recipe, write_records

from bfpo_bench.errors import UserError
from bfpo_bench.iterate.asked import Asked
from bfpo_bench.iterate.folder import Folder
from bfpo_bench.iterate.state import Measured, Round, State, opened, read
from bfpo_bench.leaderboard.compare.gate import GateResult


def asked(folder: Path) -> Asked:
    prompts = write_records(folder / "p.jsonl", [{"prompt": "Why?", "harmful": False}])
    return Asked(recipe(folder / "models/x"), 2, prompts, folder / "it")


def test_prompts_are_kept_as_they_were(tmp_path: Path) -> None:
    """Byte for byte: rounds to come count their lines as the user does."""
    given = asked(tmp_path)
    given.prompts.write_text('\n{"prompt": "Why?", "harmful": false, "of": "mine"}')
    with opened(given):
        pass
    assert Folder(given.out).prompts_file.read_bytes() == given.prompts.read_bytes()


def test_two_commands_at_once(tmp_path: Path) -> None:
    said = "Another bfpo-bench is working on"
    with (
        opened(asked(tmp_path)),
        pytest.raises(UserError, match=said),
        opened(asked(tmp_path)),
    ):
        pass


def test_before_a_checkpoint_something_else_may_be_asked(tmp_path: Path) -> None:
    """A recipe that could not be trained is mended there; what was begun of it is forgotten."""
    given = asked(tmp_path)
    with opened(given):
        pass
    other = replace(given, recipe=recipe(tmp_path / "models/x", seed=1))
    with opened(other) as state:
        assert state.settings["recipe"]["seed"] == 1
    checkpoint = Folder(given.out).model(1) / "checkpoints" / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    with (
        pytest.raises(UserError, match="holds an iteration with another seed: give"),
        opened(given),
    ):
        pass


def test_a_file_that_is_none(tmp_path: Path) -> None:
    given = asked(tmp_path)
    given.out.mkdir()
    (given.out / "iteration.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="is not the state of an iteration"), opened(given):
        pass


@pytest.mark.parametrize(
    ("gates", "best"),
    [
        ([], 0),
        ([True], 1),
        ([True, True], 2),
        ([True, False], 1),
        ([False, True], 0),
        ([None], 0),
        ([True, None], 1),
    ],
)
def test_the_best_round_is_the_last_before_a_broken_gate(
    gates: list[bool | None], best: int
) -> None:
    """None: measured, and not decided yet."""
    measured = Measured(run="r", scores={})
    rounds = [Round(number=0, model="m", measured=measured)]
    for number, passed in enumerate(gates, 1):
        gate = None if passed is None else GateResult(passed=passed, rules=[])
        rounds.append(Round(number=number, model="m", measured=measured, gate=gate))
    found = State(settings={}, rounds=tuple(rounds)).best
    assert found is not None
    assert found.number == best


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with opened(asked(tmp_path)) as state:
        assert read(Folder(tmp_path / "it")) == state
