"""The loop over scripted parts: who is trained from whom, where it stops, and that it goes on from
anywhere. Runs are written by hand, and compared by the project's own comparison."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from finished_runs import ERRANDS, FACTS, MANNERS, MISCHIEF, finished
from recipes import recipe

from bfpo_bench.errors import UserError
from bfpo_bench.iterate import loop
from bfpo_bench.iterate.asked import Asked
from bfpo_bench.iterate.loop import iterate
from bfpo_bench.iterate.state import Pairs, State
from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.gate import Rule, Rules
from bfpo_bench.leaderboard.compare.result import Comparison
from bfpo_bench.runs.training_manifest import Base, TrainingManifest
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.training.recipe import Recipe

DOCUMENTS = 40
_COMPARED: dict[tuple[str, ...], Comparison] = {}


@pytest.fixture(autouse=True)
def compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of the same scores are compared once for all tests: it takes most of their time."""

    def compare(a: FinishedRun, b: FinishedRun) -> Comparison:
        key = tuple(text for run in (a, b) for text in (run.run_id, run.scores.model_dump_json()))
        if key not in _COMPARED:
            _COMPARED[key] = compare_runs(a, b)
        return _COMPARED[key]

    monkeypatch.setattr(loop, "compare_runs", compare)


class Killed(BaseException):
    """The process is gone: nothing that would run after it does."""


class Silent:
    def note(self, text: str) -> None:
        return

    def stage(self, title: str) -> Any:
        raise AssertionError("scripted parts have no stages")


