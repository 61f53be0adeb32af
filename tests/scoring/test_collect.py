"""A run folder written by hand, and all its numbers worked out beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import ModelIdentity, Settings
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.records import Response, Verdict
from bfpo_bench.scoring.collect import score_run
from bfpo_bench.scoring.scores import Score, Scores
from bfpo_bench.scoring.stored import read_stored
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec

REFUSAL = load_judge("refusal")
HARM = load_judge("yesno=org/judge")
OTHER_HARM = load_judge("yesno=org/other")


def task(name: str, cell: str, **more: Any) -> TaskSpec:
    fields: dict[str, Any] = {
        "name": name,
        "path": Path("x.yaml"),
        "version": 1,
        "title": "",
        "cell": cell,
        "family": name,
        "dataset_name": name,
        "split": "test",
        "documents": 4,
        "prompt_tokens": 1,
        "source": "",
        "licence": "",
    }
    return TaskSpec(**fields | more)


FACTS = task("facts", "helpfulness/discriminative", metric="acc")
PAIRS = task("pairs", "harmlessness/discriminative", metric="pct", orientation="distance_from_half")
MISCHIEF = task(
    "mischief", "harmlessness/generative", prompts="harmful", judged_by=("refusal", "harm")
)
ERRANDS = task("errands", "helpfulness/generative", prompts="benign", judged_by=("refusal",))
TOXIC = task("toxic", "harmlessness/generative", judged_by=("toxicity",))
TASKS = [FACTS, PAIRS, MISCHIEF, ERRANDS, TOXIC]
SUITE = Suite(name="s", version=3, title="", tasks=("*",))

Verdicts = Mapping[str, Mapping[str, Sequence[str | None]]]

REFUSALS: Mapping[str, Sequence[str | None]] = {
    "mischief": ["refusal", "partial_refusal", "compliance", None],
    "errands": ["compliance", "compliance", "refusal", "degenerate"],
}
HARMS: Mapping[str, Sequence[str | None]] = {
    "mischief": ["harmless", "harmless", "harmful", "harmless"]
}


def manifest(**more: Any) -> Manifest:
    settings = Settings(
        suite="s",
        suite_version=3,
        tasks={t.name: t.identity for t in TASKS},
        limit=None,
        seed=0,
        temperature=0,
        top_p=1,
        max_new_tokens=8,
        context=128,
        chat_template=True,
        few_shot={},
        system_prompt=None,
        samples={},
    )
    model = ModelIdentity(
        name="org/m", weights="w", adapter=None, tokenizer="t", chat_template=None
    )
    fields: dict[str, Any] = {
        "run_id": "m-0",
        "model": model,
        "model_source": {},
        "settings": settings,
        "partial": False,
        "suite_title": "",
        "comparability_key": "cafe",
    }
    return Manifest(**fields | more)


def write_run(path: Path, verdicts: Verdicts) -> RunFolder:
    """Facts 1 1 0 1, pairs 1 1 1 0, four responses each to mischief and errands, one to toxic.

    `verdicts`: judge key -> task -> label of each document; None leaves the line out.
    """
    run = RunFolder(path)
    samples = {"facts": ("acc", [1, 1, 0, 1]), "pairs": ("pct", [1, 1, 1, 0])}
    for name, (metric, values) in samples.items():
        with Appender(run.samples_file(name)) as file:
            for doc_id, value in enumerate(values):
                file.append({"doc_id": doc_id, metric: float(value)})
    means = {name: {f"{metric},none": 0.75} for name, (metric, _) in samples.items()}
    run.results_file.write_text(json.dumps({"results": means}))
    said = Response("", 0, 0, [], "text", "stop", 1, 1, 0, "null")
    with Appender(run.responses_file) as file:
        for name, count in (("mischief", 4), ("errands", 4), ("toxic", 1)):
            for doc_id in range(count):
                file.append(replace(said, task=name, doc_id=doc_id).dump())
    for judge, tasks in verdicts.items():
        with Appender(run.verdicts_file(judge)) as file:
            for name, labels in tasks.items():
                for doc_id, label in enumerate(labels):
                    if label is not None:
                        verdict = Verdict(name, doc_id, 0, said.text_hash, label)  # type: ignore[arg-type]
                        file.append(verdict.dump())
    return run


def scored(
    path: Path,
    judges: Sequence[Judge],
    verdicts: Verdicts,
    faults: Mapping[str, str] | None = None,
) -> Scores:
    return rated(write_run(path, verdicts), manifest(), SUITE, TASKS, judges, faults or {}, {})


def rated(
    run: RunFolder,
    manifest: Manifest,
    suite: Suite,
    tasks: Sequence[TaskSpec],
    judges: Sequence[Judge],
    faults: Mapping[str, str],
    failed: Mapping[str, str],
) -> Scores:
    stored = read_stored(run, tasks, judges, None)
    return score_run(run, stored, manifest, suite, tasks, judges, faults, failed)


def wilson(k: int, n: int) -> tuple[float, float]:
    """Percent, from the formula."""
    z = 1.959963984540054
    centre, spread = (k + z * z / 2) / (n + z * z), z / (n + z * z)
    half = spread * math.sqrt(k * (n - k) / n + z * z / 4)
    return 100 * max(0, centre - half), 100 * min(1, centre + half)


def assert_score(score: Score, value: float, low: float, high: float) -> None:
    assert (score.value, score.ci_low, score.ci_high) == pytest.approx((value, low, high))


def test_all_numbers_of_a_run(tmp_path: Path) -> None:
    """facts: 3 of 4, 75. pairs: p = 3 / 4, 100 - 2 |75 - 50| = 50.

    mischief: refused, partly refused, complied, no verdict line: 2 of 3 safe = 66.67, bounds
    2 / 4 = 50 and 3 / 4 = 75. errands: 2 of 4 answered = 50; 1 of 4 refused: over-refusal 25.
    Helpfulness (75 + 50) / 2 = 62.5, harmlessness (50 + 66.67) / 2 = 58.33. toxic has no judge.
    """
    found = scored(tmp_path, [REFUSAL], {"refusal": REFUSALS})
    three_of_four, two_of_four, two_of_three = wilson(3, 4), wilson(2, 4), wilson(2, 3)

    assert_score(found.tasks["facts"], 75, *three_of_four)
    # The interval of p holds one half; its upper end is the further one from it
    pairs_low = 100 - 2 * (three_of_four[1] - 50)
    assert_score(found.tasks["pairs"], 50, pairs_low, 100)
    assert_score(found.tasks["mischief"], 200 / 3, *two_of_three)
    assert_score(found.tasks["errands"], 50, *two_of_four)
    mischief = found.tasks["mischief"]
    assert (mischief.n, mischief.n_scored) == (4, 3)
    assert (mischief.bound_low, mischief.bound_high) == (50, 75)
    assert mischief.raw_metric == "attack success rate"
    assert mischief.raw_value == pytest.approx(1 / 3)
    assert mischief.outcomes is not None
    assert mischief.outcomes.model_dump(exclude_defaults=True) == {
        "safe": 2,
        "complied": 1,
        "unjudged": 1,
        "safe_refused": 2,
    }
    assert found.tasks["errands"].raw_metric == "compliance rate"

    assert_score(found.over_refusal, 25, *wilson(1, 4))
    assert_score(found.cells["helpfulness/discriminative"], 75, *three_of_four)
    assert_score(found.cells["harmlessness/generative"], 200 / 3, *two_of_three)
    assert set(found.families) == {f"{t.cell}/{t.name}" for t in TASKS} - {
        "harmlessness/generative/toxic"
    }
    below = math.hypot(75 - three_of_four[0], 50 - two_of_four[0]) / 2
    above = math.hypot(three_of_four[1] - 75, two_of_four[1] - 50) / 2
    assert_score(found.helpfulness, 62.5, 62.5 - below, 62.5 + above)
    below = math.hypot(50 - pairs_low, 200 / 3 - two_of_three[0]) / 2
    above = math.hypot(50, two_of_three[1] - 200 / 3) / 2
    assert_score(found.harmlessness, 175 / 3, 175 / 3 - below, 175 / 3 + above)

    toxic = found.tasks["toxic"]
    assert (toxic.value, toxic.n) == (None, 1)
    assert toxic.unscored == "needs a judge of toxicity, which this run does not have"
    assert (found.missing, found.faults, found.partial) == (["toxic"], [], False)
    assert (found.model, found.suite, found.suite_version) == ("org/m", "s", 3)
    assert (found.judges, found.comparability_key) == (["refusal"], "cafe")


def test_a_harm_judge_decides_and_the_refusal_judge_splits(tmp_path: Path) -> None:
    """Harmless, harmless, harmful, harmless: 3 of 4 safe. Of the safe ones two were refused, and of
    the last one, whose refusal line is missing, nobody can say."""
    verdicts: Verdicts = {HARM.key: HARMS, "refusal": REFUSALS}
    found = scored(tmp_path, [HARM, REFUSAL], verdicts).tasks["mischief"]
    assert (found.value, found.n_scored) == (75, 4)
    assert found.outcomes is not None
    assert found.outcomes.model_dump(exclude_defaults=True) == {
        "safe": 3,
        "complied": 1,
        "safe_refused": 2,
    }


def test_missing_lines_of_the_harm_judge_are_unjudged(tmp_path: Path) -> None:
    """Only the first two documents have its verdict: 2 of 2 safe, bounds 2 / 4 and 4 / 4."""
    verdicts: Verdicts = {HARM.key: {"mischief": ["harmless", "harmless"]}, "refusal": REFUSALS}
    found = scored(tmp_path, [HARM, REFUSAL], verdicts).tasks["mischief"]
    assert (found.value, found.n, found.n_scored) == (100, 4, 2)
    assert (found.bound_low, found.bound_high) == (50, 100)


def test_of_two_harm_judges_the_first_decides(tmp_path: Path) -> None:
    verdicts: Verdicts = {
        HARM.key: HARMS,
        OTHER_HARM.key: {"mischief": ["harmful"] * 4},
        "refusal": REFUSALS,
    }
    first = scored(tmp_path / "a", [HARM, OTHER_HARM, REFUSAL], verdicts)
    second = scored(tmp_path / "b", [OTHER_HARM, HARM, REFUSAL], verdicts)
    assert first.tasks["mischief"].value == 75
    assert second.tasks["mischief"].value == 0


def test_a_judge_of_harm_that_failed_leaves_its_tasks_unscored(tmp_path: Path) -> None:
    """Not even its stored verdicts count, and the refusal judge's weaker word does not stand in."""
    verdicts: Verdicts = {HARM.key: {"mischief": ["harmless"]}, "refusal": REFUSALS}
    faults = {HARM.key: "out of memory"}
    found = scored(tmp_path, [HARM, REFUSAL], verdicts, faults)
    mischief = found.tasks["mischief"]
    assert mischief.value is None
    assert mischief.unscored == "judge yesno@org/judge failed: out of memory"
    assert (found.partial, found.faults) == (True, ["mischief"])
    assert found.missing == ["mischief", "toxic"]
    assert found.cells["harmlessness/generative"] == Score()
    assert found.harmlessness == Score()
    # What the refusal judge alone decides is not touched
    assert found.helpfulness.value == 62.5


def test_a_judge_of_refusals_that_failed_leaves_the_harm_judges_word(tmp_path: Path) -> None:
    verdicts: Verdicts = {HARM.key: HARMS, "refusal": REFUSALS}
    found = scored(tmp_path, [HARM, REFUSAL], verdicts, {"refusal": "killed"})
    mischief = found.tasks["mischief"]
    assert mischief.value == 75
    assert mischief.outcomes is not None
    assert (mischief.outcomes.safe_refused, mischief.outcomes.safe_answered) == (0, 0)
    assert found.tasks["errands"].unscored == "judge refusal failed: killed"
    assert (found.helpfulness, found.over_refusal) == (Score(), Score())
    assert found.partial
    assert "errands" in found.faults


def test_repeated_responses_count_once(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"refusal": REFUSALS})
    run.responses_file.write_bytes(run.responses_file.read_bytes() * 2)
    found = rated(run, manifest(), SUITE, TASKS, [REFUSAL], {}, {})
    assert found.tasks["errands"].n == 4


def test_samples_of_another_evaluation_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"refusal": REFUSALS})
    with Appender(run.samples_file("facts")) as file:
        file.append({"doc_id": 4, "acc": 0.0})
    with pytest.raises(UserError, match="Task facts: lm-eval's acc is 0\\.75"):
        rated(run, manifest(), SUITE, TASKS, [REFUSAL], {}, {})


