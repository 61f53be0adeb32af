"""The speed scripts on a handful of requests: they run to their end and write what they promise.

What they measure is not looked at here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench import HEAD64
from markov import markov_model
from small_corpus import small_corpus

from benchmarks import __main__ as entry
from benchmarks import (
    bias,
    common,
    growth,
    judging,
    methods,
    multiple_choice,
    multiple_choice_vllm,
    official_path,
    official_sides,
    overhead,
    scale,
    start,
)
from benchmarks.common import Lap, Ratio
from benchmarks.made_suite import WORDS, texts, write_suite
from benchmarks.watch import cpu_seconds, watching
from bfpo_bench.engines import select
from bfpo_bench.engines.base import Failure, Generation, ModelFiles
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.local import Asked, prepare
from bfpo_bench.judges.running.work import Work
from bfpo_bench.suite.suites import load_suite, select_tasks

HERE = Path(entry.__file__).parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that goes through the words of the made-up prompts one after another, without an end."""
    words = list(dict.fromkeys(WORDS.split()))
    folder = tmp_path_factory.mktemp("markov") / "model"
    return str(markov_model(folder, words, dict(pairwise(words)), otherwise=words[0]))


def written(file: Path) -> dict[str, Any]:
    """What a script wrote, of which every ratio is a positive number."""
    found: dict[str, Any] = json.loads(file.read_text())
    assert found["command"].startswith("python benchmarks/")
    assert found["ratios"]
    assert all(r["what"] and r["value"] >= 0 for r in found["ratios"])
    assert found["machine"]["cores"] >= 1
    return found


def test_sides_take_turns_and_every_other_round_backwards() -> None:
    calls: list[str] = []
    laps = common.in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert "".join(calls) == "abbaab"
    assert {name: len(found) for name, found in laps.items()} == {"a": 3, "b": 3}


def test_the_quotient_is_the_median_of_the_rounds_own() -> None:
    """Rounds 2 / 1, 9 / 3 and 8 / 8 give 2, 3 and 1: the median is 2, where that of the medians is
    8 / 3. CPU time: 1 / 1, 1 / 2 and 1 / 4, whose median is 0.5."""
    over = [Lap(2, 1), Lap(9, 1), Lap(8, 1)]
    under = [Lap(1, 1), Lap(3, 2), Lap(8, 4)]
    laps = {"over": over, "under": under}
    assert common.quotient(laps, "over", "under") == 2
    assert common.quotient(laps, "over", "under", cpu=True) == 0.5
    assert common.medians(laps)["over"] == {"seconds": 8, "cpu_seconds": 1}


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [(1.03, "<= 1.03", True), (1.04, "<= 1.03", False), (10, ">= 10", True), (9.9, ">= 10", False)],
)
def test_goals(value: float, goal: str, met: bool) -> None:
    assert Ratio("x", value, goal).met is met
    assert Ratio("x", value).met is None