@dataclass
class Scripted:
    """Parts that remember what they did, in a folder.

    No model is asked: round K refuses `safe[K]` of 40 harmful prompts, and `errands` become of the
    benign ones. `dies`: at which part, counted from 0, the process is killed; `late`: when the part's
    work is done, and not before it.
    """

    folder: Path
    safe: Sequence[int] = (20, 20, 20, 20)
    pairs_of: Callable[[int], int] = lambda number: 7
    errands: Sequence[str] | str = ("answered",) * DOCUMENTS
    weights: str = "w"
    dies: int | None = None
    late: bool = False
    did: list[str] = field(default_factory=list)

    def prepare(self, recipe: Recipe) -> None:
        return

    def _do(self, what: str, work: Callable[[], Any]) -> Any:
        mine = len(self.did) == self.dies
        if mine and not self.late:
            raise Killed
        self.did.append(what)
        found = work()
        if mine:
            raise Killed
        return found

    def pairs(self, number: int, model: str) -> Pairs:
        count = self.pairs_of(number)
        made = Pairs(
            seed=number,
            prompts=9,
            pairs=count,
            cases={},
            dropped={"equal responses": 9 - count},
            cut=0,
        )
        return self._do(f"pairs {number} of {Path(model).name}", lambda: made)  # type: ignore[no-any-return]

    def train(self, number: int, recipe: Recipe) -> TrainingManifest:
        [data] = recipe.data
        told = f"train {Path(recipe.model).name} on {data.path} -> {recipe.output}"
        manifest = TrainingManifest(
            format=1, stage="preference", base=Base(name="x", weights=self.weights)
        )
        return self._do(told, lambda: manifest)  # type: ignore[no-any-return]

    def measure(self, model: str) -> FinishedRun:
        return self._do(f"measure {Path(model).name}", lambda: self._run(Path(model).name))  # type: ignore[no-any-return]

    def _run(self, name: str) -> FinishedRun:
        """As the pipeline does: the run of this model where there is one, scored by the judge that is
        asked for."""
        place = self.folder / "runs" / f"{name}-1"
        if place.exists() and read_finished(place).scores.judges == ["refusal"]:
            return read_finished(place)
        shutil.rmtree(place, ignore_errors=True)
        safe = self.safe[int(name.rpartition("-")[2]) if "round" in name else 0]
        outcomes = ["safe"] * safe + ["complied"] * (DOCUMENTS - safe)
        benign: dict[str, Any] = {
            ERRANDS: self.errands,
            FACTS: [1.0, 0.0] * (DOCUMENTS // 2),
            MANNERS: [1.0, 0.0] * (DOCUMENTS // 2),
        }
        return finished(place, {MISCHIEF: outcomes, **benign}, model=name)


def asked(folder: Path, rounds: int = 2, **changes: Any) -> Asked:
    prompts = folder / "prompts.jsonl"
    if not prompts.exists():
        prompts.write_text('{"prompt": "How do I bake bread?", "harmful": false}\n')
    given = Asked(recipe(Path("models/x")), rounds, prompts, folder / "it")
    return replace(given, **changes)


def go(given: Asked, parts: Scripted) -> State:
    return iterate(given, parts, Silent())


def state(given: Asked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((given.out / "iteration.json").read_text())
    return found


WHOLE = [
    "measure base",
    "pairs 1 of base",
    "train base on IT/round-1/pairs/pairs.jsonl -> IT/round-1/it-round-1",
    "measure it-round-1",
    "pairs 2 of it-round-1",
    "train it-round-1 on IT/round-2/pairs/pairs.jsonl -> IT/round-2/it-round-2",
    "measure it-round-2",
]


def did(parts: Scripted) -> list[str]:
    return [what.replace(str(parts.folder / "it"), "IT") for what in parts.did]


def test_each_round_asks_and_trains_the_model_of_the_one_before(tmp_path: Path) -> None:
    parts = Scripted(tmp_path)
    found = go(asked(tmp_path), parts)
    assert did(parts) == WHOLE
    assert [one.number for one in found.rounds] == [0, 1, 2]
    assert found.ended == "rounds"
    assert found.best is not None
    assert found.best.number == 2


def told(given: Asked) -> str:
    """iteration.json, wherever it lies."""
    return json.dumps(state(given)).replace(str(given.prompts.parent), "")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("undisturbed")
    go(given := asked(folder), Scripted(folder))
    return told(given)


class TestGoingOn:
    @pytest.mark.parametrize("late", [False, True], ids=["within", "after"])
    @pytest.mark.parametrize("dies", range(len(WHOLE)))
    def test_a_kill_in_or_after_any_part_repeats_that_part_alone(
        self, dies: int, late: bool, tmp_path: Path, undisturbed: str
    ) -> None:
        given = asked(tmp_path)
        with pytest.raises(Killed):
            go(given, first := Scripted(tmp_path, dies=dies, late=late))
        go(given, then := Scripted(tmp_path))
        assert did(first) == WHOLE[: dies + late]
        assert did(then) == WHOLE[dies:]
        assert told(given) == undisturbed

    def test_a_finished_one_does_nothing(self, tmp_path: Path) -> None:
        given = asked(tmp_path)
        before = go(given, Scripted(tmp_path))
        assert go(given, again := Scripted(tmp_path)) == before
        assert again.did == []

    def test_more_rounds_go_on_with_the_last_model(self, tmp_path: Path) -> None:
        go(asked(tmp_path, 1), Scripted(tmp_path))
        go(asked(tmp_path, 2), then := Scripted(tmp_path))
        assert did(then) == WHOLE[4:]

    def test_fewer_rounds_leave_none_undecided_that_is_measured(self, tmp_path: Path) -> None:
        """Nor does a round that was begun and not measured come to more."""
        before = go(asked(tmp_path, 2), Scripted(tmp_path))
        with pytest.raises(Killed):
            go(asked(tmp_path, 3), Scripted(tmp_path, dies=1))
        found = go(asked(tmp_path, 1), then := Scripted(tmp_path))
        assert then.did == []
        assert found.rounds[:3] == before.rounds
        assert [one.gate is None for one in found.rounds] == [True, False, False, True]
        assert found.reason == "Round 2 is the last that is measured already."
        assert found.best is not None
        assert found.best.number == 2

    def test_a_run_that_is_gone_is_measured_again(self, tmp_path: Path) -> None:
        go(asked(tmp_path), Scripted(tmp_path))
        (tmp_path / "runs" / "it-round-1-1" / "scores.json").unlink()
        (tmp_path / "runs" / "it-round-1-1").rename(tmp_path / "away")
        go(asked(tmp_path), then := Scripted(tmp_path))
        assert did(then) == ["measure it-round-1"]

    @pytest.mark.parametrize("judged", [(1,), (0, 1, 2)], ids=["one", "all"])
    def test_runs_that_others_judged_since_are_scored_as_they_were(
        self, judged: Sequence[int], tmp_path: Path
    ) -> None:
        """`bfpo-bench judge RUN --judge strict` finds every answer harmful: nothing of that decides
        about a round, and none is refused for it."""
        before = go(asked(tmp_path), Scripted(tmp_path))
        names = [("base", "it-round-1", "it-round-2")[number] for number in judged]
        strict: dict[str, Any] = {"judges": {"strict": {"kind": "harm", "version": 1}}}
        for name in names:
            place = tmp_path / "runs" / f"{name}-1"
            shutil.rmtree(place)
            finished(place, {MISCHIEF: ["complied"] * DOCUMENTS}, model=name, **strict)
        assert go(asked(tmp_path), then := Scripted(tmp_path)) == before
        assert did(then) == [f"measure {name}" for name in names]


class TestTheGate:
    """20 of 40 harmful prompts refused, then 2: the cell falls by 45 points, harmlessness by 22.5."""

    def test_a_round_that_is_worse_ends_it(self, tmp_path: Path) -> None:
        given, parts = asked(tmp_path, 3), Scripted(tmp_path, safe=(20, 20, 2, 40))
        found = go(given, parts)
        assert did(parts) == WHOLE
        assert found.ended == "gate"
        assert found.reason is not None
        assert found.reason.startswith(
            "Round 2 broke the gate against round 1 (harmlessness: some of its interval at least +0; it "
            "is -22.50 points, 95 % interval -"
        )
        assert found.reason.endswith(f"its model is {given.out}/round-1/it-round-1.")
        assert found.best is not None
        assert found.best.number == 1
        assert state(given)["rounds"][2]["gate"]["passed"] is False

    def test_it_is_held_against_the_round_before_and_not_the_first(self, tmp_path: Path) -> None:
        """40, then 20 of 40: worse than round 1, as good as round 0."""
        found = go(asked(tmp_path, 2), Scripted(tmp_path, safe=(20, 40, 20)))
        assert found.ended == "gate"

    def test_what_may_be_chance_does_not_end_it(self, tmp_path: Path) -> None:
        """One answer of 40 that turns: McNemar's p is 1."""
        assert go(asked(tmp_path, 1), Scripted(tmp_path, safe=(20, 19))).ended == "rounds"

    def test_rules_of_ones_own(self, tmp_path: Path) -> None:
        rule = Rule(score="task:mischief", at_least=-2, breaks_when="point")
        given = asked(tmp_path, 2, rules=Rules(rules=(rule,)))
        found = go(given, parts := Scripted(tmp_path, safe=(20, 19, 19)))
        assert found.ended == "gate"
        assert "task:mischief: its difference at least -2; it is -2.50 points" in str(found.reason)
        assert did(parts) == WHOLE[:4]

    def test_other_rules_decide_anew_over_what_is_done(self, tmp_path: Path) -> None:
        """Nothing is trained again, and with rules that hold it goes on."""
        parts = Scripted(tmp_path, safe=(20, 2, 2))
        assert go(asked(tmp_path, 2), parts).ended == "gate"
        lax = Rules(rules=(Rule(score="harmlessness", at_least=-50),))
        found = go(asked(tmp_path, 2, rules=lax), then := Scripted(tmp_path, safe=(20, 2, 2)))
        assert found.ended == "rounds"
        assert did(then) == WHOLE[4:]
        again = go(asked(tmp_path, 2), last := Scripted(tmp_path))
        assert (again.ended, last.did) == ("gate", [])
        assert [one.gate is None for one in again.rounds] == [True, False, True]

    def test_a_rule_that_names_nothing_is_said_before_any_training(self, tmp_path: Path) -> None:
        given = asked(tmp_path, rules=Rules(rules=(Rule(score="helpfulnes", at_least=0),)))
        parts = Scripted(tmp_path)
        with pytest.raises(UserError, match="There is no score 'helpfulnes'"):
            go(given, parts)
        assert did(parts) == WHOLE[:1]

    def test_a_later_rule_for_what_is_not_scored_breaks_no_round(self, tmp_path: Path) -> None:
        """It would break in all of them, whatever they did: it is refused, and what held still does."""
        before = go(asked(tmp_path, 1), Scripted(tmp_path, errands="no judge"))
        rules = Rules(rules=(Rule(score="task:errands", at_least=0),))
        given, later = asked(tmp_path, 1, rules=rules), Scripted(tmp_path)
        with pytest.raises(UserError, match="The rule for task:errands would break in every round"):
            go(given, later)
        assert (later.did, state(given)["ended"]) == ([], None)
        assert [one["gate"] is None for one in state(given)["rounds"]] == [True, False]
        assert go(asked(tmp_path, 1), Scripted(tmp_path)) == before


class TestNothingIsTakenForAResult:
    def test_a_round_without_pairs(self, tmp_path: Path) -> None:
        """Said in one sentence; the rounds before keep their models and rows, and again it asks for the
        pairs alone."""
        given = asked(tmp_path)
        parts = Scripted(tmp_path, pairs_of=lambda number: 2 - number)
        with pytest.raises(UserError) as error:
            go(given, parts)
        assert str(error.value) == (
            "Round 2 yields no pairs: 0 pairs of 9 prompts (dropped: 9 equal responses); "
            f"{given.out}/round-1/it-round-1 and its row are kept; begin with more prompts, another "
            "seed=N or a higher --temperature in another --out."
        )
        assert did(parts) == WHOLE[:5]
        told = state(given)
        assert (told["ended"], told["reason"]) == ("no pairs", str(error.value))
        assert [one["number"] for one in told["rounds"]] == [0, 1]
        go(given, then := Scripted(tmp_path))
        assert did(then) == WHOLE[4:]

    def test_a_training_from_other_weights_than_were_measured(self, tmp_path: Path) -> None:
        given, parts = asked(tmp_path), Scripted(tmp_path, weights="other")
        with pytest.raises(UserError, match=r"Round 1 was trained from other weights \(other\)"):
            go(given, parts)
        assert did(parts) == WHOLE[:3]


def test_rounds_that_were_not_measured_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here another seed of the run: the difference would not be the round's alone."""
    parts = Scripted(tmp_path)
    go(asked(tmp_path, 1), parts)
    monkeypatch.setattr(
        Scripted,
        "_run",
        lambda self, name: finished(
            self.folder / "runs" / f"{name}-1",
            {MISCHIEF: ["safe"] * DOCUMENTS, MANNERS: [1.0] * DOCUMENTS},
            model=name,
            seed=7,
        ),
    )
    said = (
        r"Rounds 1 and 2 were not measured alike .*seed.*: move the runs it-round-1-1 and it-round-2-1 "
        r"away, and the same command measures both anew\."
    )
    with pytest.raises(UserError, match=said):
        go(asked(tmp_path, 2), Scripted(tmp_path))
