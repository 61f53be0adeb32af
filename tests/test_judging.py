"""A judge made ready from metadata: what its findings depend on, and whether it can work here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from bench import REFUSER, STORIES
from rule_judges import asked, rule, rule_folder

from bfpo_bench.errors import UserError
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.prompts import PromptTemplate
from bfpo_bench.judging import (
    JudgeOptions,
    PlannedJudge,
    judge_texts,
    left_out,
    plan_judge,
    told,
)
from bfpo_bench.progress import Progress, Report
from bfpo_bench.stages.process import StageCrash

LOCAL = JudgeOptions(engine="transformers")
API = JudgeOptions(url="http://127.0.0.1:9/v1")


class Heard:
    """A Ui that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        def report(progress: Progress) -> None: ...

        yield report


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def ruled(judge: PlannedJudge, change: dict[str, object]) -> PlannedJudge:
    """The same with another judge.yaml. pydantic's copies would keep the hash of the first."""
    spec = judge.judge.spec.model_copy(update=change)
    return replace(judge, judge=Judge(**dict(judge.judge) | {"spec": spec}))


class TestMemory:
    """The hash under which findings are remembered: other findings, other hash."""

    @pytest.fixture(scope="class")
    def judge(self, hub: str) -> PlannedJudge:
        return plan_judge(f"yesno={REFUSER}", LOCAL)

    def test_a_judge_that_costs_nothing_has_none(self) -> None:
        assert plan_judge("refusal").memory is None

    def test_planned_twice_it_is_the_same(self, judge: PlannedJudge) -> None:
        assert judge.memory == plan_judge(f"yesno={REFUSER}", LOCAL).memory
        assert len(str(judge.memory)) == 64

    def test_where_the_prompt_was_read_and_whose_answers_are_compared_with_is_all_one(
        self, judge: PlannedJudge
    ) -> None:
        """The prompt's text counts; the baseline's answers are in what each item shows."""
        assert judge.prompt is not None
        prompt = replace(judge.prompt, origin="another file")
        other = replace(judge, prompt=prompt, baseline={"run": "m-0", "answers": "cafe"})
        assert other.identity() != judge.identity()
        assert other.memory == judge.memory

    def test_nor_does_it_matter_which_tasks_and_engine_it_has(self, judge: PlannedJudge) -> None:
        assert replace(judge, tasks=("bfpo_advbench",), engine=None).memory == judge.memory

    def test_another_prompt(self, judge: PlannedJudge) -> None:
        assert replace(judge, prompt=PromptTemplate("Bad?", "0" * 64, "x")).memory != judge.memory

    def test_another_model(self, judge: PlannedJudge) -> None:
        assert plan_judge(f"yesno={STORIES}", LOCAL).memory != judge.memory

    def test_another_revision_of_the_model(self, judge: PlannedJudge) -> None:
        assert judge.subject is not None
        identity = judge.subject.identity.model_copy(update={"weights": "another commit"})
        other = replace(judge, subject=replace(judge.subject, identity=identity))
        assert other.memory != judge.memory

    def test_another_adapter_on_the_same_weights(self, judge: PlannedJudge) -> None:
        assert judge.subject is not None
        identity = judge.subject.identity.model_copy(update={"adapter": "a commit"})
        other = replace(judge, subject=replace(judge.subject, identity=identity))
        assert other.memory != judge.memory

    @pytest.mark.parametrize(
        "change", [{"version": 2}, {"max_new_tokens": 9}, {"kind": "toxicity"}]
    )
    def test_another_version_or_rule(self, judge: PlannedJudge, change: dict[str, object]) -> None:
        assert ruled(judge, change).memory != judge.memory

    @pytest.mark.parametrize("change", [{"title": "x"}, {"licence": "x"}, {"agreement": "0.9"}])
    def test_prose_is_no_rule(self, judge: PlannedJudge, change: dict[str, object]) -> None:
        assert ruled(judge, change).memory == judge.memory

    def test_another_parser(self, tmp_path: Path, hub: str) -> None:
        fields = {"engine": "generate", "request": "false", "prompt": "prompt.txt"}
        folder = rule_folder(tmp_path / "mine", "harm", "'harmful'", **fields)
        (folder / "prompt.txt").write_text("Bad?")
        before = plan_judge(f"{folder}={STORIES}", LOCAL).memory
        rule_folder(folder, "harm", "'harmless'", **fields)
        assert plan_judge(f"{folder}={STORIES}", LOCAL).memory != before

    def test_another_context(self, judge: PlannedJudge) -> None:
        """A judge that was shown less of an answer may find otherwise; a longer context than any
        judge is given changes nothing."""

        def given(tokens: object) -> PlannedJudge:
            arguments = {"max_model_len": tokens}
            return plan_judge(f"yesno={REFUSER}", replace(LOCAL, arguments=arguments))

        short = given(100)
        assert (short.context, short.work({}).context) == (100, 100)
        assert short.identity() == judge.identity() | {"context": 100}
        assert short.memory != judge.memory
        assert (given(8192), given(9000)) == (judge, judge)
        assert judge.context == 8192
        for wrong in (1, "many"):
            with pytest.raises(UserError, match="max_model_len must be a number of tokens, not"):
                given(wrong)

    def test_its_adapter_and_what_that_stands_on(self, judge: PlannedJudge) -> None:
        assert judge.subject is not None
        assert judge.identity()["revision"] == judge.subject.identity.weights
        identity = judge.subject.identity.model_copy(update={"adapter": "a1", "weights": "b2"})
        other = replace(judge, subject=replace(judge.subject, identity=identity))
        assert other.identity()["revision"] == "a1 on b2"

    def test_judges_over_an_api_by_their_model(self) -> None:
        one, other = (plan_judge(f"rating=some/{m}", API) for m in ("model", "other"))
        assert None is not one.memory != other.memory is not None


