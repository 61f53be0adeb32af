"""How the parts of a round are done: by the functions behind `pairs`, `train` and `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.iterate.asked import Asked, pair_seed
from bfpo_bench.iterate.folder import Folder
from bfpo_bench.iterate.state import Pairs
from bfpo_bench.judging import left_out
from bfpo_bench.pipeline import execute
from bfpo_bench.plan import make_plan
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.request import Request
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.suite.suites import Decoding
from bfpo_bench.training.inputs import models_of
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.redteam.ask import ask, planned
from bfpo_bench.training.redteam.collect import collect, dump
from bfpo_bench.training.redteam.prompt_suite import write_suite
from bfpo_bench.training.redteam.prompts import PromptRow, read_rows
from bfpo_bench.training.stage import train_apart


class Broken(Exception):
    """The world failed in a part of a round, in a sentence: the same command goes on from there."""


@dataclass(frozen=True)
class Acts:
    """The parts of `loop.Parts`, on this machine. `command` is kept in manifests."""

    asked: Asked
    command: Sequence[str]
    ui: Ui

    def prepare(self, recipe: Recipe) -> None:
        models_of(recipe, lambda _: None)
        request, folder = self._pairs_request(1, recipe.model), Folder(self.asked.out)
        rows = read_rows(folder.prompts_file, PromptRow)
        planned(request, write_suite(request.out, rows, 2, self._decoding()), self.ui)

    def pairs(self, number: int, model: str) -> Pairs:
        folder, request = Folder(self.asked.out), self._pairs_request(number, model)
        gathered = ask(folder.prompts_file, self.asked.temperature, request, self.command, self.ui)
        if gathered.faults:
            # What a faulty judge or engine left would be trained on for good
            raise Broken("; ".join(gathered.faults))
        found = collect(gathered.answered)
        if found.pairs:
            write_atomically(folder.pairs_file(number), dump(found))
        return Pairs(
            seed=request.seed,
            prompts=found.prompts,
            pairs=len(found.pairs),
            cases=found.cases,
            dropped=dict(found.dropped.most_common()),
            cut=found.cut,
        )

    def train(self, number: int, recipe: Recipe) -> TrainingManifest:
        """In a process of its own, whose memory the next round's engine needs."""
        log = Folder(self.asked.out).train_log(number)
        try:
            return train_apart(
                recipe, self.command, title=f"round {number}", log=log, ui=self.ui, aloud=True
            )
        except StageCrash as crash:
            raise Broken(f"the training of round {number} broke off: {crash}") from crash

    def measure(self, model: str) -> FinishedRun:
        with self.ui.stage("plan") as report:
            plan = make_plan(self._measure_request(model), lambda text: report(Progress(text)))
        for note in left_out(plan.judges):
            self.ui.note(note)
        [finished] = execute(plan, self.command, self.ui)
        if finished.fault is not None:
            raise Broken(f"{finished.planned.subject.name}: {finished.fault}")
        run = read_finished(finished.planned.folder)
        if run.scores.faults:
            raise Broken(f"{run.name}: unscored for a fault: {', '.join(run.scores.faults)}")
        return run

    def _decoding(self) -> Decoding:
        return Decoding(temperature=self.asked.temperature)

    def _pairs_request(self, number: int, model: str) -> Request:
        asked = self.asked
        return Request(
            models=(model,),
            engine=asked.engine,
            engine_arguments=asked.engine_arguments,
            judges=asked.judges,
            max_new_tokens=asked.max_new_tokens,
            seed=pair_seed(asked.recipe.seed, number),
            out=Folder(asked.out).pairs(number),
        )

    def _measure_request(self, model: str) -> Request:
        """With one seed for all rounds: it is part of what makes rows comparable."""
        asked = self.asked
        return Request(
            models=(model,),
            suite=asked.suite,
            tasks=asked.tasks,
            engine=asked.engine,
            engine_arguments=asked.engine_arguments,
            judges=asked.judges,
            limit=asked.limit,
            out=asked.runs,
            leaderboard=asked.leaderboard,
        )
