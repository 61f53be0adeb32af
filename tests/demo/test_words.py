"""Sentences from numbers: each figure by hand, and none that flatters."""

from __future__ import annotations

from bfpo_bench.demo.words import Measured, Side, overview, sentences


def side(value: float, half: float = 5.0) -> Side:
    return Side(value, value - half, value + half)


def model(name: str, helpful: float, harmless: float) -> Measured:
    return Measured(name, side(helpful), side(harmless))


SFT, DPO, BFPO = model("sft", 85, 35), model("dpo", 40, 92), model("bfpo", 80, 88)


def test_the_best_on_each_side_come_first_with_their_intervals() -> None:
    assert sentences([SFT, DPO, BFPO], "bfpo")[0] == (
        "Most helpful: sft, 85.0 [80.0, 90.0]; most harmless: dpo, 92.0 [87.0, 97.0]."
    )


def test_models_that_share_the_best_value_are_all_named() -> None:
    assert sentences([SFT, model("twin", 85, 30), BFPO], "bfpo")[0].startswith(
        "Most helpful: sft and twin, 85.0"
    )


def test_gains_and_losses_against_each_rival() -> None:
    """88 - 35 = +53, [83, 93] and [30, 40] are apart; 80 - 85 = -5, [75, 85] and [80, 90] overlap."""
    told = sentences([SFT, DPO, BFPO], "bfpo")
    assert told[1] == (
        "bfpo against sft: harmlessness +53.0 (intervals apart), helpfulness -5.0 "
        "(intervals overlap)."
    )
    assert told[2] == (
        "bfpo against dpo: harmlessness -4.0 (intervals overlap), helpfulness +40.0 "
        "(intervals apart)."
    )


def test_intervals_that_touch_overlap() -> None:
    assert Side(1, 0, 2).overlaps(Side(3, 2, 4))
    assert Side(3, 2, 4).overlaps(Side(1, 0, 2))
    assert not Side(1, 0, 2).overlaps(Side(3, 2.1, 4))


UPSHOT = "No worse on either side and better on one, by the values alone: "


def test_trade_offs_leave_nobody_over_another() -> None:
    told = sentences([SFT, DPO, BFPO], "bfpo")
    assert told[-1] == f"{UPSHOT}no rival over bfpo, and bfpo over none."


def test_who_is_beaten_is_named_and_so_is_who_beats_it() -> None:
    """Equal on one side and better on the other is enough; two equal models are no such thing."""
    equal, worse, better = model("equal", 80, 88), model("worse", 80, 60), model("better", 81, 90)
    assert sentences([equal, worse, BFPO], "bfpo")[-1] == f"{UPSHOT}bfpo over worse."
    assert sentences([equal, better, BFPO], "bfpo")[-1] == f"{UPSHOT}better over bfpo."
    assert sentences([better, worse, BFPO], "bfpo")[-1] == (
        f"{UPSHOT}better over bfpo; bfpo over worse."
    )


class TestOverview:
    """Of sft (85, 35), dpo (40, 92), bfpo (80, 88), near (78, 86) and far (75, 60), each with 5 either way:
    the means are 60, 66, 84, 82 and 67.5."""

    TOLD = overview([SFT, DPO, BFPO, model("near", 78, 86), model("far", 75, 60)], "bfpo")

    def test_the_best_mean_and_who_is_not_told_from_it(self) -> None:
        """[73, 83] and [81, 91] of near overlap with [75, 85] and [83, 93]; far's [55, 65] does not."""
        assert self.TOLD[1] == (
            "Highest mean of the two: bfpo, 84.0; intervals that overlap with its own on both sides: near."
        )

    def test_the_front_is_whom_nobody_beats_on_both_sides(self) -> None:
        assert self.TOLD[2] == "On the Pareto front: sft, dpo, bfpo."

    def test_it_begins_with_the_best_of_each_side_and_ends_with_the_upshot(self) -> None:
        assert self.TOLD[0].startswith("Most helpful: sft, 85.0")
        assert self.TOLD[-1] == f"{UPSHOT}bfpo over near and far."

    def test_a_best_one_that_stands_alone(self) -> None:
        assert overview([SFT, DPO], "sft")[1].endswith("on both sides: none.")
