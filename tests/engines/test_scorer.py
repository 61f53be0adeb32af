"""Which models give scores, what their outputs are called, and which engine asks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_models import beaver_model, random_encoder, reward_model

from bfpo_bench.engines import probe
from bfpo_bench.engines.probe import VllmProbe
from bfpo_bench.engines.scorer import (
    check_scorable,
    choose_scorer,
    has_score_head,
    score_context,
    score_labels,
    scorer_objection,
    without_padding,
)
from bfpo_bench.engines.select import EngineChoice
from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.errors import UserError
from bfpo_bench.runs.identity import ModelIdentity

CPU = VllmProbe(
    True, "", "0.32.0", "cpu", ("LlamaForCausalLM", "BertForSequenceClassification"), (64,)
)
CONTEXT = 512
LLAMA = {"architectures": ["LlamaForSequenceClassification"], "head_dim": 64}
BEAVER = {"architectures": ["LlamaModelForScore"], "head_dim": 64, "score_dim": 1}


def subject_of(config: dict[str, Any], adapter: Any = None) -> Subject:
    identity = ModelIdentity(
        name="a/b", weights="0", adapter=None, tokenizer="0", chat_template=None
    )
    base: Any = None
    return Subject("a/b", base, adapter, config, identity)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"id2label": {"0": "toxicity", "1": "insult"}}, ("toxicity", "insult")),
        ({"id2label": {"10": "k", "2": "c", "0": "a"}}, ("a", "c", "k")),
        ({"num_labels": 1}, ("LABEL_0",)),
        ({}, ("LABEL_0", "LABEL_1")),
        (BEAVER, ("LABEL_0",)),
        ({"architectures": ["LlamaForScore"]}, ("LABEL_0",)),
    ],
)
def test_labels_are_in_the_order_of_the_outputs(
    config: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert score_labels(config) == expected


def test_both_names_of_beavers_class_are_known() -> None:
    assert has_score_head(BEAVER)
    assert has_score_head({"architectures": ["LlamaForScore"]})
    assert not has_score_head(LLAMA)
    assert not has_score_head({})


def test_roberta_reaches_two_positions_less_than_it_has() -> None:
    """Its positions begin at pad + 1 = 2: of 514 embeddings, 512 are reached."""
    config = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    assert score_context(config, 514) == 512
    assert score_context(config, 100) == 100
    assert score_context(config | {"pad_token_id": None}, 514) == 512
    assert score_context(config | {"model_type": "bert"}, 514) == 514


class TestPadding:
    def test_it_is_taken_from_the_end_alone(self) -> None:
        assert without_padding((3, 1, 3, 2, 3, 3), 3) == (3, 1, 3, 2)
        assert without_padding((3, 1), None) == (3, 1)

    def test_a_text_of_nothing_else_keeps_one(self) -> None:
        assert without_padding((3, 3), 3) == (3,)

    @given(st.lists(st.integers(0, 3), min_size=1), st.integers(0, 3))
    def test_what_is_left_is_a_beginning_that_ends_in_a_word(
        self, tokens: list[int], pad: int
    ) -> None:
        left = without_padding(tuple(tokens), pad)
        assert left == tuple(tokens[: len(left)])
        assert set(tokens[len(left) :]) <= {pad}
        assert len(left) == 1 or left[-1] != pad


class TestScorable:
    @pytest.mark.parametrize("config", [LLAMA, BEAVER])
    def test_classifiers_and_beavers_are(self, config: dict[str, Any]) -> None:
        check_scorable(subject_of(config))

    @pytest.mark.parametrize(
        "architecture", ["LlamaForCausalLM", "LlamaForRewardModelWithGating", "GemmaForScore"]
    )
    def test_others_are_not(self, architecture: str) -> None:
        """A chat model; ArmoRM, which needs code of its own; a kin of Beaver's with another body."""
        with pytest.raises(UserError) as error:
            check_scorable(subject_of({"architectures": [architecture]}))
        assert str(error.value) == (
            f"a/b gives no scores that can be had here (architecture: {architecture}): name a "
            "model of an architecture ...ForSequenceClassification, or one of Beaver's."
        )

    def test_adapters_are_not(self) -> None:
        with pytest.raises(UserError, match=r"a/b is an adapter.*merge it into its base"):
            check_scorable(subject_of(LLAMA, adapter=object()))


