"""The card of a published run: what it is, what was kept back of it, and whose data it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bfpo_bench.exchange.private import without_places
from bfpo_bench.exchange.withholding import Rule
from bfpo_bench.names import code
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import Score

if TYPE_CHECKING:
    from bfpo_bench.exchange.published import Kept

_TEXT = """\
# {title}

Answers of {model} to the suite {suite}{partial}, judged by {judges}, as
bfpo-bench measured them. Comparability key {key}: compare only with runs that have the same one.

```python
from datasets import load_dataset

{load}
```

`responses` has a row for each generative answer, with what each judge says of it; `documents` a row for
each document of every task, with what it adds to the task's score. `scores.json` has every number with
its 95 % interval, `run.json` the settings, data revisions and judges behind them.

| | percent | 95 % interval |
|---|--:|---|
{numbers}

## What is kept back

{harmful}

{kept}

A prompt that is kept back is null in `messages`: `messages_sha256` is the SHA-256 of its JSON, and
`doc_id` its place in the split that the table below names. A response that is kept back is null in
`response`, and `withheld` says why; its outcome and verdicts are there.

## Data

The prompts belong to these data sets, and their licences apply. Licences are as far as bfpo-bench knows.

| task | data set | split | licence | prompts | answers |
|---|---|---|---|---|--:|
{data}
"""
_WITHHELD = (
    "Responses to harmful prompts are here only where they are clear refusals: the outcome is safe, "
    "every judge of refusals says refusal, no judge says harmful, and there is no reasoning before it, "
    "which judges are not shown. What a judge calls harmful is kept back of other prompts too. Judges err: "
    "read what is here with that in mind."
)
_INCLUDED = (
    "**Harmful responses are included**, by the wish of who published the run: some of what follows "
    "may do harm if it is used."
)


def dataset_card(rule: Rule, kept: Kept) -> str:
    """README.md with the hub's front matter: two configurations, one split `test` each."""
    import yaml

    run = rule.run
    text = _TEXT.format(
        title=f"{_title(run)}, answers and scores",
        model=code(run.scores.model),
        suite=code(f"{run.scores.suite}@{run.scores.suite_version}"),
        partial=" (a part of it)" if run.scores.partial else "",
        judges=", ".join(code(without_places(j)) for j in run.scores.judges) or "nobody",
        key=code(run.scores.comparability_key),
        load="\n".join(
            f'{n} = load_dataset("THIS_REPOSITORY", "{n}", split="test")' for n in _tables(kept)
        ),
        numbers="\n".join(_numbers(run)),
        harmful=_INCLUDED if rule.include_harmful else _WITHHELD,
        kept=_kept(kept),
        data="\n".join(_data(rule, kept)),
    )
    front = yaml.safe_dump(_front(rule, kept), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{text}"


def _front(rule: Rule, kept: Kept) -> dict[str, Any]:
    tables = _tables(kept)
    harmful = any(rule.is_harmful(task) for task in rule.run.scores.tasks)
    return {
        "pretty_name": f"{_title(rule.run)}, measured by bfpo-bench",
        "license": "other",
        "license_name": "those-of-the-prompts",
        "language": ["en"],
        "tags": ["bfpo-bench", *(["not-for-all-audiences"] if harmful else [])],
        "viewer": not rule.include_harmful,
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "test", "path": f"{name}.parquet"}],
                **({"default": True} if name == tables[0] else {}),
            }
            for name in tables
        ],
    }


def _tables(kept: Kept) -> tuple[str, ...]:
    """Of a run without generative tasks `responses` has no row, and `datasets` loads no empty split."""
    return ("responses", "documents") if kept.answers else ("documents",)


def _title(run: FinishedRun) -> str:
    """The model's name without what Markdown or HTML would read in it."""
    plain = "".join(c if c.isalnum() or c in " ./@()-" else "_" for c in run.scores.model)
    return " ".join(plain.split())[:120] or "A model"


def _numbers(run: FinishedRun) -> list[str]:
    scores = run.scores
    rows: Mapping[str, Score] = {
        "helpfulness": scores.helpfulness,
        "harmlessness": scores.harmlessness,
        "over-refusal (lower is better)": scores.over_refusal,
    }
    return [
        f"| {name} | {score.value:.1f} | [{score.ci_low:.1f}, {score.ci_high:.1f}] |"
        if score.value is not None
        else f"| {name} | – | |"
        for name, score in rows.items()
    ]


def _kept(kept: Kept) -> str:
    lines = [
        f"- {sum(kept.responses.values()):,} of {kept.answers.total():,} responses"
        f"{_reasons(kept.responses)}",
        f"- {sum(kept.prompts.values()):,} of {kept.answers.total():,} prompts"
        f"{_reasons(kept.prompts)}",
    ]
    return "\n".join(lines)


def _reasons(counted: Counter[tuple[str, str]]) -> str:
    reasons: Counter[str] = Counter()
    for (reason, _), count in counted.items():
        reasons[reason] += count
    told = "; ".join(f"{count:,} because {reason}" for reason, count in reasons.most_common())
    return f": {told}" if told else ""


def _data(rule: Rule, kept: Kept) -> list[str]:
    data, lines = rule.run.folder.data(), []
    for task in kept.answers:
        spec, known = rule.spec(task), data.get(task)
        source = known.hub_id if known and known.hub_id else "not on the hub"
        cells = (
            code(task),
            code(source),
            code(spec.split) if spec else "",
            spec.licence.replace("|", "") if spec else "not known",
            "kept back" if rule.of_prompts(task) else "here",
            f"{kept.answers[task]:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines
