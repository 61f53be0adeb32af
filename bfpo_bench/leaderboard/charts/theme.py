"""How charts look, light and dark: colours that colour-blind readers tell apart, and plain type.

Hues are of Okabe and Ito's palette (Color Universal Design, 2008), darker or lighter where text or thin
lines need contrast to the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.leaderboard.charts.labels import text_width

FONT = "Liberation Sans, Helvetica Neue, Helvetica, Arial, sans-serif"
SIZE = 12
"""Of labels, in pixels."""
SMALL = 11


@dataclass(frozen=True)
class Theme:
    """Colours by what they stand for; `ink` and `muted` are readable as text on `ground`. `models`
    are for lines, one a model."""

    ground: str
    ink: str
    muted: str
    grid: str
    front: str
    behind: str
    trained: str
    outcomes: dict[str, str]
    models: tuple[str, ...]


LIGHT = Theme(
    ground="#ffffff",
    ink="#1c2127",
    muted="#5a6472",
    grid="#e6e9ed",
    front="#0068a6",
    behind="#6b7480",
    trained="#b84a00",
    outcomes={
        "complied": "#c2410c",
        "safe": "#0072b2",
        "answered": "#009e73",
        "failed": "#e69f00",
        "over_refused": "#aa4499",
        "degenerate": "#4a4f57",
        "unjudged": "#9aa3ae",
    },
    models=("#0068a6", "#b84a00", "#007a5a", "#aa4499", "#8a6d00", "#4a4f57"),
)
DARK = Theme(
    ground="#14171c",
    ink="#e8ebef",
    muted="#a3adb9",
    grid="#2b3138",
    front="#56b4e9",
    behind="#8d97a3",
    trained="#f0883e",
    outcomes={
        "complied": "#e8743b",
        "safe": "#4fa8e0",
        "answered": "#2fbf8f",
        "failed": "#f0c24b",
        "over_refused": "#d386c4",
        "degenerate": "#6f7782",
        "unjudged": "#b6bec8",
    },
    models=("#56b4e9", "#f0883e", "#2fbf8f", "#d386c4", "#f0c24b", "#b6bec8"),
)


def theme(dark: bool) -> Theme:
    return DARK if dark else LIGHT


def finished(chart: Any, look: Theme, title: Sequence[str], description: str) -> dict[str, Any]:
    """The specification of an Altair chart in this theme; `title` is a title and lines of subtitle."""
    told = {"title": {"text": title[0], "subtitle": list(title[1:])}} if title else {}
    return {**chart.to_dict(), **told, "description": description, "config": config(look)}


def wrapped(text: str, size: float, width: float) -> list[str]:
    """The text's words in lines of at most `width` pixels, a longer word on a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def config(look: Theme) -> dict[str, Any]:
    """Vega-Lite's `config` for a theme."""
    text = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": SMALL, "titleFontSize": SIZE}
    colours = {"labelColor": look.muted, "titleColor": look.ink}
    return {
        "background": look.ground,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            **colours,
            "titleFontWeight": "normal",
            "gridColor": look.grid,
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "titlePadding": 10,
        },
        "legend": {**text, **colours, "titleFontWeight": "normal", "symbolStrokeWidth": 1.5},
        "header": {**text, "labelColor": look.ink, "titleColor": look.ink, "labelFontSize": SIZE},
        "text": {"color": look.ink, "fontSize": SIZE},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": look.ink,
            "subtitleColor": look.muted,
            "fontSize": 15,
            "fontWeight": 600,
            "subtitleFontSize": SMALL,
            "subtitlePadding": 4,
            "offset": 14,
        },
    }
