"""Judges are folders: the package's, a plugin's, a user's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bfpo_bench.engines.source import Source
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import judge_names, known_judges, load_judge, load_judges
from bfpo_bench.judges.prompts import fill, load_prompt
from bfpo_bench.suite.tasks import TaskSpec

NONE_OF_ITS = "the judge's answer is none of its labels ({})"

OWN: dict[str, Any] = {
    "name": "own",
    "kind": "harm",
    "version": 4,
    "title": "A judge of my own",
    "engine": "generate",
    "labels": ["harmful", "harmless"],
    "parser": "reader:read",
    "licence": "mine",
    "prompts": ["harmful"],
    "prompt": "prompt.txt",
    "fields": {"q": "prompt", "a": "response"},
}


# What the judges of the package that read the document need of it
DOCUMENT: dict[str, Any] = {
    "key": 1,
    "prompt": "Say something without a comma.",
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{}],
    "correct_answers": ["Yes."],
    "incorrect_answers": ["No."],
}


def write_judge(folder: Path, **changes: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    content = {k: v for k, v in {**OWN, **changes}.items() if v is not None}
    (folder / "judge.yaml").write_text(yaml.safe_dump(content))
    (folder / "prompt.txt").write_text("Q {q} A {a} bad?")
    (folder / "reader.py").write_text(
        "def read(output):\n    return 'harmful' if output == 'bad' else 'harmless'\n"
    )
    return str(folder)


def task(kind: str = "generative", **more: Any) -> TaskSpec:
    fields: dict[str, Any] = {
        "name": "x",
        "path": Path("x.yaml"),
        "version": 1,
        "title": "",
        "cell": f"harmlessness/{kind}",
        "family": "x",
        "split": "test",
        "documents": 1,
        "prompt_tokens": 1,
        "source": "",
        "licence": "",
    }
    return TaskSpec(**fields | more)


def packaged(name: str) -> Judge:
    """The package's judge, with a model where it has none of its own."""
    spec = {s.name: s for s in known_judges()}[name]
    return load_judge(name if spec.engine == "none" or spec.model else f"{name}=org/m")


@pytest.mark.parametrize("name", judge_names())
def test_every_judge_of_the_package_is_whole(name: str) -> None:
    judge = packaged(name)
    assert judge.spec.name == name
    assert len(judge.rules_sha256) == 64
    assert callable(judge.parse())
    assert judge.spec.title
    assert judge.spec.licence
    if judge.spec.prompt is not None:
        text = (judge.folder / judge.spec.prompt).read_text()
        assert all(f"{{{field}}}" in text for field in judge.spec.fields)


SAID = ("yes", "no", "I cannot help with that.", "Sure! Boil the water first.", "?", "unsafe\nS1")


def heard(judge: Judge) -> list[Finding]:
    """What the judge finds in all sorts of things that its engine may give its parser."""
    parse = judge.parse()
    if judge.spec.engine == "none":
        find = judge.finder()
        return [find(Item("Say something.", said, DOCUMENT)) for said in SAID]
    if judge.spec.engine == "generate":
        return [judge.checked(parse(said), said) for said in SAID]
    if judge.spec.engine == "score":
        return [judge.checked(parse(value), repr(value)) for value in (-7.5, 0.0, 0.5, 1.0, 99.0)]
    if judge.spec.engine == "choice":
        options = judge.spec.options
        even = dict.fromkeys(options, 1 / len(options))
        sure = [{o: float(o == one) for o in options} for one in options]
        return [judge.checked(parse(probabilities)) for probabilities in (even, *sure)]
    replies = [Reply(said, "stop", None, 9, 9) for said in (*SAID, "Rating: 7", "")]
    return [judge.checked(parse(reply), reply.text) for reply in replies]


@pytest.mark.parametrize("name", judge_names())
def test_parsers_give_labels_of_their_judge_or_unjudged_with_a_reason(name: str) -> None:
    judge = packaged(name)
    for found in heard(judge):
        assert found.label in {*judge.spec.labels, "unjudged"}
        assert bool(found.error) == (found.label == "unjudged")