def test_figures_name_no_folder_and_no_host(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "x.json"
    arguments = ["--model", str(tmp_path / "model"), "--json", str(file), "--repeats", "2"]
    told = common.command("/somewhere/benchmarks/x.py", arguments)
    assert told == "python benchmarks/x.py --model model --repeats 2"
    common.write_json(file, told, [Ratio("a / b", 2.0, "<= 1")], {"more": 1})
    text = file.read_text()
    assert json.loads(text)["ratios"] == [
        {"what": "a / b", "value": 2.0, "goal": "<= 1", "met": False}
    ]
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text


def test_a_table_is_as_wide_as_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    common.table("title", ["name", "figure"], [("x" * 150, 1234.5), ("y", 0.98765)])
    told = capsys.readouterr().out
    assert "x" * 150 in told
    assert "1,234" in told
    assert "0.988" in told


def test_a_file_is_watched_until_its_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with watching(lambda: file) as watch:
        file.write_bytes(b"1234")
    assert watch.first is not None
    assert [q["percent"] for q in watch.quarters()] == [25, 50, 75, 100]
    assert all(q["mib_all"] >= q["mib"] > 1 for q in watch.quarters())


def test_cpu_time_counts_children_that_ended() -> None:
    """`start.call` runs and waits for a process that does nothing but start."""
    before = cpu_seconds()
    start.call(["-c", "sum(range(3_000_000))"], Path.cwd())
    assert cpu_seconds() > before


def test_made_prompts_make_a_suite(tmp_path: Path) -> None:
    suite = load_suite(str(write_suite(tmp_path, prompts=7, tasks=3, new_tokens=8)))
    assert [(t.name, t.documents) for t in select_tasks(suite, None)] == [
        ("bfpo_made_0", 3),
        ("bfpo_made_1", 2),
        ("bfpo_made_2", 2),
    ]
    assert texts(5) == texts(5) != texts(5, seed=1)


def test_overhead(model: str, tmp_path: Path) -> None:
    file = tmp_path / "overhead.json"
    words = ["--requests", "4", "--tasks", "2", "--new-tokens", "4", "--repeats", "1"]
    overhead.main([*words, "--model", model, "--no-command", "--json", str(file)])
    found = written(file)["overhead"]
    assert found["requests"] == 4
    # No answer ends before its budget: 4 requests of 4 tokens
    assert found["new_tokens"] == {"alone": 16, "respond": 16, "a task at a time": 16}
    assert found["first_response_seconds"] > 0


def test_official_path(model: str, tmp_path: Path) -> None:
    """Both sides answer and judge the same prompts, with as many tokens."""
    file = tmp_path / "official.json"
    words = ["--prompts", "2", "--single", "2", "--new-tokens", "12", "--repeats", "1"]
    words += ["--batch", "1", "--batch", "2", "--no-apart"]
    official_path.main([*words, "--model", model, "--json", str(file)])
    sides = written(file)["sides"]
    assert list(sides) == ["official, batch 1", "official, batch 2", "bfpo-bench, transformers"]
    for phases in sides.values():
        [generated], [judged] = phases["generate"], phases["judge"]
        assert (generated["responses"], generated["tokens"]) == (2, 24)
        assert judged["responses"] == 2


def test_time_a_response_is_by_what_each_phase_had(capsys: pytest.CaptureFixture[str]) -> None:
    """20 s to write 10 responses and 4 s to judge 4 of them: 2 + 1 s a response. 50 tokens in 10
    responses are 5 each."""
    written = {"seconds": 20.0, "cpu_seconds": 20.0, "responses": 10.0, "tokens": 50.0}
    judged = {"seconds": 4.0, "cpu_seconds": 4.0, "responses": 4.0, "tokens": 4.0}
    found = {"generate": [written], "judge": [judged]}
    assert official_path.per_response(found, "seconds") == [3]
    shorter = {"generate": [written | {"tokens": 100.0}], "judge": [judged]}
    told = {"official, batch 1": shorter, "bfpo-bench, transformers": found}
    ratios = {r.what: r.value for r in official_path.ratios(told)}
    assert ratios["bfpo-bench, transformers: tokens a response / official, batch 1"] == 0.5
    nothing = {"generate": [written], "judge": [judged | {"responses": 0.0}]}
    with pytest.raises(SystemExit, match="asked about no response"):
        official_path.per_response(nothing, "seconds")


def test_both_sides_run_on_the_same_device_and_type(
    monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    """The sides of others are pinned to float32, and on transformers to the CPU."""

    class Loaded(Exception):
        pass

    def load(name: str, files: ModelFiles) -> None:
        raise Loaded(name, files.arguments)

    for place in (multiple_choice, multiple_choice_vllm, select):
        monkeypatch.setattr(place, "load_engine", load)
    pinned = {
        "transformers": {"device": "cpu", "dtype": "float32"},
        "vllm": {"dtype": "float32"},
    }
    sides = [lambda: multiple_choice.ours(model, 64), lambda: multiple_choice_vllm.ours(model, 64)]
    phase = official_sides.Phase(model, model, "transformers", None, 1, 1, 0, tmp_path)
    for kind in ("generate", "judge"):
        sides.append(partial(official_sides.PHASES[True, kind], phase))
    for side, engine in zip(sides, ("transformers", "vllm", *["transformers"] * 2), strict=True):
        with pytest.raises(Loaded) as found:
            side()
        assert found.value.args == (engine, pinned[engine])
    assert pinned == official_sides.ARGUMENTS


def test_one_a_call_loads_nothing(
    monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    """Prompts are prepared once, before the clock starts: not again in each lap."""
    prepared: list[int] = []

    def counted(work: Work, items: list[Item]) -> Asked:
        prepared.append(len(items))
        return prepare(work, items)

    monkeypatch.setattr(judging, "prepare", counted)
    file = tmp_path / "judging.json"
    words = ["--responses", "3", "--single", "2", "--new-tokens", "2", "--repeats", "1"]
    judging.main([*words, "--model", model, "--json", str(file)])
    assert written(file)["judging"]["responses"]["one a call"] == 2
    assert prepared == [3]


def test_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(start, "commands", lambda model: {"--help": ["--help"]})
    file = tmp_path / "start.json"
    start.main(["--repeats", "1", "--profile", "--json", str(file)])
    found = written(file)
    assert list(found["medians"]) == [start.BARE, "--help"]
    assert len(found["imports"]["--help"]) == start.TOP


def test_growth(monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "ensure_demo_model", lambda cache: Path(model))
    file = tmp_path / "growth.json"
    growth.main(["--sizes", "50", "--json", str(file)])
    # The goals are set for a million responses
    assert [r["goal"] for r in written(file)["ratios"]] == [None, None]


@pytest.mark.parametrize(
    ("responses", "verdicts"), [(8, 0), (8, 8), (8, 32), (16, 16), (7, 16)], ids=str
)
def test_a_size_with_more_or_fewer_verdicts_is_refused(responses: int, verdicts: int) -> None:
    """Eight responses, sixteen verdicts: not one less, and no multiple of them."""
    growth._check(8, 16, 8, 16)
    with pytest.raises(SystemExit, match=f"{responses} responses and {verdicts} verdicts"):
        growth._check(8, 16, responses, verdicts)


def test_growth_knows_how_many_verdicts_there_must_be(tmp_path: Path) -> None:
    """Four tasks of two prompts, two of them harmful: 8 by `refusal`; and 4 more by `harm`, which
    `refusal` joins by itself."""
    suite = growth.write_suite(tmp_path, 8)
    assert growth._verdicts(suite, ["refusal"]) == 8
    assert growth._verdicts(suite, ["harm"]) == 12


def test_ten_seconds_are_the_goal_at_a_million_responses() -> None:
    session = growth.Session(9, 9, 100, 100)
    for responses, goal in ((999_999, None), (1_000_000, "<= 10")):
        size = growth.Size(responses, responses, session, session, {}, 5, 1)
        assert [r.goal for r in growth.ratios([size])] == [goal, goal]


def test_multiple_choice(monkeypatch: pytest.MonkeyPatch, hub: str, tmp_path: Path) -> None:
    """Both sides give the same log-probabilities of one task's choices, and of the made ones."""
    nothing = {"above": 1.0, "all": 1.0}

    def memory(side: str, model: str, context: int, batch: int, tasks: dict[str, Any]) -> Any:
        return dict.fromkeys(tasks, nothing)

    # A process for each side would load everything twice more
    monkeypatch.setattr(multiple_choice, "memory", memory)
    file = tmp_path / "choice.json"
    words = ["--tasks", "bfpo_crows_pairs_english", "--limit", "2", "--repeats", "1"]
    multiple_choice.main([*words, "--model", HEAD64, "--context", "512", "--json", str(file)])
    found = written(file)["tasks"]
    assert [t["task"] for t in found] == ["bfpo_crows_pairs_english", multiple_choice.MADE]
    assert [t["choices"] for t in found] == [4, 4]
    assert all(t["difference"] < 1e-3 for t in found)
    told = [r["what"] for r in json.loads(file.read_text())["ratios"]]
    for task in ("bfpo_crows_pairs_english", multiple_choice.MADE):
        assert f"{task}: CPU time lm-eval / ours" in told
        assert f"{task}: time lm-eval / ours" in told


def test_what_a_call_begins_with_is_no_part_of_the_pace() -> None:
    """Each call loads for 30 s, the first one compiles for 9 s more, and a request takes a second; all
    results come at the end, in one batch. A few are 16, in 46 s; 20 take 50 s. The 4 more take 4 s, so
    that 20 take 20 s."""
    now, compiling = 0.0, 9.0

    def generate(asked: Sequence[int]) -> Iterator[tuple[int, Generation | Failure]]:
        nonlocal now, compiling
        now, compiling = now + compiling + 30.0 + len(asked), 0.0
        for position in range(len(asked)):
            answer = Generation((position,), "stop")
            yield position, Failure("no") if position == 7 else answer

    found = scale.asked(generate, range(20), 5.0, lambda: now)
    assert (found.load, found.few, found.whole, found.pace) == (5, 46, 50, 20)
    assert found.answers[6:9] == ((6,), None, (8,))
    assert scale.figures(found)["failures"] == 1


def test_scale(monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path) -> None:
    """The sides in their processes, with the null engine in the place of all: the same answers."""
    null = dict.fromkeys(("alone", "server, 1", "server, 2"), scale.Side("null"))
    monkeypatch.setattr(scale, "SIDES", null)
    monkeypatch.setattr(scale, "ENVIRONMENT", {})
    file = tmp_path / "scale.json"
    words = ["--requests", "2000", "--new-tokens", "8", "--repeats", "1"]
    scale.main([*words, "--model", model, "--json", str(file)])
    told = {r["what"]: r["value"] for r in written(file)["ratios"]}
    assert told["answers as the engine's alone, server, 1"] == 1
    assert "pace, server, 2 / server, 1" in told
    assert written(file)["sides"]["alone"][0]["tokens"] == 16_000


def test_what_a_bias_costs(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--requests", "5", "--positions", "2", "--new-tokens", "3", "--repeats", "1")
    bias.main(["--model", model, *few, "--json", str(tmp_path / "a.json")])
    assert written(tmp_path / "a.json")["tokens"] == 15
    assert "biased" in capsys.readouterr().out


class TestMethods:
    OPTIONS = ("--steps", "1", "--pairs", "1", "--hidden", "64", "--layers", "1", "--only", "ipo")

    @pytest.mark.parametrize("name", [methods.DPO, "control-tokens"])
    def test_one_side_is_trained_and_timed(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of either stage. In this process, where the script takes one for each side."""
        small_corpus(monkeypatch)
        options = methods.options_of([*self.OPTIONS, "--only", name, "--cache", str(tmp_path)])
        methods.prepare(options, tmp_path)
        found = methods.entry_made(options, name)
        assert found["step_seconds"] > 0
        assert found["tokens_per_second"] > 0
        assert found["peak_mib"] > 100

    def test_a_round_has_dpo_and_what_is_asked_for_after_what_it_needs(self) -> None:
        names, rows = methods.wanted(["sft + self-check-input", "safe-patching"])
        assert names == [methods.DPO, "safety-patch", "over-safety-patch", "safe-patching"]
        assert [row.name for row in rows] == ["sft + self-check-input"]
        assert len(methods.wanted(None)[0]) == len(methods.ALL)

    def test_ratios_are_medians_of_the_rounds_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Tokens/s 30 / 10, 20 / 20 and 50 / 40 give 3, 1 and 1.25, whose median is 1.25, where that of
        the medians is 1.5; memory 2 / 1 in each. 8 answers a second against 16 are half the throughput."""
        rounds = [
            {
                methods.DPO: self.side(dpo, 1.0, 100),
                "ipo": self.side(ipo, 2.0, 200),
                "soup": {"seconds": 3.0, "peak_mib": 50},
                "decode sft": {"seconds": 1.0, "answers_per_second": 16.0},
                "decode sft + instruction": {"seconds": 2.0, "answers_per_second": 8.0},
            }
            for ipo, dpo in ((30, 10), (20, 20), (50, 40))
        ]
        told = {ratio.what: ratio.value for ratio in methods.show(rounds)}
        assert told == {
            "tokens/s, ipo / DPO": 1.25,
            "seconds a step, ipo / DPO": 2.0,
            "memory, ipo / DPO": 2.0,
            "memory, soup / DPO": 0.5,
            "throughput, sft + instruction / bare": 0.5,
        }
        assert "Training, as shares of plain DPO" in capsys.readouterr().out

    def side(self, tokens: float, step: float, peak: float) -> dict[str, float]:
        return {"tokens_per_second": tokens, "step_seconds": step, "peak_mib": peak, "seconds": 1.0}


def test_every_entry_is_a_script() -> None:
    for name, found in entry.ENTRIES.items():
        assert (HERE / f"{found.script}.py").is_file(), name
        assert set(found.needs) <= {"hub", "vllm", "ray", "trl", "chromium"}, name


def test_one_entry_sums_up_what_ran_and_says_what_did_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One script is run, one fails, and one is left out for the lack of a hub."""
    rows = "--rows 2000 --prompts 50"
    entries = {
        "small": entry.Entry("contamination", rows),
        "broken": entry.Entry("contamination", "--no-such-option"),
        "absent": entry.Entry("contamination", rows, rows, ("hub",)),
    }
    monkeypatch.setattr(entry, "ENTRIES", entries)
    monkeypatch.setattr(entry, "HUB", tmp_path)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert entry.main(["--results", str(tmp_path)]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "small whole prompts, found / planted 1.000 >= 1 yes" in told
    assert "broken ended with exit code 2" in told
    assert "absent left out: needs HF_ENDPOINT" in told
    assert written(tmp_path / "small.json")["rounds"][0]["rows"] == 2000
