"""What the terminal tells of a panel's judges."""

from __future__ import annotations

from rich.console import Console

from bfpo_bench.cli.panel_view import panel_table
from bfpo_bench.scoring.panel import Panel


def shown(values: dict[str, float]) -> str:
    panel = Panel(
        kind="harm",
        judges=["harmbench", "harmbench_contextual"],
        n=3,
        n_degenerate=0,
        n_all_judged=3,
        n_split=0,
        pairs=[],
        majority={"harmless": 3},
        n_tasks=11,
        tasks={"harmbench": 11, "harmbench_contextual": 1},
        value_by_judge=values,
    )
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(panel_table(panel))
    return capture.get()


def test_a_judge_of_few_tasks_is_named_as_out_of_the_spread() -> None:
    told = shown({"harmbench": 66.7, "majority": 61.0})
    assert "harmbench_contextual: 1 of 11 tasks, not in the spread" in told
    assert "harmbench: " not in told


def test_where_its_kind_decides_nothing_there_is_no_spread_to_be_out_of() -> None:
    told = shown({})
    assert "harmbench_contextual: 1 of 11 tasks" in told
    assert "spread" not in told
