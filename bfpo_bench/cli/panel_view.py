"""A panel of judges as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.text import Text

from bfpo_bench.cli.fitting import FittingTable
from bfpo_bench.cli.ui import plain
from bfpo_bench.runs.records import ResponseKey
from bfpo_bench.scoring.panel import PairAgreement, Panel, Split

Texts = Mapping[ResponseKey, tuple[str, str, str]]
"""Response key -> what to call it, its prompt, and the response."""


def shortened(text: str, width: int) -> str:
    """The text's beginning on one line, safe for a terminal; ` ...` where more follows."""
    # Far more than a line holds, so that a response of megabytes costs nothing
    line = plain(" ".join(text[: 8 * width].split()))
    if len(line) <= width and len(text) <= 8 * width:
        return line
    return f"{line[: width - 4].rstrip()} ...".lstrip()


def kappa_text(kappa: float | None, low: float | None, high: float | None) -> str:
    """'0.853 [0.821, 0.884]', or a dash where it is undefined."""
    if kappa is None or low is None or high is None:
        return "–"
    return f"{kappa:.3f} [{low:.3f}, {high:.3f}]"


def panel_table(panel: Panel) -> RenderableType:
    """The judges pair by pair, then how they agree as a whole."""
    table = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("judges", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("kappa", justify="right", no_wrap=True)
    for pair in panel.pairs:
        table.add_row(_names(pair), f"{pair.n:,}", _kappa(pair))
    title = f"Judges of {panel.kind} among themselves (Cohen's kappa, 95 % interval)"
    return Group(Text(plain(title), style="italic"), table, *_lines(panel))


def _names(pair: PairAgreement) -> str:
    return plain(f"{pair.a} and {pair.b}")


def _kappa(pair: PairAgreement) -> str:
    if pair.undefined is not None:
        return plain(f"undefined: {pair.undefined}")
    return kappa_text(pair.kappa, pair.ci_low, pair.ci_high)


def _lines(panel: Panel) -> list[Text]:
    alpha = f"undefined ({panel.alpha_undefined})" if panel.alpha is None else f"{panel.alpha:.3f}"
    majority = ", ".join(f"{count:,} {label}" for label, count in panel.majority.items())
    lines = [
        f"Krippendorff's alpha {alpha}; all judged {panel.n_all_judged:,} of {panel.n:,} responses"
        + (f" ({panel.n_degenerate:,} are degenerate)" if panel.n_degenerate else "")
        + f", and split on {panel.n_split:,}.",
        f"Most say: {majority or 'nothing'}.",
    ]
    if panel.value_by_judge:
        each = ", ".join(f"{value:.1f} by {j}" for j, value in panel.value_by_judge.items())
        lines.append(f"Harmlessness {each}.")
    lines += [
        f"{judge}: {count:,} of {panel.n_tasks:,} tasks" + _outside(panel, judge)
        for judge, count in panel.tasks.items()
        if count < panel.n_tasks
    ]
    return [Text(plain(line), overflow="fold") for line in lines]


def _outside(panel: Panel, judge: str) -> str:
    """What to say of a judge that has no harmlessness of its own where others have."""
    left_out = panel.value_by_judge and judge not in panel.value_by_judge
    return ", not in the spread" if left_out else ""


def splits_table(splits: Sequence[Split], texts: Texts, most: int = 10) -> RenderableType:
    """The first `most` responses that judges split on, with what each says of them."""
    table = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("response", overflow="fold")
    table.add_column("judges say", overflow="fold")
    for split in splits[:most]:
        name, prompt, response = texts[split.key]
        shown = f"\n{shortened(prompt, 120)}\n> {shortened(response, 160)}"
        what = Text.assemble((plain(name), "dim"), shown)
        told = "\n".join(f"{plain(judge)}: {label}" for judge, label in split.labels.items())
        table.add_row(what, Text(told))
    more = f"{len(splits) - most:,} more" if len(splits) > most else ""
    return Group(
        Text(f"Responses that judges split on: {len(splits):,}", style="italic"), table, Text(more)
    )