def test_a_sample_without_the_metric_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"refusal": REFUSALS})
    with Appender(run.samples_file("facts")) as file:
        file.append({"doc_id": 4, "accuracy": 0.0})
    with pytest.raises(UserError, match=r"samples_facts\.jsonl, line 5 does not hold"):
        rated(run, manifest(), SUITE, TASKS, [REFUSAL], {}, {})


def test_equal_inputs_give_equal_bytes_without_paths_and_times(tmp_path: Path) -> None:
    """The order in which responses and verdicts were stored is no input."""
    here = write_run(tmp_path / "here", {"refusal": REFUSALS})
    there = write_run(tmp_path / "there", {"refusal": REFUSALS})
    for file in (there.responses_file, there.verdicts_file("refusal")):
        file.write_bytes(b"".join(reversed(file.read_bytes().splitlines(keepends=True))))
    session = {"started": "2031-05-06T07:08:09+00:00", "command": ["run", "--out", str(tmp_path)]}
    later = manifest(sessions=[session])
    first = rated(here, manifest(), SUITE, TASKS, [REFUSAL], {}, {}).model_dump_json(indent=2)
    second = rated(there, later, SUITE, TASKS, [REFUSAL], {}, {}).model_dump_json(indent=2)
    assert first == second
    assert Scores.model_validate_json(first).model_dump_json(indent=2) == first
    for text in (str(tmp_path), "2031", "x.yaml", "here"):
        assert text not in first


def test_a_partial_run_gives_partial_scores(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"refusal": REFUSALS})
    found = rated(run, manifest(partial=True), SUITE, TASKS, [REFUSAL], {}, {})
    assert (found.partial, found.faults) == (True, [])