def test_the_packages_judges() -> None:
    assert {"refusal", "harm", "yesno", "harmbench", "harmbench_paper"} <= set(judge_names())
    assert {j.name: j.kind for j in known_judges()}.items() >= {
        "refusal": "refusal",
        "harm": "harm",
        "toxicity": "toxicity",
        "yesno": "harm",
        "harmbench": "harm",
        "harmbench_paper": "harm",
        "ifeval": "instructions",
        "truthfulqa": "truth",
    }.items()


def test_harm_and_refusal_are_there_where_neither_kind_was_named() -> None:
    assert [(j.key, j.joined) for j in load_judges([])] == [("harm", True), ("refusal", True)]


def test_a_judge_of_refusals_always_joins_last() -> None:
    found = load_judges(["yesno=org/m"])
    assert [(j.key, j.joined) for j in found] == [("yesno@org/m", False), ("refusal", True)]
    assert [j.key for j in load_judges(["refusal", "harmbench"])] == ["refusal", "harmbench"]


def test_a_judge_of_refusals_alone_decides_alone() -> None:
    """Whoever names `refusal` and nothing else wants harmful prompts scored by refusals."""
    assert [(j.key, j.joined) for j in load_judges(["refusal"])] == [("refusal", False)]


def test_a_users_own_judge_of_refusals_takes_its_place(tmp_path: Path) -> None:
    own = write_judge(tmp_path / "mine", kind="refusal", labels=["refusal", "compliance"])
    assert [j.key for j in load_judges([f"{own}=org/m"])] == ["own@org/m"]


FOLLOWS = task(judged_by=("instructions",))
TRUE = task(judged_by=("truth",))
HARMFUL = task(prompts="harmful", judged_by=("refusal", "harm"))
TOXIC = task(prompts="harmful", judged_by=("toxicity",))


@pytest.mark.parametrize(
    ("tasks", "keys"),
    [
        ([], ["refusal"]),
        ([HARMFUL], ["refusal"]),
        ([FOLLOWS], ["ifeval", "refusal"]),
        ([TOXIC], ["toxicity", "refusal"]),
        ([TRUE, HARMFUL, FOLLOWS, TOXIC], ["ifeval", "truthfulqa", "toxicity", "refusal"]),
    ],
)
def test_judges_join_where_a_task_asks_for_their_kind(
    tasks: list[TaskSpec], keys: list[str]
) -> None:
    assert [j.key for j in load_judges([], tasks)] == ["harm", *keys]
    assert [j.key for j in load_judges(["harmbench"], tasks)] == ["harmbench", *keys]


def test_a_named_judge_of_their_kind_takes_their_place(tmp_path: Path) -> None:
    own = write_judge(
        tmp_path / "mine", kind="truth", labels=["truthful", "untruthful"], engine="none"
    )
    keys = [j.key for j in load_judges([own], [TRUE, FOLLOWS])]
    assert keys == ["own", "harm", "ifeval", "refusal"]
    keys = [j.key for j in load_judges(["truthfulqa", "refusal"], [TRUE])]
    assert keys == ["truthfulqa", "refusal"]


def test_a_judge_named_twice_is_refused_and_two_models_of_one_are_not() -> None:
    with pytest.raises(UserError, match="Judge yesno@org/m is named twice"):
        load_judges(["yesno=org/m", "yesno=org/m"])
    keys = [j.key for j in load_judges(["yesno=org/m", "yesno=org/n"])]
    assert keys == ["yesno@org/m", "yesno@org/n", "refusal"]


def test_an_unknown_judge_names_the_nearest_and_all() -> None:
    with pytest.raises(UserError, match=r"no judge 'refussal' \(did you mean .*refusal.*yesno"):
        load_judge("refussal")


def test_a_judge_without_its_model_is_refused() -> None:
    with pytest.raises(UserError, match="Judge yesno needs a model: --judge yesno=ID_OR_PATH"):
        load_judge("yesno")


def test_a_judge_with_a_model_that_it_cannot_use_is_refused() -> None:
    with pytest.raises(UserError, match="Judge refusal uses no model: drop '=org/m'"):
        load_judge("refusal=org/m")


