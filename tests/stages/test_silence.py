"""How long nothing may be heard of a stage, counted by hand."""

from __future__ import annotations

import pytest

from bfpo_bench.progress import Progress
from bfpo_bench.stages.silence import Silence


def heard(seconds: float | None, *told: Progress) -> Silence:
    silence = Silence(seconds)
    for progress in told:
        silence.heard(progress)
    return silence


def test_seconds_without_progress_add_up() -> None:
    """10 s: 4 + 4 are fewer, 4 + 4 + 2 are not."""
    silence = heard(10, Progress("responses", 1, 9))
    assert [silence.lasts(s) for s in (4, 4, 2)] == [False, False, True]


def test_a_unit_more_begins_anew() -> None:
    silence = heard(10, Progress("responses", 1, 9))
    assert not silence.lasts(9)
    silence.heard(Progress("responses", 2, 9))
    assert not silence.lasts(9)


def test_so_does_another_phase() -> None:
    silence = heard(10, Progress("responses", 9, 9))
    assert not silence.lasts(9)
    silence.heard(Progress("scoring"))
    assert not silence.lasts(9)


def test_words_are_no_progress() -> None:
    silence = heard(10, Progress("responses", 1, 9))
    assert not silence.lasts(9)
    silence.heard(Progress("responses", 1, 9, "a server is away"))
    assert silence.lasts(9)


def test_the_same_told_again_is_no_progress() -> None:
    silence = heard(10, Progress("responses", 1, 9))
    assert not silence.lasts(9)
    silence.heard(Progress("responses", 1, 9))
    assert silence.lasts(1)


@pytest.mark.parametrize(
    "told", [(), (Progress("loading the model"),), (Progress("responses", 0, 9),)]
)
def test_before_the_first_unit_it_may_be_four_times_as_long(told: tuple[Progress, ...]) -> None:
    silence = heard(10, *told)
    assert not silence.lasts(39)
    assert silence.lasts(1)


def test_without_a_limit_it_lasts() -> None:
    assert not heard(None).lasts(1e9)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1800, "30 minutes"),
        (60, "1 minute"),
        (90, "1.5 minutes"),
        (6, "6 seconds"),
        (1, "1 second"),
    ],
)
def test_what_it_says(seconds: float, said: str) -> None:
    assert heard(seconds, Progress("responses", 1, 9)).reason() == (
        f"made no progress for {said} (give the same command again, or a longer --stall-timeout)"
    )