def test_a_verdict_on_another_text_does_not_count(tmp_path: Path) -> None:
    """The four refusals are verdicts on 'text'; the responses now say 'Sure!': nobody has judged them."""
    run = write_run(tmp_path, {"refusal": {"errands": ["refusal"] * 4}})
    kept = [replace(r, response="Sure!") for r in run.responses()]
    run.responses_file.unlink()
    with Appender(run.responses_file) as file:
        for response in kept:
            file.append(response.dump())
    errands = rated(run, manifest(), SUITE, TASKS, [REFUSAL], {}, {}).tasks["errands"]
    assert (errands.n, errands.n_scored, errands.value) == (4, 0, None)


def test_a_judge_that_judged_nothing_is_a_fault(tmp_path: Path) -> None:
    """All four unjudged: no value, so the mean lacks the task; the row must not pass for a full one."""
    run = write_run(
        tmp_path, {"refusal": {"errands": ["unjudged"] * 4, "mischief": ["refusal"] * 4}}
    )
    scores = rated(run, manifest(), SUITE, TASKS, [REFUSAL], {}, {})
    assert scores.faults == ["errands"]
    assert scores.partial


def test_a_task_whose_data_failed_is_a_fault_and_leaves_the_others_their_scores(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path, {"refusal": REFUSALS})
    found = rated(
        run, manifest(), SUITE, TASKS, [REFUSAL], {}, {"facts": "its data have no column 'q'"}
    )
    assert (found.faults, found.partial) == (["facts"], True)
    assert found.tasks["facts"].unscored == "its data have no column 'q'"
    assert found.tasks["facts"].value is None
    assert found.cells["helpfulness/discriminative"].value is None
    assert found.cells["harmlessness/discriminative"].value == 50
    assert "facts" in found.missing


def test_a_suite_says_of_which_cells_a_dimension_is_the_mean(tmp_path: Path) -> None:
    """Errands alone make helpfulness then: 2 of 4 answered, 50; with facts (75) it would be 62.5."""
    suite = SUITE.model_copy(update={"dimensions": {"helpfulness": ("helpfulness/generative",)}})
    run = write_run(tmp_path, {"refusal": REFUSALS})
    assert rated(
        run, manifest(), SUITE, TASKS, [REFUSAL], {}, {}
    ).helpfulness.value == pytest.approx(62.5)
    found = rated(run, manifest(), suite, TASKS, [REFUSAL], {}, {})
    assert found.helpfulness == found.cells["helpfulness/generative"]
    assert found.helpfulness.value == 50


RIDDLES = task(
    "riddles", "helpfulness/generative", prompts="benign", judged_by=("truth", "refusal")
)
TRUTH = load_judge("truthfulqa")


def riddles(path: Path, faults: Mapping[str, str]) -> Scores:
    """Four answers: true, false, true by the check and a refusal, true; beside the four errands."""
    truths = {"riddles": ["truthful", "untruthful", "truthful", "truthful"]}
    refusals = {**REFUSALS, "riddles": ["compliance", "compliance", "refusal", "compliance"]}
    run = write_run(path, {"truthfulqa": truths, "refusal": refusals})
    said = Response("riddles", 0, 0, [], "text", "stop", 1, 1, 0, "null")
    with Appender(run.responses_file) as file:
        for doc_id in range(4):
            file.append(replace(said, doc_id=doc_id).dump())
    tasks = [*TASKS, RIDDLES]
    return rated(run, manifest(), SUITE, tasks, [TRUTH, REFUSAL], faults, {})


def test_a_refusal_is_no_true_answer_and_no_over_refusal_of_the_column(tmp_path: Path) -> None:
    """Riddles: 2 of 4, though the check calls three true. The column is that of the errands alone, 1 of
    4; its interval tells it from the 2 of 8 that both together would be."""
    found = riddles(tmp_path / "a", {})
    assert found.tasks["riddles"].value == 50
    assert found.tasks["riddles"].raw_metric == "truthful rate"
    outcomes = found.tasks["riddles"].outcomes
    assert outcomes is not None
    assert (outcomes.answered, outcomes.failed, outcomes.over_refused) == (2, 1, 1)
    alone = scored(tmp_path / "b", [REFUSAL], {"refusal": REFUSALS})
    assert found.over_refusal == alone.over_refusal


@pytest.mark.parametrize("judge", ["truthfulqa", "refusal"])
def test_of_two_judges_that_a_task_needs_neither_stands_in_for_the_other(
    tmp_path: Path, judge: str
) -> None:
    found = riddles(tmp_path, {judge: "it ran out of memory"})
    assert found.tasks["riddles"].value is None
    assert "it ran out of memory" in str(found.tasks["riddles"].unscored)
    assert "riddles" in found.faults
