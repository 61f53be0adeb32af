"""Beaver's checkpoints, loaded without their code: the score at the end token, with its sign."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from reward_models import (
    END,
    PAD,
    Weights,
    beaver_model,
    encoded,
    files_of,
    known_score,
    scores_of,
    vocabulary,
)
from safetensors.torch import load_file, save_file

from bfpo_bench.engines import score_folder
from bfpo_bench.engines.score_folder import classifier_folder
from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.errors import UserError

COST = {"cruel": 1.0, "kind": -1.0}
TEXTS = (
    "BEGINNING OF CONVERSATION: USER: tea ASSISTANT:kind kettle",
    "BEGINNING OF CONVERSATION: USER: tea ASSISTANT:cruel cruel",
    "BEGINNING OF CONVERSATION: USER: tea ASSISTANT:kettle",
    "ASSISTANT:cruel",
)


def ended(folder: Path) -> list[tuple[int, ...]]:
    return [(*tokens, vocabulary()[END]) for tokens in encoded(folder, *TEXTS)]


def scores(folder: Path) -> list[float]:
    return [s[0] for s in scores_of(TransformersScorer.load(files_of(folder)), ended(folder))]


@pytest.mark.parametrize("saved_as", ["safetensors", "bin"])
def test_costs_are_what_they_are_by_hand(tmp_path: Path, saved_as: Weights) -> None:
    """With weights of -1 on "kind" and 1 on "cruel", the first text costs less than the bias, the
    second more, the third just the bias. The last is padded to more than twice its length."""
    folder = beaver_model(tmp_path / "beaver", COST, 0.25, saved_as=saved_as)
    found = scores(folder)
    assert found == pytest.approx([known_score(t, COST, 0.25) for t in ended(folder)], abs=1e-4)
    assert found[0] < 0 < 0.25 < found[1]
    assert found[2] == pytest.approx(0.25, abs=1e-6)


def test_a_head_without_a_bias_has_none(tmp_path: Path) -> None:
    """The first checkpoints: upstream's code fills in zeros."""
    folder = beaver_model(tmp_path / "beaver", COST, None)
    assert scores(folder)[2] == pytest.approx(0.0, abs=1e-6)


def test_the_class_has_two_names(tmp_path: Path) -> None:
    old = beaver_model(tmp_path / "old", COST)
    new = beaver_model(tmp_path / "new", COST, architectures=["LlamaForScore"])
    assert scores(old) == scores(new)


def test_padding_in_a_text_is_not_scored(tmp_path: Path) -> None:
    """As for every other model, whatever the attention mask says."""
    folder = beaver_model(tmp_path / "beaver", COST)
    text = ended(folder)[1]
    padded = (*text, vocabulary()[PAD], vocabulary()[PAD])
    one, other = scores_of(TransformersScorer.load(files_of(folder)), [text, padded])
    assert one == other


class TestNormalisation:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("reward", lambda x: (x - 0.5) / math.sqrt(4.0)),
            ("cost", lambda x: x / math.sqrt(4.0)),
            ("critic", lambda x: x),
        ],
    )
    def test_it_is_upstreams(self, tmp_path: Path, kind: str, expected: Any) -> None:
        """A reward is centred and scaled; a cost is scaled alone, so that its sign stays."""
        folder = beaver_model(
            tmp_path / "beaver", COST, kind=kind, do_normalize=True, mean=[0.5], var=[4.0]
        )
        plain = [known_score(t, COST) for t in ended(folder)]
        assert scores(folder) == pytest.approx([expected(x) for x in plain], abs=1e-4)

    def test_what_is_not_asked_for_is_not_done(self, tmp_path: Path) -> None:
        folder = beaver_model(tmp_path / "beaver", COST, kind="reward", mean=[0.5], var=[4.0])
        assert scores(folder) == pytest.approx(
            [known_score(t, COST) for t in ended(folder)], abs=1e-4
        )

    def test_what_it_takes_must_be_there(self, tmp_path: Path) -> None:
        folder = beaver_model(tmp_path / "beaver", COST, do_normalize=True)
        with pytest.raises(UserError, match=r"asks for normalised scores.*complete it"):
            scores(folder)


def test_a_lacking_head_is_refused(tmp_path: Path) -> None:
    folder = beaver_model(tmp_path / "beaver", COST)
    tensors = load_file(folder / "model.safetensors")
    del tensors["score_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack 1 .*\(score_head\.weight"):
        scores(folder)


class TestAsAPlainClassifier:
    """What is written for vLLM, read with transformers' own class."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))

    @pytest.mark.parametrize("saved_as", ["safetensors", "bin"])
    def test_it_scores_the_same(self, tmp_path: Path, saved_as: Weights) -> None:
        folder = beaver_model(tmp_path / "beaver", COST, None, saved_as=saved_as)
        assert scores(classifier_folder(folder)) == pytest.approx(scores(folder), abs=1e-6)

    def test_the_bias_keeps_its_place(self, tmp_path: Path) -> None:
        """vLLM adds a bias of that name; transformers has no place for one."""
        made = classifier_folder(beaver_model(tmp_path / "beaver", COST, 0.25))
        tensors = load_file(made / "model.safetensors")
        assert tensors["score.bias"].tolist() == [0.25]
        assert not [n for n in tensors if n.startswith(("score_head", "normalizer"))]
        config = json.loads((made / "config.json").read_text())
        assert config["architectures"] == ["LlamaForSequenceClassification"]
        assert config["id2label"] == {"0": "LABEL_0"}

    def test_files_of_the_body_alone_are_links(self, tmp_path: Path) -> None:
        folder = beaver_model(tmp_path / "beaver", COST, 0.25)
        whole = load_file(folder / "model.safetensors")
        body = {n: t for n, t in whole.items() if n.startswith("model.")}
        head = {n: t for n, t in whole.items() if n not in body}
        (folder / "model.safetensors").unlink()
        parts = {"model-00001-of-00002": body, "model-00002-of-00002": head}
        for name, tensors in parts.items():
            save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
        made = classifier_folder(folder)
        assert (made / "model-00001-of-00002.safetensors").is_symlink()
        assert not (made / "model-00002-of-00002.safetensors").is_symlink()
        assert torch.equal(
            load_file(made / "model-00002-of-00002.safetensors")["score.weight"],
            head["score_head.weight"],
        )

    def test_other_weights_make_another(self, tmp_path: Path) -> None:
        made = classifier_folder(beaver_model(tmp_path / "beaver", COST))
        other = classifier_folder(beaver_model(tmp_path / "beaver", {"tea": 1.0}))
        assert other != made
        assert {p.name for p in made.parent.iterdir()} == {made.name, other.name}

    def test_it_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = beaver_model(tmp_path / "beaver", COST)
        made = classifier_folder(folder)
        monkeypatch.setattr(score_folder, "_convert", lambda *_: pytest.fail("it was made again"))
        assert classifier_folder(folder) == made

    def test_who_comes_second_takes_what_the_first_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes that begin at once both write, and one of them finds the place taken."""
        folder = beaver_model(tmp_path / "beaver", COST)
        convert, made = score_folder._convert, []

        def slowly(path: Path, to: Path) -> None:
            monkeypatch.setattr(score_folder, "_convert", convert)
            made.append(classifier_folder(folder))
            convert(path, to)

        monkeypatch.setattr(score_folder, "_convert", slowly)
        assert [classifier_folder(folder)] == made
        assert list(made[0].parent.iterdir()) == made
