"""One record a model from pairwise annotations: its win rate, raw and length-controlled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.scoring.annotations import Annotation, Pairing, by_pairing
from bfpo_bench.scoring.glm_inputs import GlmInputs, are_alpaca_eval
from bfpo_bench.scoring.length_controlled import MINIMAL, PUBLISHED, length_controlled
from bfpo_bench.scoring.winrate import win_rate

# What AlpacaEval 1 and 2 compare with
_BASELINES = ("text_davinci_003", "gpt4_1106_preview")


@dataclass(frozen=True)
class ModelRecord:
    """What `bfpo-bench winrate` says of a model. Rates, errors and bounds (95 %) are in percent.

    `n` counts the valid preferences, `n_wins_base` the baseline's wins, `avg_length` characters of
    the model's answers. A number is None where it could not be computed: `method` says why the
    length-controlled ones could not, `notes` everything else that a reader should know.
    """

    generator: str
    baseline: str
    annotator: str | None
    n: int
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_invalid: int
    avg_length: float
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    standard_error: float | None
    length_controlled_win_rate: float | None
    lc_ci_low: float | None
    lc_ci_high: float | None
    lc_standard_error: float | None
    method: str
    notes: tuple[str, ...]


def model_records(
    annotations: Sequence[Annotation], inputs: GlmInputs | None, about_inputs: str = ""
) -> list[ModelRecord]:
    """A record for each model, baseline and annotator, in the order of the file.

    `inputs` are for the published length control, which needs AlpacaEval's 805 instructions in their
    order. `about_inputs` is what the notes then say: where they are from, or why there are none.
    """
    groups = by_pairing(annotations)
    return [_record(pairing, group, inputs, about_inputs) for pairing, group in groups.items()]


def _record(
    pairing: Pairing, group: Sequence[Annotation], inputs: GlmInputs | None, about_inputs: str
) -> ModelRecord:
    preferences = [a.preference for a in group]
    raw = win_rate(preferences, f"{pairing.model} against {pairing.baseline}")
    ours = are_alpaca_eval(a.instruction for a in group)
    controlled = length_controlled(
        preferences,
        [a.model_length for a in group],
        [a.baseline_length for a in group],
        inputs if ours else None,
    )
    notes = _notes(pairing, group)
    if controlled.method == PUBLISHED:
        notes.append(f"{PUBLISHED} rests on {about_inputs}")
    elif controlled.method == MINIMAL:
        other = "the instructions are not AlpacaEval's 805 in their order"
        notes.append(f"not {PUBLISHED}: {about_inputs if ours else other}")
    return ModelRecord(
        generator=pairing.model,
        baseline=pairing.baseline,
        annotator=pairing.annotator,
        n=raw.n,
        n_wins=raw.n_wins,
        n_wins_base=raw.n_wins_base,
        n_draws=raw.n_draws,
        n_invalid=raw.n_invalid,
        avg_length=sum(a.model_length for a in group) / len(group),
        win_rate=raw.value,
        ci_low=raw.low,
        ci_high=raw.high,
        standard_error=raw.standard_error,
        length_controlled_win_rate=controlled.value,
        lc_ci_low=controlled.low,
        lc_ci_high=controlled.high,
        lc_standard_error=controlled.standard_error,
        method=controlled.method,
        notes=tuple(notes),
    )


def _notes(pairing: Pairing, group: Sequence[Annotation]) -> list[str]:
    notes = []
    invalid = sum(a.preference is None for a in group)
    if invalid:
        notes.append(
            f"{invalid} of {len(group)} preferences are dropped: neither 0 nor a number from 1 to 2"
        )
    repeated = len(group) - len({a.instruction for a in group})
    if repeated:
        notes.append(f"{repeated} instructions are repeated: the intervals take all as independent")
    if pairing.model in _BASELINES and pairing.baseline not in _BASELINES:
        notes.append(
            f"generator_2 is {pairing.model}, AlpacaEval's baseline, but generator_1 must be the "
            "baseline: if they are swapped, this is the baseline's win rate"
        )
    return notes
