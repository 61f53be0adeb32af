"""The tables of docs/scale.md, and the sentence that it begins with: `python benchmarks/planning.py --page`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.planning import (
    FLEETS,
    HOSTED_JUDGE,
    Workload,
    all_hours,
    judge_hours,
    judge_load,
    of_all,
    own_workload,
    run_bytes,
    suite_workload,
)
from benchmarks.published_rates import (
    DEVICES,
    Hours,
    gpu_hours,
    gpus_a_copy,
    hours_on,
    together,
    two_figures,
)

MIX = ((1e9, 40), (8e9, 50), (70e9, 10))
"""Parameters and how many models of so many: an example of what 100 models may be."""
CAMPAIGNS = ("100 models x suite bfpo", "10 M prompts, 80 tokens in and 512 out")


def page() -> str:
    """They, in Markdown: every new token that may be written is written."""
    suites = {name: suite_workload(name) for name in ("bfpo", "bfpo-quick")}
    works = (of_all(suites["bfpo"], 100), own_workload(10_000_000, 80, 512))
    asked = [(name, *(f"{getattr(w, field):,}" for field in _ASKED)) for name, w in suites.items()]
    hours = [
        (told, device.upper(), f"{size / 1e9:.0f} B", *_hours(device, size, work))
        for told, work in zip(CAMPAIGNS, works, strict=True)
        for device in DEVICES
        for size in (1e9, 8e9, 70e9)
    ]
    rest = [
        (told, *_judging(work), two_figures(run_bytes(work, 1.0, 2 * work.prompts) / 1e9))
        for told, work in zip(CAMPAIGNS, works, strict=True)
    ]
    return "\n\n".join(
        (
            _mix_told(suites["bfpo"]),
            _markdown(
                ("suite", "prompts", "tokens in", "tokens out, at most", "choices", "their tokens"),
                asked,
            ),
            _markdown(("", "GPU", "model", "GPUs a copy", "choices", "reading", "writing"), hours),
            _markdown(("", *_MIX_COLUMNS), _mix(suites["bfpo"])),
            _markdown(
                (
                    "",
                    "judge of 13 B, GPU-hours on H100",
                    "API judge, M tokens in",
                    "out",
                    "USD at 1 and 4",
                    "GB stored",
                ),
                rest,
            ),
        )
    )


_ASKED = ("prompts", "prompt_tokens", "new_tokens", "choices", "choice_tokens")


def _hours(device: str, size: float, work: Workload) -> tuple[str, ...]:
    parts = ((work.choice_tokens, 0), (work.prompt_tokens, 0), (0, work.new_tokens))
    return (str(gpus_a_copy(size)), *(str(gpu_hours(device, size, *part)) for part in parts))


def mix_hours(device: str, work: Workload) -> list[tuple[str, Hours]]:
    """GPU-hours of each size of `MIX`, of a judge of harm for all of them, and in all; `work` is one
    model's."""
    found = [
        (f"{count} models of {size / 1e9:.0f} B", all_hours(device, size, of_all(work, count)))
        for size, count in MIX
    ]
    every = of_all(work, sum(count for _, count in MIX))
    found.append(("a judge of 13 B", judge_hours(device, every)))
    return [*found, ("in all", together(hours for _, hours in found))]


_LARGEST = max(gpus_a_copy(size) for size, _ in MIX)
_MIX_COLUMNS = ("H100-hours", *(f"hours on {n} H100s" for n in FLEETS), "A100-hours")


def _mix(work: Workload) -> list[tuple[str, ...]]:
    return [
        (told, str(hours), *(hours_on(n, hours, _LARGEST) for n in FLEETS), str(older))
        for (told, hours), (_, older) in zip(
            mix_hours("h100", work), mix_hours("a100", work), strict=True
        )
    ]


def _mix_told(work: Workload) -> str:
    """The whole page in a sentence."""
    *parts, (_, whole) = mix_hours("h100", work)
    *models, judge = (told for told, _ in parts)
    clock = ", ".join(f"{hours_on(n, whole, _LARGEST)} hours on {n} of them" for n in FLEETS)
    return (
        f"In a sentence: suite `bfpo` whole for {', '.join(models)}, and {judge} for all of their "
        f"answers to harmful prompts, takes {whole} H100-hours, which is {clock}, and loading on top."
    )


def _judging(work: Workload) -> tuple[str, ...]:
    hosted = judge_load(work, 1.0, *HOSTED_JUDGE, work.harmful)
    return (
        str(judge_hours("h100", work)),
        f"{hosted.tokens_in / 1e6:,.0f}",
        f"{hosted.tokens_out / 1e6:,.0f}",
        f"{hosted.usd(1, 4):,.0f}",
    )


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
