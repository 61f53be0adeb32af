"""Colours that can be told apart and read, light and dark."""

from __future__ import annotations

from itertools import combinations

import pytest

from bfpo_bench.leaderboard.charts.theme import DARK, LIGHT, Theme, wrapped
from bfpo_bench.scoring.outcomes import OUTCOMES


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_text_is_readable(look: Theme) -> None:
    """4.5 to 1 is WCAG's AA for text."""
    assert contrast(look.ink, look.ground) >= 4.5
    assert contrast(look.muted, look.ground) >= 4.5


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_marks_stand_out_from_the_ground(look: Theme) -> None:
    """3 to 1 is WCAG's AA for graphics; bars of outcomes have names beside them, and a rim."""
    assert all(contrast(c, look.ground) >= 3 for c in (look.front, look.behind, look.trained))
    assert all(contrast(c, look.ground) >= 3 for c in look.models)
    assert all(contrast(c, look.ground) >= 2 for c in look.outcomes.values())


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_every_outcome_has_a_colour_of_its_own(look: Theme) -> None:
    assert set(look.outcomes) == set(OUTCOMES)
    assert all(a != b for a, b in combinations(look.outcomes.values(), 2))
    assert len(set(look.models)) == len(look.models)


def test_words_are_wrapped_to_a_width() -> None:
    """Each letter o is 0.56 of the size wide, a space 0.32: 'oo oo' is 2.56 em, two of them are more."""
    assert wrapped("oo oo oo", 10, 26) == ["oo oo", "oo"]
    assert wrapped("", 10, 26) == []
    assert wrapped("o" * 40, 10, 26) == ["o" * 40]