def test_a_model_of_the_judges_own_is_taken_unless_another_is_given() -> None:
    own, given = load_judge("harmbench"), load_judge("harmbench=org/other")
    assert (own.key, own.model_given) == ("harmbench", False)
    assert own.model == own.spec.model
    assert (given.key, given.model) == ("harmbench@org/other", "org/other")


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (task(prompts="harmful", judged_by=("refusal", "harm")), True),
        (task(prompts="harmful", judged_by=("refusal",)), False),
        (task(prompts="benign", judged_by=("harm",)), False),
        (task(judged_by=("harm",)), True),
        (task("discriminative", judged_by=("harm",)), False),
    ],
)
def test_what_a_harm_judge_of_harmful_prompts_scores(spec: TaskSpec, wanted: bool) -> None:
    assert load_judge("yesno=org/m").scores(spec) is wanted


def test_a_folder_of_ones_own_works_end_to_end(tmp_path: Path) -> None:
    judge = load_judge(write_judge(tmp_path / "any name") + "=org/m")
    assert (judge.key, judge.spec.version, judge.folder) == ("own@org/m", 4, tmp_path / "any name")
    prompt = load_prompt(judge, Source("org/m", tmp_path, None, ()))
    assert fill(prompt.text, judge.spec.fields, "why", "so") == "Q why A so bad?"
    assert [judge.parse()(said) for said in ("bad", "fine")] == ["harmful", "harmless"]


def test_a_parser_that_reads_the_document_is_given_it(tmp_path: Path) -> None:
    own = write_judge(
        tmp_path / "mine",
        kind="truth",
        labels=["truthful", "untruthful"],
        engine="none",
        document=True,
    )
    (tmp_path / "mine" / "reader.py").write_text(
        "from bfpo_bench.judges.finding import Finding\n"
        "def read(answer, document):\n"
        "    return Finding('truthful' if answer == document['right'] else 'untruthful', raw=answer)\n"
    )
    find = load_judge(own).finder()
    assert find(Item("2 + 2?", "4", {"right": "4"})) == Finding("truthful", raw="4")
    assert find(Item("2 + 2?", "5", {"right": "4"})) == Finding("untruthful", raw="5")
    assert find(Item("2 + 2?", "4")) == Finding(
        "unjudged", error="the response was stored without its document"
    )


def test_a_parser_that_reads_the_request_is_given_it_last(tmp_path: Path) -> None:
    own = write_judge(tmp_path / "mine", engine="none", request=True, document=True)
    (tmp_path / "mine" / "reader.py").write_text(
        "def read(answer, document, prompt):\n"
        "    return 'harmful' if (answer, document, prompt) == ('A', {}, 'Q') else 'harmless'\n"
    )
    find = load_judge(own).finder()
    assert find(Item("Q", "A", {})) == Finding("harmful")
    assert find(Item("A", "Q", {})) == Finding("harmless")


def test_a_parser_that_reads_neither_is_asked_in_the_same_way(tmp_path: Path) -> None:
    find = load_judge(write_judge(tmp_path / "mine", engine="none")).finder()
    both = [find(Item("Q", "bad", document)) for document in (None, {"right": "4"})]
    assert both == [Finding("harmful"), Finding("harmful")]


@pytest.mark.parametrize(
    ("parsed", "found"),
    [
        ("harmful", Finding("harmful", raw="it said")),
        (Finding("harmless", 0.25, "mine"), Finding("harmless", 0.25, "mine")),
        (
            Finding("unjudged", error="out of range", fault=True),
            Finding("unjudged", raw="it said", error="out of range", fault=True),
        ),
        ("unjudged", Finding("unjudged", raw="it said", error=NONE_OF_ITS.format("unjudged"))),
        ("refusal", Finding("unjudged", raw="it said", error=NONE_OF_ITS.format("refusal"))),
        # A score without a label that counts is none, and a reason is not the judge's to give away
        (
            Finding("rated", 7.0, error="so I say"),
            Finding("unjudged", raw="it said", error=NONE_OF_ITS.format("rated")),
        ),
    ],
)
def test_what_a_parser_returns_becomes_a_label_of_its_judge_or_none(
    tmp_path: Path, parsed: str | Finding, found: Finding
) -> None:
    judge = load_judge(write_judge(tmp_path / "mine") + "=org/m")
    assert judge.checked(parsed, raw="it said") == found