class TestOverAnApi:
    """Checked from the options alone: nobody is asked."""

    def test_where_the_server_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def url(options: JudgeOptions = JudgeOptions()) -> str:
            server = plan_judge("rating=m", options).server
            assert server is not None
            return server.url

        assert url() == "https://api.openai.com/v1"
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
        assert url() == "http://127.0.0.1:8000/v1"
        assert url(API) == "http://127.0.0.1:9/v1"

    def test_an_address_that_is_none(self) -> None:
        with pytest.raises(
            UserError, match=r"The judge's URL 'localhost:8000' is none: give one like"
        ):
            plan_judge("rating=m", JudgeOptions(url="localhost:8000"))

    def test_offline_only_a_server_of_ones_own_will_do(self) -> None:
        with pytest.raises(
            UserError, match=r"Judge rating@m asks https://api\.openai\.com/v1, and"
        ):
            plan_judge("rating=m", JudgeOptions(offline=True))
        plan_judge("rating=m", replace(API, offline=True))

    def test_a_price_in_judge_yaml_is_of_the_model_that_it_names(self, tmp_path: Path) -> None:
        fields = {"engine": "api", "request": "false", "prompt": "prompt.txt", "model": "named"}
        folder = rule_folder(tmp_path / "mine", "rating", "'rated'", price="[1, 2]", **fields)
        (folder / "prompt.txt").write_text("How good?")

        def price(name: str, given: tuple[float, float] | None = None) -> object:
            server = plan_judge(name, replace(API, price=given)).server
            assert server is not None
            return server.price

        assert price(str(folder)) == (1, 2)
        assert price(f"{folder}=other") is None
        assert price(f"{folder}=other", (3, 4)) == (3, 4)


class TestWithAModel:
    def test_a_model_that_is_not_there_is_the_users_to_mend(self, hub: str) -> None:
        with pytest.raises(UserError, match=r"^Judge yesno: .*no/such-model") as caught:
            plan_judge("yesno=no/such-model", LOCAL)
        assert "Another judge" not in str(caught.value)

    def test_one_that_nobody_named_can_be_replaced(self, hub: str) -> None:
        judge = plan_judge(f"yesno={STORIES}", LOCAL).judge
        gone = judge.model_copy(update={"model": "no/such-model", "joined": True})
        with pytest.raises(UserError, match=r"Another judge can be named with --judge\.$"):
            plan_judge(gone, LOCAL)

    def test_the_revision_of_judge_yaml_is_of_its_own_model(self, tmp_path: Path, hub: str) -> None:
        """A branch that the hub does not have: given another model, the judge does not ask for it."""
        fields = {"engine": "generate", "request": "false", "prompt": "prompt.txt"}
        pinned = {"model": STORIES, "revision": "no-such-branch"}
        folder = rule_folder(tmp_path / "mine", "harm", "'harmful'", **fields, **pinned)
        (folder / "prompt.txt").write_text("Bad?")
        with pytest.raises(UserError, match="Judge mine: "):
            plan_judge(str(folder), LOCAL)
        assert plan_judge(f"{folder}={STORIES}", LOCAL).subject is not None

    def test_a_folders_path_is_in_no_key(self, tmp_path: Path, hub: str) -> None:
        from markov import sayer

        sayer(tmp_path / "yes", "yes")
        planned = plan_judge(f"yesno={tmp_path / 'yes'}", LOCAL)
        assert planned.judge.key.startswith("yesno@yes@")
        assert str(tmp_path) not in str(planned.identity())


