"""The model card of a trained model, in the form that the Hugging Face hub reads."""

from __future__ import annotations

import re
from typing import Any

import yaml

from bfpo_bench.levels import Levels, read_levels
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.training.labels import CASES
from bfpo_bench.training.recipe import Recipe


def model_card(recipe: Recipe, manifest: TrainingManifest) -> str:
    """README.md: front matter, what was trained on what, and the recipe whole."""
    assert manifest.base is not None
    assert manifest.parameters is not None
    # The hub links to a model of its own; a folder is none
    hub_id = {"base_model": manifest.base.name.partition("@")[0]} if manifest.base.commit else {}
    # No library loads a router but this project
    library = {"library_name": "peft" if recipe.lora else "transformers"}
    head: dict[str, Any] = {
        **hub_id,
        **({} if manifest.experts else library),
        "pipeline_tag": "text-generation",
        "tags": ["bfpo-bench", recipe.objective_name or recipe.stage],
        "datasets": sorted({r["origin"] for r in manifest.data + manifest.buffer if r["revision"]}),
    }
    share = manifest.parameters
    recipe_yaml = yaml.safe_dump(recipe.dump(), sort_keys=False, allow_unicode=True)
    runs = re.findall("`+", recipe_yaml)
    fence = "`" * max(3, *(len(run) + 1 for run in runs), 0)
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
            f"# {recipe.name}",
            "",
            f"{manifest.base.name}, trained by `bfpo-bench train` ({manifest.describe()}): "
            f"{manifest.steps} steps, {share.trained:,} of {share.all:,} parameters.",
            *_experts(manifest),
            "",
            *_data_section(manifest),
            *_levels_section(manifest),
            "",
            "## Recipe",
            "",
            f"{fence}yaml\n{recipe_yaml}{fence}",
            "",
            "What the model does is not said here: measure it with "
            "`bfpo-bench run --model FOLDER`. Licences of the base model and of the data apply.",
            "",
        ]
    )


def _levels_section(manifest: TrainingManifest) -> list[str]:
    """How whoever uses the model says which levels it is to answer at."""
    if manifest.levels is None:
        return []
    cells = ", ".join(f"{cell} ({n:,})" for cell, n in manifest.levels.cells.items())
    learnt = (read_levels(cell) for cell, n in manifest.levels.cells.items() if n)
    best = max((one for one in learnt if one is not None), key=_height)
    return [
        "",
        "## Levels",
        "",
        "Trained to answer at levels of helpfulness and safety, which a line at the end of the user's "
        f"message asks for, after an empty one: `{best.line}` are the highest that it learnt.",
        "",
        f"Responses learnt at each pair of levels: {cells}.",
    ]


def _height(levels: Levels) -> tuple[int, int]:
    """Of two pairs with the same sum the safer one is the higher."""
    return levels.helpfulness + levels.safety, levels.safety


def _experts(manifest: TrainingManifest) -> list[str]:
    if not manifest.experts:
        return []
    told = (f"{role} {one.name} (`{one.weights}`)" for role, one in manifest.experts.items())
    return ["", f"A router over two LoRA experts: {', '.join(told)}."]


def _data_section(manifest: TrainingManifest) -> list[str]:
    known = CASES if manifest.stage == "preference" else ()
    lines = [
        "## Data",
        "",
        f"SHA-256 of everything trained on: `{manifest.data_sha256}`",
        "",
        f"| {' | '.join(('source', 'revision', 'used', 'dropped', *known))} |",
        f"|{'---|' * (4 + len(known))}",
    ]
    for part, reports in (("", manifest.data), (" (buffer)", manifest.buffer)):
        for report in reports:
            cells = (
                f"{report['origin']}{part}",
                report["revision"] or "",
                f"{report['used']} of {report['rows']}",
                sum(report["dropped"].values()),
                *(report["cases"].get(case, 0) for case in known),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    if not manifest.mixture:
        return lines
    drawn = ", ".join(f"{d['taken']} of {d['rows']} {d['group']}" for d in manifest.mixture)
    told = f"Drawn, by group: {drawn}."
    if any(d["kept"] != d["taken"] for d in manifest.mixture):
        kept = ", ".join(f"{d['kept']} {d['group']}" for d in manifest.mixture)
        told += f" After the policy: {kept}."
    return [*lines, "", told]