class TestObjections:
    def test_a_known_decoder_is_made_a_classifier(self) -> None:
        assert scorer_objection(LLAMA, CONTEXT, CPU) is None
        assert scorer_objection(BEAVER, CONTEXT, CPU) is None

    def test_a_classifier_of_its_own_is_served(self) -> None:
        bert = {"architectures": ["BertForSequenceClassification"], "head_dim": 64}
        assert scorer_objection(bert, CONTEXT, CPU) is None

    @pytest.mark.parametrize(
        ("config", "objection"),
        [
            (
                {"architectures": ["XLNetForSequenceClassification"]},
                "vLLM 0.32.0 does not know the architecture XLNetForSequenceClassification",
            ),
            (
                LLAMA | {"head_dim": 8},
                "vLLM on this cpu serves head sizes 64, and the model's is 8",
            ),
            (
                BEAVER | {"do_normalize": True},
                "vLLM does not normalise scores as the model's config.json asks (do_normalize)",
            ),
        ],
    )
    def test_what_it_cannot_do(self, config: dict[str, Any], objection: str) -> None:
        assert scorer_objection(config, CONTEXT, CPU) == objection

    def test_no_vllm(self) -> None:
        absent = VllmProbe(False, "vLLM is not installed", None, None, (), ())
        assert scorer_objection(BEAVER, CONTEXT, absent) == "vLLM is not installed"


class TestChoice:
    @pytest.fixture
    def here(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Say what the probe shall find."""
        return lambda found: monkeypatch.setattr(probe, "probe_vllm", lambda **_: found)

    def test_auto_takes_vllm_where_it_can(self, here: Any) -> None:
        here(CPU)
        expected = EngineChoice("vllm", "vLLM 0.32.0 can serve it on this cpu")
        assert choose_scorer("auto", subject_of(LLAMA)) == expected
        assert choose_scorer("vllm", subject_of(LLAMA)) == EngineChoice("vllm", "as asked")

    def test_auto_says_why_it_does_not(self, here: Any) -> None:
        here(CPU)
        choice = choose_scorer("auto", subject_of(LLAMA | {"head_dim": 8}))
        assert choice.name == "transformers"
        assert choice.reason.startswith("vLLM on this cpu serves head sizes 64")

    def test_by_name_it_must(self, here: Any) -> None:
        here(CPU)
        with pytest.raises(
            UserError, match=r"cannot score with a/b: vLLM on this cpu.*use --engine"
        ):
            choose_scorer("vllm", subject_of(LLAMA | {"head_dim": 8}))

    def test_transformers_by_name_looks_at_nothing(self, here: Any) -> None:
        assert choose_scorer("transformers", subject_of(LLAMA)).reason == "as asked"

    def test_a_model_without_scores_is_refused_whatever_the_engine(self) -> None:
        with pytest.raises(UserError, match="gives no scores"):
            choose_scorer("transformers", subject_of({"architectures": ["LlamaForCausalLM"]}))

    def test_an_unknown_engine(self) -> None:
        with pytest.raises(UserError, match="There is no engine 'vlm'"):
            choose_scorer("vlm", subject_of(LLAMA))


def test_folders_as_they_are_saved_are_read(tmp_path: Path) -> None:
    """What transformers and safe-rlhf write into config.json is what is looked for there."""
    saved = {
        "reward": reward_model(tmp_path / "reward", {}),
        "beaver": beaver_model(tmp_path / "beaver", {}),
        "encoder": random_encoder(tmp_path / "encoder", "roberta", ("toxic", "rude"), positions=20),
    }
    subjects = {name: resolve_subject(str(folder)) for name, folder in saved.items()}
    for subject in subjects.values():
        check_scorable(subject)
    assert {name: score_labels(s.config) for name, s in subjects.items()} == {
        "reward": ("LABEL_0",),
        "beaver": ("LABEL_0",),
        "encoder": ("toxic", "rude"),
    }
    assert score_context(subjects["encoder"].config, 20) == 16