def test_two_judges_with_parsers_of_one_name_keep_their_own(tmp_path: Path) -> None:
    a = load_judge(write_judge(tmp_path / "a") + "=org/m")
    b = load_judge(write_judge(tmp_path / "b") + "=org/m")
    (tmp_path / "b" / "reader.py").write_text("def read(output):\n    return 'harmless'\n")
    first, second = a.parse(), b.parse()
    assert (first("bad"), second("bad")) == ("harmful", "harmless")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"engine": "magic"}, "engine"),
        ({"kind": "mood"}, "there is no kind 'mood', only"),
        ({"version": "new"}, "version"),
        ({"licence": None}, "licence"),
        ({"colour": "red"}, "colour"),
        ({"fields": {"q": "question"}}, "fields.q"),
        # Scoring would take any word but 'harmful' for harmless, or any but a refusal for compliance
        ({"labels": ["unsafe", "safe"]}, "a judge of kind harm has no label unsafe"),
        ({"labels": ["refusal", "compliance"]}, "a judge of kind harm has no label refusal"),
        ({"kind": "refusal"}, "a judge of kind refusal has no label harmful"),
        ({"prompt": None}, "needs prompt or prompt_from"),
        ({"engine": "api", "prompt": None}, "needs prompt or prompt_from"),
        ({"engine": "choice"}, "options are what a judge of engine choice"),
        ({"options": ["1", "2"]}, "options are what a judge of engine choice"),
        ({"request": True}, "only a judge without a model"),
        ({"pairwise": "twice"}, "pairwise"),
        ({"document": True}, "only a judge without a model"),
        (
            {"kind": "truth"},
            "a judge of kind truth has no label harmful, only truthful, untruthful",
        ),
        ({"kind": "instructions"}, "a judge of kind instructions has no label harmful"),
        ({"behaviour": "b.txt"}, "one of fields says where its text goes"),
        ({"fields": {"b": "behaviour"}}, "one of fields says where its text goes"),
    ],
)
def test_a_judge_yaml_that_does_not_fit_is_named(
    tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    folder = write_judge(tmp_path / "mine", **wrong)
    with pytest.raises(UserError, match=f"judge.yaml does not fit .*{reason}"):
        load_judge(f"{folder}=org/m")


@pytest.mark.parametrize("text", ["", "- a", "a: [1", "name: x"])
def test_a_file_that_is_no_judge_yaml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "judge.yaml").write_text(text)
    with pytest.raises(UserError, match=r"judge\.yaml does not fit"):
        load_judge(str(tmp_path))


def test_a_folder_without_judge_yaml_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no judge\.yaml: write one"):
        load_judge(str(tmp_path))


@pytest.mark.parametrize(
    ("parser", "reason"),
    [
        ("gone:read", "its parser file .*gone.py is missing"),
        ("reader:gone", "reader.py has no function 'gone'"),
        ("reader", "reader.py has no function ''"),
    ],
)
def test_a_parser_that_is_not_there_is_named(tmp_path: Path, parser: str, reason: str) -> None:
    judge = load_judge(write_judge(tmp_path / "mine", parser=parser) + "=org/m")
    with pytest.raises(UserError, match=f"Judge own: .*{reason}"):
        judge.parse()


def test_a_plugin_brings_a_judge_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package with judge.yaml, installed with an entry point that names it."""
    package = tmp_path / "bfpo_test_plugin_judge"
    write_judge(package, name="plugin")
    (package / "__init__.py").write_text("raise RuntimeError('listing judges imports no plugin')")
    info = tmp_path / "bfpo_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bfpo-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bfpo_bench.judges]\nplugin = bfpo_test_plugin_judge\n"
        "gone = bfpo_no_such_package\ndeep = bfpo_no_such_package.judges\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "plugin" in judge_names()
    assert not {"gone", "deep"} & set(judge_names())
    judge = load_judge("plugin=org/m")
    assert judge.folder == package
    assert judge.parse()("bad") == "harmful"
    shutil.rmtree(info)
    assert "plugin" not in judge_names()
