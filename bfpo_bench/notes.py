"""What a user should know of the respond stage, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bfpo_bench.engines.events import befell
from bfpo_bench.plan import Plan
from bfpo_bench.runs.records import DataRecord
from bfpo_bench.stages.respond import RespondResult


def respond_notes(
    plan: Plan,
    failed: Mapping[str, str],
    records: Mapping[str, DataRecord],
    result: RespondResult,
) -> Iterator[str]:
    """Tasks left out, what is doubtful about the data, prompts and answers that were cut."""
    for task, reason in failed.items():
        yield f"{task} is left out: {reason}"
    yield from result.warnings
    if plan.unverified:
        yield (
            f"the data lock vouches for the data of {len(plan.tasks) - len(plan.unverified)} of "
            f"{len(plan.tasks)} tasks; what was read of the others is recorded"
        )
    if plan.request.num_fewshot:
        few, asked = plan.settings.few_shot, [t for t in plan.tasks if t.kind == "discriminative"]
        yield (
            f"{len(few)} of {len(asked)} discriminative tasks have {plan.request.num_fewshot} examples "
            "in each prompt; the others have no split to draw from, or state 0"
        )
    for task, record in records.items():
        if record.drift is not None:
            yield f"{record.drift}; they are measured all the same (--allow-drift)"
        if record.available != record.expected:
            yield (
                f"{task}: its data set has {record.available:,} documents, upstream's "
                f"{record.expected:,}"
            )

    def total(count: str) -> int:
        return sum(c.get(count, 0) for c in result.counts.values())

    if before := total("done_before"):
        yield f"{before} of {total('requests')} requests were answered before and kept"
    if cut := total("prompts_cut"):
        yield f"{cut} prompts were longer than the model's context and cut from the left"
    if capped := total("answers_capped"):
        yield (
            f"{capped} answers could not be as long as their task allows, since the prompt left too "
            "little of the model's context: `capped` marks them in responses.jsonl"
        )
    if faults := total("faults"):
        yield (
            f"{faults} prompts got no answer, the reasons stand in responses.jsonl: they are unjudged "
            "until the same command, which asks them again, gets one"
        )
    if failures := total("failed") - faults:
        yield (
            f"the engine failed on {failures} prompts, each alone: they are unjudged, and the reasons "
            "stand in responses.jsonl"
        )
    if checks := total("checks"):
        cut = total("checks_cut")
        lost = f"; {cut} were longer than its context and cut from the left" if cut else ""
        yield (
            f"the model's own checks blocked {total('blocked')} of {checks} responses; "
            f"{total('checks_neither')} said neither yes nor no, and blocked nothing{lost}"
        )
    yield from befell(result.engine)
    if untold := total("tokens_untold"):
        yield (
            f"the server did not tell how many tokens {untold} of its answers have: response_tokens is "
            "null there"
        )
    if empty := total("answers_empty"):
        yield f"{empty} answers are empty: they count as degenerate"
