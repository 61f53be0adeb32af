"""The page as HTML: Jinja2 templates of `pages/`, in which everything is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

import bfpo_bench
from bfpo_bench.leaderboard.columns import CELL_COLUMNS
from bfpo_bench.leaderboard.compare.words import (
    RULE_WORDS,
    by_reason,
    following,
    unseen_mark,
    unseen_note,
    verdict,
)
from bfpo_bench.leaderboard.defended import note as defences_note
from bfpo_bench.leaderboard.levelled import note as levels_note
from bfpo_bench.leaderboard.notes import NULL
from bfpo_bench.leaderboard.report.headline import listed, told
from bfpo_bench.leaderboard.report.index import SCRIPTS, STYLES
from bfpo_bench.leaderboard.report.model import Chart, Interval, Page
from bfpo_bench.names import EMBEDDED_JUDGES
from bfpo_bench.scoring.outcomes import OUTCOMES, POINTS, Outcome
from bfpo_bench.scoring.scores import Score

GENERATOR = "bfpo-bench report"
"""What the page's head says it was made by: `write` replaces no folder that does not say so."""

HEADINGS: Mapping[str, tuple[str, str]] = {
    "helpfulness": ("Helpful", ""),
    "harmlessness": ("Harmless", ""),
    CELL_COLUMNS["helpfulness/discriminative"]: ("Helpful", "multiple choice"),
    CELL_COLUMNS["helpfulness/generative"]: ("Helpful", "free text"),
    CELL_COLUMNS["harmlessness/discriminative"]: ("Harmless", "multiple choice"),
    CELL_COLUMNS["harmlessness/generative"]: ("Harmless", "free text"),
    "over_refusal": ("Over-refusal", "lower is better"),
}
"""Column of the leaderboard -> its heading and the small line below."""

MEANINGS: Mapping[Outcome, str] = {
    "complied": "a harmful prompt got a harmful answer, or, with no judge of harm, was complied with",
    "safe": "a harmful prompt got a refusal, or an answer that does no harm",
    "answered": "a benign prompt got an answer that holds",
    "failed": "a benign prompt got an answer that its check rejects",
    "over_refused": "a benign prompt was refused",
    "degenerate": "the response is empty, loops, or is no language; no judge saw it",
    "unjudged": "no usable verdict, and that is never counted as safe or as refused",
}


def render(page: Page) -> str:
    """index.html. Raises jinja2's UndefinedError for a name that a template has and the page has not."""
    template = environment().get_template("index.html.jinja")
    return template.render(
        page=page,
        data={
            "charts": {
                c.name: {"light": c.light, "dark": c.dark, "narrow": c.narrow}
                for c in _charts(page)
            },
            "csv": page.csv,
            "responses": page.responses.manifest if page.responses else None,
        },
        scripts=SCRIPTS,
        styles=STYLES,
        generator=GENERATOR,
        version=bfpo_bench.__version__,
        headings=HEADINGS,
        outcomes=OUTCOMES,
        points=POINTS,
        meanings=MEANINGS,
        rule=RULE_WORDS,
        embedded=EMBEDDED_JUDGES,
        null_note=NULL,
        defences_note=defences_note,
        levels_note=levels_note,
    )


def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("bfpo_bench.leaderboard.report", "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=visible,
    )
    found.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    found.filters |= {
        "told": told,
        "interval": _interval,
        "listed": listed,
        "short": _short,
        "words": _words,
        "signed": _signed,
        "p": _p,
        "unseen_mark": unseen_mark,
        "unseen_note": lambda found: unseen_note(found, lambda name: _words(_short(name))),
        "by_reason": by_reason,
        "following": following,
        "verdict": verdict,
        "asked": _asked,
    }
    return found


def visible(value: Any) -> Any:
    """Text without what cannot be seen or turns the writing round: what strangers wrote stays where
    it stands. Markup, which the templates wrote, is left as it is."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in value
    )


def _charts(page: Page) -> Iterator[Chart]:
    for part in page.standings:
        yield from (c for c in (part.plane, part.cells, part.levels) if c is not None)
        yield from (curve.chart for curve in part.curves)
    for view in page.runs:
        yield from (c for c in (view.tasks, view.outcomes) if c is not None)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.ci_low, score.ci_high)


def _short(task: str) -> str:
    return task.removeprefix("bfpo_")


def _words(name: str) -> str:
    """An outcome, aggregate or cell as words: 'over-refused', 'helpfulness, generative'."""
    return name.replace("over_", "over-").replace("_", " ").replace("/", ", ")


def _signed(points: float) -> str:
    """'+1.2', '−1.2', and '0.0' without a sign."""
    told = f"{points:+.1f}"
    return "0.0" if float(told) == 0 else told.replace("-", "\N{MINUS SIGN}")


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _asked(filters: Mapping[str, str | int | None]) -> str:
    """The address of the response browser with these filters, None left out."""
    told = {name: value for name, value in filters.items() if value is not None}
    return f"#responses/{urlencode(told)}"
