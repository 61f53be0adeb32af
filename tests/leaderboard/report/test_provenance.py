"""A run's manifest in words."""

from __future__ import annotations

from dataclasses import replace

from biases import provenance as provenance_of_bias
from measured import measured

from bfpo_bench.leaderboard.report.provenance import provenance
from bfpo_bench.scoring.finished import FinishedRun

SIXTY = (60.0, 50.0, 70.0)


def facts(run: FinishedRun) -> dict[str, dict[str, str]]:
    return {part.title: dict(part.pairs) for part in provenance(run)}


def test_model_suite_and_sessions_are_told_and_what_is_unknown_is_left_out() -> None:
    run = measured("org/name", SIXTY, SIXTY, limit=50)
    run.manifest.sessions[0] |= {
        "command": ["bfpo-bench", "run"],
        "seconds": {"load": 1.5, "more": {"a": 2}},
    }
    told = facts(run)
    assert list(told) == ["Model", "Suite and decoding", "Session 1"]
    assert told["Model"]["name"] == "org/name"
    assert told["Suite and decoding"]["limit"] == "50"
    assert told["Suite and decoding"]["system prompt"] == "none"
    assert told["Session 1"]["command"] == "bfpo-bench run"
    assert told["Session 1"]["seconds"] == "load 1.5, more (a 2)"


def test_a_task_says_where_its_documents_are_from_and_how_many_were_asked() -> None:
    run = measured("a", SIXTY, SIXTY)
    run.manifest.data["bfpo_advbench"] = {
        "hub_id": "walledai/AdvBench",
        "revision": "0123456789abcdef",
        "fingerprint": "f" * 64,
        "drift": "3 rows fewer",
    }
    run.manifest.counts["bfpo_advbench"] = {"documents": 520}
    assert facts(run)["Data"]["bfpo_advbench"] == (
        "walledai/AdvBench at 0123456789ab, 520 documents, fingerprint ffffffffffffffff, "
        "differs from the data lock: 3 rows fewer"
    )


def test_a_trained_model_tells_of_its_training() -> None:
    told = facts(measured("trained", SIXTY, SIXTY, base="org/base"))
    assert told["Training"]["base"] == "name org/base"


def test_a_bias_tells_where_it_comes_from() -> None:
    run = measured("org/safe", SIXTY, SIXTY)
    told = provenance_of_bias(counts=(3, 2)).model_dump(mode="json")
    steered = replace(run, manifest=run.manifest.model_copy(update={"bias": told}))
    found = facts(steered)["Bias that decoding subtracts"]
    assert found["reference"].startswith("name org/base, weights v")
    assert (found["difference"], found["counts"]) == ("logprobs", "[3, 2]")
    assert found["prompts"] == "sha256 p, prompts 3"
    assert "Bias that decoding subtracts" not in facts(run)
