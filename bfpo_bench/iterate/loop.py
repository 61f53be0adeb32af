"""The rounds in order: pairs from the last model, a training on them, its measurement, the gate.

Each round trains from the model of the round before, with that model as the reference, on new pairs
of its own responses to the same prompts; each is measured alike and held against the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from bfpo_bench.errors import UserError
from bfpo_bench.iterate.asked import Asked, check
from bfpo_bench.iterate.folder import Folder, model_of, round_recipe
from bfpo_bench.iterate.gate import GUARDED, check_alike, check_rules, default_rules, told
from bfpo_bench.iterate.state import Ended, Measured, Pairs, Round, State, opened, write
from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.gate import GateResult, check_gate
from bfpo_bench.progress import Ui
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.scoring.scores import Score, Scores
from bfpo_bench.training.recipe import Recipe


class Parts(Protocol):
    """How a round's parts are done. Each goes on where it was broken off, and raises UserError for
    what the user must change, Broken where the world failed."""

    def prepare(self, recipe: Recipe) -> None:
        """Check what metadata can show of the first round."""

    def pairs(self, number: int, model: str) -> Pairs:
        """The model's responses judged, and its pairs written; no file where there is none."""

    def train(self, number: int, recipe: Recipe) -> TrainingManifest: ...

    def measure(self, model: str) -> FinishedRun: ...


class _Rounds:
    """The state, written down whenever a part of a round is finished."""

    def __init__(self, asked: Asked, parts: Parts, ui: Ui, state: State) -> None:
        self.asked, self.parts, self.ui, self.state = asked, parts, ui, state
        self.folder = Folder(asked.out)

    def at(self, number: int) -> Round:
        return self.state.round(number, model_of(self.asked.recipe, self.folder, number))

    def keep(self, number: int, **found: object) -> Round:
        done = self.at(number).model_copy(update=found)
        self._write(self.state.having(done))
        return done

    def undecide(self) -> None:
        """Forget what gates said, once the rules may judge anew."""
        self._write(self.state.undecided())

    def end(self, ended: Ended, reason: str) -> State:
        self._write(self.state.model_copy(update={"ended": ended, "reason": reason}))
        return self.state

    def _write(self, state: State) -> None:
        self.state = state
        write(self.folder, state)

    def say(self, number: int, what: str) -> None:
        self.ui.note(f"round {number} of {self.asked.rounds}: {what}")


def iterate(asked: Asked, parts: Parts, ui: Ui) -> State:
    """Go on until all rounds are done or one breaks the gate; what is done already is kept.

    Raises UserError for what the user must change, also where a round yields no pairs, and Broken where
    the world failed: the rounds before stay as they are, and the same command goes on.
    """
    check(asked)
    with opened(asked) as state:
        rounds = _Rounds(asked, parts, ui, state)
        fresh = rounds.at(1).trained is None
        if fresh:
            buffer = "; its buffer stays" if asked.recipe.buffer else ""
            ui.note(f"each round's pairs take the place of the recipe's data{buffer}")
            parts.prepare(round_recipe(asked.recipe, rounds.folder, 1))
        before = _measured(rounds, 0)
        if fresh or asked.rules is not None:
            of_itself = compare_runs(before, before)
            check_rules(asked.rules or default_rules(of_itself), of_itself)
        rounds.undecide()
        last = _last(rounds)
        for number in range(1, last + 1):
            after = _round(rounds, number, before)
            result = _held(rounds, number, before, after)
            if not result.passed:
                return rounds.end("gate", _worse(rounds, number, result))
            before = after
        why = "that was asked for" if last == asked.rounds else "that is measured already"
        return rounds.end("rounds", f"Round {last} is the last {why}.")


def _last(rounds: _Rounds) -> int:
    """The last round to decide about: what is measured already is not left undecided, however few
    rounds are asked for now."""
    measured = (one.number for one in rounds.state.rounds if one.measured is not None)
    return max(rounds.asked.rounds, *measured)


def _round(rounds: _Rounds, number: int, before: FinishedRun) -> FinishedRun:
    """The run of the round's model."""
    done = rounds.at(number)
    if done.pairs is None:
        rounds.say(number, "ask, judge and pair")
        made = rounds.parts.pairs(number, rounds.at(number - 1).model)
        if not made.pairs:
            raise UserError(rounds.end("no pairs", _none(rounds, number, made)).reason)
        done = rounds.keep(number, pairs=made)
        rounds.say(number, pairs_text(made))
    if done.trained is None:
        rounds.say(number, "train")
        recipe = round_recipe(rounds.asked.recipe, rounds.folder, number)
        manifest = rounds.parts.train(number, recipe)
        _check_base(manifest, before, number)
        rounds.keep(number, trained=manifest.describe())
    return _measured(rounds, number)


def _measured(rounds: _Rounds, number: int) -> FinishedRun:
    done = rounds.at(number)
    if done.measured is not None and (stored := _stored(done.measured)) is not None:
        return stored
    rounds.say(number, "measure" if number else f"measure {done.model}, where it begins")
    run = rounds.parts.measure(done.model)
    scores = {name: score for mean in GUARDED for name, score in _scored(run.scores, mean)}
    key = run.scores.comparability_key
    measured = Measured(run=str(run.folder.path), comparability_key=key, scores=scores)
    rounds.keep(number, measured=measured)
    return run


def _stored(measured: Measured) -> FinishedRun | None:
    """The run as it was measured; None where its scores are gone, or are of other judges since. It
    keeps its responses and verdicts, from which measuring makes those scores again."""
    path = Path(measured.run)
    if not (path / "scores.json").is_file():
        return None
    run = read_finished(path)
    return run if run.scores.comparability_key == measured.comparability_key else None


def _scored(scores: Scores, mean: str) -> Iterator[tuple[str, Score]]:
    whole: Score = getattr(scores, mean)
    if whole.value is not None:
        yield mean, whole
        return
    for name, cell in scores.cells.items():
        if name.startswith(f"{mean}/") and cell.value is not None:
            yield name, cell


def _held(rounds: _Rounds, number: int, before: FinishedRun, after: FinishedRun) -> GateResult:
    comparison = compare_runs(before, after)
    check_alike(comparison, number)
    result = check_gate(rounds.asked.rules or default_rules(comparison), comparison)
    rounds.keep(number, gate=result)
    return result


def _check_base(manifest: TrainingManifest, before: FinishedRun, number: int) -> None:
    """Raises UserError unless the training began with the weights that were measured before."""
    begun = manifest.base.weights if manifest.base is not None else None
    if begun != before.manifest.model.weights:
        raise UserError(
            f"Round {number} was trained from other weights ({begun}) than those that {before.run_id} "
            "measured: the model changed in between; begin again with another --out."
        )


def _worse(rounds: _Rounds, number: int, result: GateResult) -> str:
    return (
        f"Round {number} broke the gate against round {number - 1} ({told(result)}): round "
        f"{number - 1} is the last that held, its model is {rounds.at(number - 1).model}."
    )


def _none(rounds: _Rounds, number: int, made: Pairs) -> str:
    return (
        f"Round {number} yields no pairs: {pairs_text(made)}; {rounds.at(number - 1).model} and its row "
        "are kept; begin with more prompts, another seed=N or a higher --temperature in another --out."
    )


def pairs_text(made: Pairs) -> str:
    """'12 pairs of 40 prompts (dropped: 20 equal responses, 8 unjudged response)'."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in made.dropped.items())
    dropped = f" (dropped: {reasons})" if reasons else ""
    return f"{made.pairs:,} pairs of {made.prompts:,} prompts{dropped}"