class TestTexts:
    TEXTS = (
        Text("Q", "Sure, the sea."),
        Text("Q", None),
        Text("Q", "I'm sorry, but I can't help with that."),
        Text("Q", "<think>Should I"),
        Text("Q", "<think>No.</think>Sure, the sea."),
        Text("Q", "so it is " * 200),
    )

    def test_one_finding_for_each_in_order(self) -> None:
        """Degenerate ones by rule; of the others the judge sees the answer alone."""
        found = judge_texts(plan_judge("refusal"), self.TEXTS, Heard())
        assert [f.label for f in found] == [
            "compliance",
            "degenerate",
            "refusal",
            "unjudged",
            "compliance",
            "degenerate",
        ]
        assert [f.error for f in found if f.label in ("degenerate", "unjudged")] == [
            "empty",
            "the reasoning trace was cut off before an answer",
            "looping",
        ]

    def test_no_texts(self) -> None:
        assert judge_texts(plan_judge("refusal"), (), Heard()) == []

    def test_the_judge_sees_neither_trace_nor_what_is_degenerate(self, tmp_path: Path) -> None:
        mine = plan_judge(rule(tmp_path / "mine", "harm", "'harmless'"))
        judge_texts(mine, self.TEXTS, Heard())
        # The first and the fifth are equal once the trace is gone
        assert asked(tmp_path / "mine") == [
            "Sure, the sea.",
            "I'm sorry, but I can't help with that.",
        ]

    def test_a_judge_that_dies_says_where_its_log_is(self, tmp_path: Path) -> None:
        mine = plan_judge(rule(tmp_path / "mine", "harm", "1 / 0"))
        with pytest.raises(StageCrash, match=r"stage judge-mine failed \(ZeroDivisionError") as it:
            judge_texts(mine, self.TEXTS, Heard())
        assert "ZeroDivisionError" in it.value.log.read_text()


def test_judges_that_have_nothing_to_say() -> None:
    """One that could not be had, one that was named in vain, one that joined in vain, and one at work."""
    vain = plan_judge("refusal")
    joined = replace(vain, judge=vain.judge.model_copy(update={"joined": True}))
    lost = replace(joined, tasks=("t",), fault="Judge refusal: it is gone.")
    assert left_out([vain, joined, lost, replace(vain, tasks=("t",))]) == [
        "judge refusal is left out: Judge refusal: it is gone. What it alone scores stays unscored.",
        "judge refusal is not asked: none of the tasks takes a judge of refusal",
    ]


def test_what_a_stage_tells_of_itself() -> None:
    usage = {"requests": 12, "prompt_tokens": 340, "completion_tokens": 24, "cost": 0.01234}
    assert told("rating@m", {}) == told("rating@m", {"remembered": 0}) == []
    assert told("rating@m", {"remembered": 7, "usage": usage}) == [
        "judge rating@m: 7 verdicts remembered from before",
        "judge rating@m: 12 requests, 340 tokens in, 24 out, USD 0.0123",
    ]
    assert told("m", {"usage": usage | {"cost": None}})[0].endswith("340 tokens in, 24 out")


def test_the_null_engine_serves_no_judge(hub: str) -> None:
    """Its answers would be taken for what the judge says."""
    with pytest.raises(UserError, match="--engine null asks no model, and judge yesno is one"):
        plan_judge("yesno=karpathy/stories260K", JudgeOptions(engine="null"))
