"""What a soup says of itself: the model card for readers, the training manifest for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bfpo_bench import __version__
from bfpo_bench.runs.manifest import versions
from bfpo_bench.runs.training_manifest import Merge, MergedModel, TrainingManifest
from bfpo_bench.training.merging.checks import Ingredient

_TEXT = """\
# {title}

A linear merge of {count} checkpoints, made with `bfpo-bench merge` {version}: every weight is
sum_i w_i theta_i, as in model soups ([2203.05482](https://arxiv.org/abs/2203.05482)) and rewarded
soups ([2306.04488](https://arxiv.org/abs/2306.04488)).

| checkpoint | w_i | commit or content hash |
|---|---|---|
{rows}

Sums were taken in float32 (float64 for tensors stored in it) and are stored in the dtype of the first
checkpoint, which also gave the configuration, the tokenizer and the chat template.

What the model does is not said here: measure it with `bfpo-bench run --model FOLDER`. The licences of
the checkpoints apply.
"""
_PATCH_TEXT = """\
# {title}

{base} with two sparse patches, made with `bfpo-bench patch` {version}: SafePatching
([2405.13820](https://arxiv.org/abs/2405.13820)). Each patch is a model's difference from the base, at the
entries that are in its own top share of SNIP scores and not in the other patch's.

| part | checkpoint | factor | share | entries | commit or content hash |
|---|---|---|---|---|---|
{rows}
{drawn}
What has no scores is the base's, as are the configuration, the tokenizer and the chat template.

What the model does is not said here: measure it with `bfpo-bench run --model FOLDER`. The licences of
the checkpoints and of the data apply.
"""


def model_card(title: str, ingredients: Sequence[Ingredient]) -> str:
    """README.md with the hub's front matter."""
    rows = (f"| {_cell(i.name)} | {i.weight:.6g} | `{i.identity}` |" for i in ingredients)
    body = _TEXT.format(
        title=_cell(title), count=len(ingredients), version=__version__, rows="\n".join(rows)
    )
    return _front_matter(ingredients) + body


def patch_card(title: str, models: Sequence[Ingredient], arguments: Mapping[str, object]) -> str:
    """README.md of a base with a safety and an over-safety patch, as `patches.patch` made it."""
    base, *patches = models
    rows = [f"| base | {_cell(base.name)} | | | | `{base.identity}` |"]
    for part, one in zip(("safety", "over_safety"), patches, strict=True):
        share, entries = (arguments[f"{key}_{part}"] for key in ("share", "entries"))
        rows.append(
            f"| {part.replace('_', '-')} | {_cell(one.name)} | {one.weight:.6g} | {share:g} | {entries:,} "
            f"| `{one.identity}` |"
        )
    drawn = ""
    if "retain" in arguments:
        drawn = f"\nOf these each was kept with probability {arguments['retain']:g}, seed {arguments['seed']}.\n"
    body = _PATCH_TEXT.format(
        title=_cell(title),
        base=_cell(base.name),
        version=__version__,
        rows="\n".join(rows),
        drawn=drawn,
    )
    return _front_matter(models) + body


def _front_matter(ingredients: Sequence[Ingredient]) -> str:
    import yaml

    about = {
        "base_model": [i.name.partition("@")[0] for i in ingredients],
        "library_name": "transformers",
        "tags": ["merge", "bfpo-bench"],
    }
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---\n\n"


def merge_manifest(ingredients: Sequence[Ingredient]) -> str:
    """training_manifest.json of stage `merge`."""
    return _manifest(Merge(models=_models(ingredients)))


def patch_manifest(models: Sequence[Ingredient], arguments: Mapping[str, object]) -> str:
    """The same of a base with patches."""
    told = Merge(models=_models(models), method="SafePatching", arguments=dict(arguments))
    return _manifest(told)


def _manifest(merge: Merge) -> str:
    told = TrainingManifest(format=1, stage="merge", merge=merge, versions=versions())
    return told.model_dump_json(indent=2, exclude_defaults=True) + "\n"


def _models(ingredients: Sequence[Ingredient]) -> tuple[MergedModel, ...]:
    return tuple(
        MergedModel(name=i.name, weights_identity=i.identity, weight=i.weight) for i in ingredients
    )


def _cell(text: str) -> str:
    """Names are the user's: nothing in them ends a line or a cell."""
    return "".join(c for c in text if c.isprintable()).replace("|", "\\|")
