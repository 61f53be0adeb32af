"""Outcomes as bars: an Altair chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from bfpo_bench.leaderboard.charts.dots import LINE, lines_axis, panel_title
from bfpo_bench.leaderboard.charts.theme import Theme
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.scores import OutcomeCounts

UNJUDGED_WIDTH = 90
_DECIDED = [o for o in OUTCOMES if o != "unjudged"]


def outcome_bars(
    counts: Mapping[str, OutcomeCounts], look: Theme, width: int, gap: int, heading: str
) -> Any:
    """A line a label. On the left shares of the judged responses, which add up to 100; on the right
    the unjudged ones' share of all."""
    rows = [row for label, found in counts.items() for row in _shares(label, found)]
    y = lines_axis(list(counts), look, labelled=True)
    size = {"height": LINE * len(counts)}
    words = [_words(o) for o in _DECIDED]
    colours = alt.Scale(domain=words, range=[look.outcomes[o] for o in _DECIDED])
    told = [
        alt.Tooltip("label:N", title="task"),
        alt.Tooltip("outcome:N"),
        alt.Tooltip("count:Q", title="responses"),
        alt.Tooltip("share:Q", format=".1f", title="percent"),
    ]
    chart = alt.Chart(alt.Data(values=[r for r in rows if r["outcome"] != "unjudged"]))
    decided = chart.mark_bar(size=LINE - 8, stroke=look.ground, strokeWidth=1).encode(
        y=y,
        x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 100]), stack="zero"),
        color=alt.Color("outcome:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
        order=alt.Order("order:Q"),
        tooltip=told,
    )
    rest = alt.Chart(alt.Data(values=[r for r in rows if r["outcome"] == "unjudged"]))
    unjudged = rest.mark_bar(size=LINE - 8, color=look.outcomes["unjudged"]).encode(
        y=lines_axis(list(counts), look, labelled=False),
        x=alt.X(
            "share:Q",
            title=None,
            scale=alt.Scale(domain=[0, 100]),
            axis=alt.Axis(values=[0, 50, 100]),
        ),
        tooltip=told,
    )
    return alt.hconcat(
        decided.properties(width=width, title=panel_title([heading]), **size),
        unjudged.properties(width=UNJUDGED_WIDTH, title=panel_title(["unjudged"]), **size),
        spacing=gap,
    )


def _shares(label: str, counts: OutcomeCounts) -> list[dict[str, Any]]:
    """Percent of the judged for each outcome that occurs, and of all for the unjudged."""
    found = {o: int(getattr(counts, o)) for o in OUTCOMES}
    total = sum(found.values())
    judged = total - found["unjudged"]
    return [
        {
            "label": label,
            "outcome": _words(outcome),
            "order": order,
            "count": count,
            "share": 100 * count / (total if outcome == "unjudged" else judged),
        }
        for order, (outcome, count) in enumerate(found.items())
        if count
    ]


def _words(outcome: str) -> str:
    return "over-refused" if outcome == "over_refused" else outcome
