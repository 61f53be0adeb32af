"""The models of the common table, made once and kept in the cache."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bfpo_bench.demo import model
from bfpo_bench.demo.compare import Comparison, OneBar
from bfpo_bench.demo.kept import kept
from bfpo_bench.demo.methods.models import (
    Bias,
    Conditioned,
    Iterated,
    Made,
    Patched,
    Sum,
    Trained,
)
from bfpo_bench.demo.methods.places import PROMPTS, Learnt, own_files, places, recipe
from bfpo_bench.demo.pairs import helpfulness_pairs, safety_pairs
from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress

if TYPE_CHECKING:
    from bfpo_bench.engines.subject import Subject
    from bfpo_bench.training.merging.checks import Ingredient
    from bfpo_bench.training.show import Ui

SHARD_BYTES = 5_000_000_000
SNIP_EXAMPLES = 128


def make_all(
    cache: Path, command: Sequence[str], ui: Ui, comparison: Comparison, made: Sequence[Made]
) -> dict[str, Path]:
    """Name -> folder of each of `made`, and of the models of `comparison`, which are in the cache already.

    What is there stays; a training that was killed goes on from its last checkpoint, rounds where they
    were, and anything else begins anew. Raises UserError where the cache cannot be written.
    """
    found = places(cache.resolve(), comparison, made)
    for number, entry in enumerate(made, 1):
        title = f"{entry.name} ({number} of {len(made)})"
        if _is_there(entry, found):
            continue
        began = time.monotonic()
        with model.few_threads():
            _make(entry, found, comparison, command, OneBar(ui, title))
        ui.note(f"{entry.name}: {time.monotonic() - began:.0f} s")
    return found


def _is_there(entry: Made, found: Mapping[str, Path]) -> bool:
    from bfpo_bench.runs.training_manifest import TrainingManifest

    if isinstance(entry, Bias):
        return found[entry.name].is_file()
    return (found[entry.name] / TrainingManifest.FILE).is_file()


def _make(
    entry: Made,
    found: Mapping[str, Path],
    comparison: Comparison,
    command: Sequence[str],
    ui: Ui,
) -> None:
    if isinstance(entry, Iterated):
        _iterate(entry, found, comparison, command, ui)
    elif isinstance(entry, Trained | Conditioned):
        _train(entry, found, comparison, command, ui)
    elif isinstance(entry, Sum):
        _sum(entry, found, ui)
    elif isinstance(entry, Patched):
        _patch(entry, found, ui)
    else:
        _bias(entry, found, ui)


def _train(
    entry: Trained | Conditioned,
    found: Mapping[str, Path],
    comparison: Comparison,
    command: Sequence[str],
    ui: Ui,
) -> None:
    from bfpo_bench.training.train import train

    output = found[entry.name]
    _write_files(entry, output.parent)
    train(recipe(entry, output, comparison, found), command, ui)


def _iterate(
    entry: Iterated,
    found: Mapping[str, Path],
    comparison: Comparison,
    command: Sequence[str],
    ui: Ui,
) -> None:
    """Raises UserError where a round yields no pairs, or the world failed in one."""
    from bfpo_bench.iterate.acts import Acts, Broken
    from bfpo_bench.iterate.asked import Asked
    from bfpo_bench.iterate.loop import iterate

    output = found[entry.name]
    _write_files(entry, output.parent)
    asked = Asked(
        recipe=recipe(entry, output, comparison, found),
        rounds=entry.rounds,
        prompts=output.parent / PROMPTS,
        out=output.parent / "rounds" / entry.name,
        temperature=entry.temperature,
        max_new_tokens=entry.max_new_tokens,
        suite="bfpo-demo",
        engine="transformers",
        runs=output.parent / "runs",
        leaderboard=output.parent / "rounds.csv",
    )
    try:
        state = iterate(asked, Acts(asked, command, ui), ui)
    except Broken as broken:
        raise UserError(f"{entry.name}: {broken}; give the same command again.") from broken
    assert state.best is not None
    model = state.best.model

    def copy(place: Path) -> None:
        shutil.copytree(model, place, dirs_exist_ok=True)

    kept(output, copy)


def _write_files(entry: Learnt, folder: Path) -> None:
    from bfpo_bench.runs.jsonl import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in own_files(entry).items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(folder / name, "".join(lines))


def _sum(entry: Sum, found: Mapping[str, Path], ui: Ui) -> None:
    from bfpo_bench.training.merging.checks import check_same_network
    from bfpo_bench.training.merging.soup import kept_files, merge

    subjects = [_subject(found[name]) for name in entry.models]
    ingredients = [_ingredient(s, w) for s, w in zip(subjects, entry.weights, strict=True)]
    check_same_network(ingredients)
    with ui.stage("merge") as report:
        merge(
            ingredients,
            kept_files(subjects[0].base.files),
            found[entry.name],
            SHARD_BYTES,
            lambda done, total: report(Progress("tensors", done, total)),
        )


def _patch(entry: Patched, found: Mapping[str, Path], ui: Ui) -> None:
    from bfpo_bench.training.merging.checks import check_same_network
    from bfpo_bench.training.merging.patches import Patch, Settings, patch
    from bfpo_bench.training.merging.score import score
    from bfpo_bench.training.merging.scores import read_scores
    from bfpo_bench.training.merging.soup import kept_files

    base, *subjects = [_subject(found[name]) for name in entry.needs]
    both = []
    for name, subject in zip(entry.needs[1:], subjects, strict=True):
        scores = found[entry.name].parent / f"scores-{name}"
        if not scores.is_dir():
            with ui.stage("snip") as report:
                score(
                    subject,
                    scores,
                    SNIP_EXAMPLES,
                    lambda n, of: report(Progress("examples", n, of)),
                )
        told, tensors = read_scores(scores)
        both.append(Patch(_ingredient(subject, 1.0), tensors, told.examples))
    ours = _ingredient(base, 1.0)
    check_same_network([ours, *(one.model for one in both)])
    with ui.stage("patch") as report:
        patch(
            ours,
            (both[0], both[1]),
            Settings(shares=(entry.share, entry.share)),
            kept_files(base.base.files),
            found[entry.name],
            SHARD_BYTES,
            lambda done, total: report(Progress("tensors", done, total)),
        )


def _bias(entry: Bias, found: Mapping[str, Path], ui: Ui) -> None:
    from bfpo_bench.engines.steering.make import BiasRequest, make_bias
    from bfpo_bench.runs.jsonl import write_atomically

    out = found[entry.name]
    out.parent.mkdir(parents=True, exist_ok=True)
    asked = [pair.prompt[-1]["content"] for pair in (*safety_pairs(), *helpfulness_pairs())]
    prompts = out.with_name("prompts.jsonl")
    write_atomically(prompts, "".join(json.dumps({"prompt": text}) + "\n" for text in asked))
    request = BiasRequest(
        model=str(found[entry.model]),
        reference=str(found[entry.reference]),
        prompts=prompts,
        positions=entry.positions,
        out=out,
        random=entry.prompts,
    )
    with ui.stage("bias") as report:
        make_bias(request, lambda phase, done, total: report(Progress(phase, done, total)))


def _subject(folder: Path) -> Subject:
    from bfpo_bench.engines.subject import resolve_subject

    return resolve_subject(str(folder))


def _ingredient(subject: Subject, weight: float) -> Ingredient:
    from bfpo_bench.training.merging.checks import Ingredient

    assert subject.base.folder is not None
    return Ingredient(subject.name, subject.base.folder, subject.identity.weights, weight)
