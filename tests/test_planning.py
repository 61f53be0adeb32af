"""benchmarks/planning.py: its arithmetic, worked by hand, and that docs/scale.md is not stale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import HEAD64
from commands import command

from benchmarks import planning, planning_check, planning_page
from benchmarks.planning import Stored, Workload, judge_load, of_all, own_workload, run_bytes
from benchmarks.published_rates import (
    ANCHORS,
    Anchor,
    Hours,
    Row,
    Speed,
    gpu_hours,
    gpus_a_copy,
    hours_on,
    speeds,
    two_figures,
)

PAGE = Path(planning.__file__).parents[1] / "docs" / "scale.md"


def test_the_page_shows_what_is_computed_now() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in planning_page.page().split("\n\n"):
        assert part in text, "run `python benchmarks/planning.py --page` and put it in"


def test_its_tokens_are_those_of_plan(hub: str, tmp_path: Path) -> None:
    said = command(
        *("plan", "--json", "--engine", "null", "--model", HEAD64, "--suite", "bfpo-quick"),
        cwd=tmp_path,
    )
    tasks = json.loads(said.out)["tasks"]
    work = planning.suite_workload("bfpo-quick")
    assert sum(t["new_tokens"] for t in tasks) == work.new_tokens
    assert sum(t["prompt_tokens"] for t in tasks) == work.prompt_tokens + work.choice_tokens
    assert sum(t["requests"] for t in tasks) == work.prompts + work.choices


def test_two_published_rows_give_both_speeds() -> None:
    """At 1,000 tokens/s in and 100 out, 2,000 in and 100 out take 2 + 1 = 3 s: 33.3 tokens/s written;
    100 in and 1,000 out take 0.1 + 10 = 10.1 s: 99.0. A server that takes 1 + 1 s by these speeds
    and wrote 25 tokens/s took 4 s: it has half of both."""
    anchor = Anchor(
        "made", 1e9, Row(2000, 100, 100 / 3), Row(100, 1000, 1000 / 10.1), Row(1000, 100, 25)
    )
    assert (anchor.fast.prefill, anchor.fast.decode) == pytest.approx((1000, 100))
    assert (anchor.slow.prefill, anchor.slow.decode) == pytest.approx((500, 50))


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda a: f"{a.device} {a.parameters:.0e}")
def test_published_rows_come_out_again(anchor: Anchor) -> None:
    for row in (anchor.reading, anchor.writing):
        took = anchor.fast.seconds(row.tokens_in, row.tokens_out)
        assert row.tokens_out / took == pytest.approx(row.rate)
    served = anchor.slow.seconds(anchor.served.tokens_in, anchor.served.tokens_out)
    assert anchor.served.tokens_out / served == pytest.approx(anchor.served.rate)
    assert anchor.slow.decode <= anchor.fast.decode


def test_time_grows_with_the_parameters() -> None:
    """Twice 8 B takes twice the time; an eighth of it an eighth at best, and at worst less than half."""
    (slow, fast), (slow16, fast16) = speeds("h100", 8e9), speeds("h100", 16e9)
    assert (slow.decode, fast.decode) == pytest.approx((2 * slow16.decode, 2 * fast16.decode))
    slow1, fast1 = speeds("h100", 1e9)
    assert fast1.decode == pytest.approx(8 * fast.decode)
    assert slow1.decode == pytest.approx(8**0.5 * slow.decode)


def test_hours_go_from_fast_to_slow() -> None:
    hours = gpu_hours("h100", 8e9, 0, 3.6e9)
    slow, fast = speeds("h100", 8e9)
    assert (hours.low, hours.high) == pytest.approx((1e6 / fast.decode, 1e6 / slow.decode))
    assert Speed(100, 10).seconds(200, 30) == 5


def test_gpus_that_a_copy_needs() -> None:
    """In 16 bits 8 B take 16 GB; 70 B take 140 GB and a quarter more, which is 2.3 times the 77 GB
    that are used of 80 GiB: four, as a power of two."""
    assert [gpus_a_copy(size) for size in (1e9, 8e9, 13e9, 70e9)] == [1, 1, 1, 4]


def test_hours_by_the_clock() -> None:
    """12 to 40 GPU-hours are 3 to 10 on four GPUs, where a copy takes no more than four."""
    assert hours_on(4, Hours(12, 40), 4) == "3.0 to 10"
    assert hours_on(4, Hours(12, 40), 8) == "too few"


def test_a_mix_of_sizes_adds_up() -> None:
    """Of a model that reads 7 and writes 3: 40, 50 and 10 of the three sizes, and of all 100 models the
    one prompt that is harmful, which the judge reads with 400 tokens of its own and the answer."""
    *sizes, judge, whole = planning_page.mix_hours("h100", Workload(1, 5, 3, 1, choice_tokens=2))
    each = [gpu_hours("h100", size, 7, 3).high for size in (1e9, 8e9, 70e9)]
    expected = [40 * each[0], 50 * each[1], 10 * each[2]]
    assert [hours.high for _, hours in sizes] == pytest.approx(expected)
    judged = gpu_hours("h100", 13e9, 100 * (400 + 5 + 3), 100)
    assert (judge[1].low, judge[1].high) == pytest.approx((judged.low, judged.high))
    assert whole[1].high == pytest.approx(sum(expected) + judged.high)


def test_what_a_judge_reads_and_costs() -> None:
    """Ten prompts of 20 tokens, answers of half of 100: 70 tokens and 30 of instructions for each of 4
    verdicts are 400, with 5 written each 20. At 1,000 and 10,000 USD a million: 0.4 + 0.2."""
    load = judge_load(Workload(10, 200, 1000), 0.5, 30, 5, 4)
    assert (load.verdicts, load.tokens_in, load.tokens_out) == (4, 400, 20)
    assert load.usd(1000, 10_000) == pytest.approx(0.6)


def test_bytes_of_a_run() -> None:
    """100 + 4.4 x (10 + 0.5 x 20 + 5) + 2 x 7 + 3 x 2 + 4 x 1.5 + 2 x 8 = 100 + 110 + 42."""
    work = Workload(2, 10, 20, choices=4, choice_tokens=5, documents=2)
    stored = Stored(response=7, verdict=2, choice=1.5, sample=8, run=100)
    assert run_bytes(work, 0.5, 3, stored) == pytest.approx(252)


def test_all_models_and_prompts_of_ones_own() -> None:
    assert of_all(own_workload(5, 3, 2), 4) == Workload(20, 60, 40, harmful=20)


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (0.0503, "0.050"), (4.07, "4.1"), (143, "140"), (1439, "1,400")]
)
def test_two_figures(value: float, told: str) -> None:
    assert two_figures(value) == told


def test_the_calculator(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "planned.json"
    planning.main(["--prompts", "10", "--tokens-in", "3", "--price", "2,5", "--json", str(file)])
    assert json.loads(file.read_text())["planned"]["tokens in: prompts, choices"] == "30, 0"
    out = capsys.readouterr().out
    assert "GPU-hours: writing" in out
    assert "hours on 64 GPUs" in out


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        *(("--models", text, "is no count: give a whole number from 1 on") for text in ("0", "-3")),
        *(("--prompts", text, "is no count") for text in ("0", "1.5", "nan")),
        ("--tokens-in", "-80", "is no count"),
        ("--tokens-out", "x", "is no count"),
        *(("--parameters", text, "give 8e9 for a model of 8 B") for text in ("8", "-8e9", "nan")),
        ("--parameters", "inf", "is no number of parameters"),
        *(("--share", text, "is no share: give a") for text in ("0", "1.1", "nan", "x")),
        *(("--price", text, "are no prices: give USD") for text in ("1", "1,-4", "nan,1", "inf,1")),
        ("--suite", "bfpoo", "did you mean bfpo"),
    ],
)
def test_nonsense_is_refused(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        planning.main([f"{option}={value}"])
    error = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert f"argument {option}: " in error
    assert said in error


def test_a_run_is_held_against_its_prediction(
    hub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The storage of a null run with choices, answers and verdicts. A verdict and a choice to a quarter;
    a response and a sample are of lines that keep no field of their documents, and of two short choices:
    less than the suite's mean, and more than two fifths of it; and what every run has is files of tasks,
    two of 40 here, to two fifths."""
    tasks = "bfpo_crows_pairs_english,bfpo_advbench"
    asked = ("--model", HEAD64, "--engine", "null", "--tasks", tasks, "--limit", "10")
    assert command("run", *asked, cwd=tmp_path).code == 0
    [run] = (p.parent for p in tmp_path.glob("runs/*/manifest.json"))
    found = planning_check.measure(run)
    assert (found.work.prompts, found.work.choices, found.verdicts) == (10, 20, 20)
    assert found.whole == sum(f.stat().st_size for f in run.rglob("*") if f.is_file())
    assert found.stored.verdict == pytest.approx(Stored().verdict, rel=0.25)
    assert found.stored.choice == pytest.approx(Stored().choice, rel=0.25)
    assert 0.4 * Stored().response < found.stored.response < Stored().response
    assert 0.4 * Stored().sample < found.stored.sample < Stored().sample
    assert found.stored.run == pytest.approx(Stored().run * 2 / 40, rel=0.4)
    told = planning_check.main([str(run), "--json", str(tmp_path / "x.json")])
    assert told["runs"][0]["work"]["prompts"] == 10
    assert f"{run.name} is too small to say anything: of the" in capsys.readouterr().out
