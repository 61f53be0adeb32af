"""iteration.json: what an iteration is of, and what each of its rounds came to so far.

Replaced in one step when a part of a round is finished: a command that was killed takes up the part
that it was in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bfpo_bench.errors import UserError
from bfpo_bench.iterate.asked import Asked
from bfpo_bench.iterate.folder import Folder
from bfpo_bench.leaderboard.compare.gate import GateResult
from bfpo_bench.runs.folder import check_writable
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.lock import run_lock
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.scoring.scores import Score
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.output import CHECKPOINTS, RECIPE
from bfpo_bench.training.redteam.prompts import PromptRow, read_rows, told

Ended = Literal["rounds", "gate", "no pairs"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pairs(_Part):
    """What a round's prompts gave. `seed` is of their responses; `cases` counts pairs by the safety of
    (chosen, rejected), `dropped` prompts without a pair by reason: what a judge failed on is
    `unjudged response` there."""

    seed: int
    prompts: int
    pairs: int
    cases: dict[str, int]
    dropped: dict[str, int]
    cut: int


class Measured(_Part):
    """A model's run and what its row says, in percent: helpfulness and harmlessness, or in place of one
    that is not scored its cells that are. Other judges may have scored the run since: its comparability
    key is another one then."""

    run: str
    comparability_key: str | None = None
    scores: dict[str, Score]


class Round(_Part):
    """Round `number`; 0 is the model that the first one begins with. Its parts are there once they are
    finished: `pairs`, then `trained` (in short words), then `measured`, then `gate`, which compares
    its run with that of the round before."""

    number: int
    model: str
    pairs: Pairs | None = None
    trained: str | None = None
    measured: Measured | None = None
    gate: GateResult | None = None


class State(_Part):
    """`ended` says why the last command ended, None where it broke off; `reason` in a sentence."""

    format: Literal[1] = 1
    settings: dict[str, Any]
    rounds: tuple[Round, ...] = Field(default=())
    ended: Ended | None = None
    reason: str | None = None

    def round(self, number: int, model: str) -> Round:
        """As far as it has come."""
        found = (one for one in self.rounds if one.number == number)
        return next(found, Round(number=number, model=model))

    def having(self, done: Round) -> State:
        others = [one for one in self.rounds if one.number != done.number]
        rounds = sorted([*others, done], key=lambda one: one.number)
        return self.model_copy(update={"rounds": tuple(rounds)})

    def going_on(self) -> State:
        """Without why it ended."""
        return self.model_copy(update={"ended": None, "reason": None})

    def undecided(self) -> State:
        """Without what gates said: rules may be others by now."""
        rounds = tuple(one.model_copy(update={"gate": None}) for one in self.rounds)
        return self.model_copy(update={"rounds": rounds})

    @property
    def best(self) -> Round | None:
        """The last round before any that broke a rule or has not come to its end; None where not even
        the first model is measured."""
        found = None
        for one in self.rounds:
            if one.measured is None or (one.number > 0 and not (one.gate and one.gate.passed)):
                break
            found = one
        return found


@contextmanager
def opened(asked: Asked) -> Iterator[State]:
    """The state in the iteration's folder, for this command alone; a fresh one where there is none,
    or where the first training had not come to a checkpoint yet and something else was asked.

    Raises UserError for prompts that cannot be used, a folder that cannot be written, holds something
    else or an iteration of something else, and one that another command works on.
    """
    folder, rows = Folder(asked.out), read_rows(asked.prompts, PromptRow)
    if not folder.state_file.is_file() and (asked.out / RECIPE).is_file():
        raise UserError(
            f"The folder {asked.out} holds a training and no iteration: give another --out."
        )
    check_writable(asked.out)
    with run_lock(asked.out):
        prompts = digest(told(rows))
        state = _read(folder.state_file)
        differences = asked.differences(state.settings, prompts) if state is not None else []
        if differences and _begun(folder):
            raise UserError(
                f"The folder {asked.out} holds an iteration with another {', '.join(differences)}: give "
                "what it was begun with, or another --out."
            )
        if state is None or differences:
            # A copy, since rounds to come read them again
            write_atomically(folder.prompts_file, asked.prompts.read_bytes())
            state = State(settings=asked.settings(prompts))
        state = state.going_on()
        write(folder, state)
        yield state


def _begun(folder: Folder) -> bool:
    """Whether there is a training that would be lost."""
    model = folder.model(1)
    finished = (model / TrainingManifest.FILE).is_file()
    return finished or last_checkpoint(model / CHECKPOINTS) is not None


def read(folder: Folder) -> State:
    """What is written. Raises UserError where it is no state."""
    found = _read(folder.state_file)
    assert found is not None, "it is written before anything is begun"
    return found


def _read(path: Path) -> State | None:
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{path} is not the state of an iteration of this version of bfpo-bench: restore it, or give "
            "another --out."
        ) from error


def write(folder: Folder, state: State) -> None:
    """Raises OSError, which names the file, where the disk is full."""
    write_atomically(folder.state_file, state.model_dump_json(indent=1) + "\n")
