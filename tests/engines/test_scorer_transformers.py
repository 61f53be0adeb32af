"""Scores through transformers: right by hand, the same in any company, and never those of noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from reward_models import (
    END,
    PAD,
    START,
    beaver_model,
    encoded,
    files_of,
    known_score,
    random_encoder,
    random_llama,
    reward_model,
    scores_of,
    vocabulary,
)
from safetensors.torch import load_file, save_file

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.scorer import ScoreRequest
from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.errors import UserError

WEIGHTS = {"kind": 1.0, "cruel": -1.5, "tea": 0.25}
TEXTS = (
    "USER: tea ASSISTANT: kind kettle",
    "USER: tea ASSISTANT: cruel",
    "kind",
    "tea kettle tea kettle tea kettle tea kettle cruel cruel",
)


@pytest.fixture(scope="module")
def liking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_model(tmp_path_factory.mktemp("models") / "liking", WEIGHTS)


@pytest.fixture(scope="module", params=["llama", "bert", "roberta"])
def random(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / str(request.param)
    if request.param == "llama":
        return random_llama(folder, labels=2)
    return random_encoder(folder, request.param)


def load(folder: Path, **arguments: object) -> TransformersScorer:
    return TransformersScorer.load(files_of(folder, **arguments))


def test_scores_are_what_they_are_by_hand(liking: Path) -> None:
    """ "<s> kind" has counts 1 and 1 of 2: h = 4 for <s>, 4 + 1 for kind, the last word. The root mean
    square of 64 dimensions is sqrt((16 + 25) / 64) = 0.8004, and the score 1.0 * 5 / 0.8004 = 6.247."""
    texts = encoded(liking, *TEXTS)
    found = scores_of(load(liking), texts)
    assert found[2] == pytest.approx((6.247,), abs=1e-3)
    assert [len(f) for f in found] == [1] * 4
    assert [f[0] for f in found] == pytest.approx(
        [known_score(tokens, WEIGHTS) for tokens in texts], abs=1e-4
    )


def test_company_changes_no_score(random: Path) -> None:
    """Texts of 2 to 11 tokens in one batch are padded; one at a time they are not."""
    texts = encoded(random, *TEXTS)
    scorer = load(random)
    together = scores_of(scorer, texts)
    alone = [scores_of(scorer, [tokens])[0] for tokens in texts]
    assert torch.tensor(together) == pytest.approx(torch.tensor(alone), abs=1e-5)
    assert len({round(f[0], 3) for f in together}) == len(TEXTS)


def test_they_are_what_transformers_says_of_one_text(random: Path) -> None:
    """The class's own forward, no mask and no padding."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(random).eval()
    texts = encoded(random, *TEXTS)
    with torch.inference_mode():
        own = [model(torch.tensor([tokens])).logits[0] for tokens in texts]
    assert torch.tensor(scores_of(load(random), texts)) == pytest.approx(torch.stack(own), abs=1e-5)


def test_a_model_without_a_pad_token_scores_batches(tmp_path: Path, liking: Path) -> None:
    """Words that end a row are no padding: each of the first ids ends one here."""
    plain = reward_model(tmp_path / "plain", WEIGHTS, pad=False)
    texts = [(1, 9, end) for end in range(4)] + encoded(plain, *TEXTS)
    found = [f[0] for f in scores_of(load(plain), texts)]
    assert found == pytest.approx([known_score(t, WEIGHTS) for t in texts], abs=1e-4)


def test_a_text_that_ends_in_padding_is_scored_before_it(liking: Path) -> None:
    """As transformers does where the pad token is the end token, too; inside a text it is a word."""
    known = vocabulary()
    start, kind, pad, end = known[START], known["kind"], known[PAD], known[END]
    found = scores_of(
        load(liking), [(start, pad, kind, pad, pad), (start, pad, kind), (start, end)]
    )
    assert found[0] == found[1]
    assert found[1][0] == pytest.approx(known_score((start, pad, kind), WEIGHTS), abs=1e-4)


def test_the_longest_come_first_in_batches_of_the_size_asked_for(liking: Path) -> None:
    scorer = load(liking, batch_size=2)
    texts = encoded(liking, *TEXTS)
    order = [position for position, _ in scorer.scores([ScoreRequest(t) for t in texts])]
    assert order == [3, 0, 1, 2]


def test_a_batch_that_does_not_fit_is_halved(liking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = load(liking)
    texts = encoded(liking, *TEXTS)
    expected = scores_of(scorer, texts)
    forward, sizes = scorer.model.forward, []

    def tight(input_ids: torch.Tensor, **more: torch.Tensor) -> object:
        sizes.append(len(input_ids))
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids, **more)

    monkeypatch.setattr(scorer.model, "forward", tight)
    assert torch.tensor(scores_of(scorer, texts)) == pytest.approx(torch.tensor(expected), abs=1e-5)
    assert sizes == [4, 2, 1, 1, 1, 1]


def test_a_text_that_fails_alone_is_named_and_the_others_are_scored(
    liking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word "cruel" breaks the forward pass: of the four texts two have it."""
    scorer = load(liking)
    texts = encoded(liking, *TEXTS)
    expected = scores_of(scorer, texts)
    forward, cruel = scorer.model.forward, vocabulary()["cruel"]

    def broken(input_ids: torch.Tensor, **more: torch.Tensor) -> object:
        if (input_ids == cruel).any():
            raise ValueError("a cruel word\nand more")
        return forward(input_ids, **more)

    monkeypatch.setattr(scorer.model, "forward", broken)
    found = scores_of(scorer, texts)
    assert found[1] == found[3] == Failure("ValueError: a cruel word")
    assert found[::2] == [pytest.approx(e, abs=1e-5) for e in expected[::2]]


def test_a_model_that_fails_on_everything_is_no_texts_fault(
    liking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = load(liking)

    def broken(**inputs: torch.Tensor) -> object:
        raise ValueError("no such kernel")

    monkeypatch.setattr(scorer.model, "forward", broken)
    with pytest.raises(ValueError, match="no such kernel"):
        scores_of(scorer, encoded(liking, *TEXTS))


def test_it_describes_itself(liking: Path) -> None:
    described = load(liking).describe()
    assert described["engine"] == "transformers"
    assert (described["device"], described["dtype"]) == ("cpu", "float32")
    assert set(described["versions"]) == {"torch", "transformers"}


class TestRefusals:
    def test_a_head_that_is_not_in_the_weights(self, tmp_path: Path) -> None:
        """transformers would fill it at random."""
        folder = reward_model(tmp_path / "headless", WEIGHTS)
        tensors = load_file(folder / "model.safetensors")
        del tensors["score.weight"]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError) as error:
            load(folder)
        assert str(error.value) == (
            f"The weights in {folder} lack 1 that its config.json asks for (score.weight, ...): name "
            "a model that was trained to give scores."
        )

    def test_a_bias_that_transformers_would_leave_out(self, tmp_path: Path) -> None:
        folder = reward_model(tmp_path / "biased", WEIGHTS)
        tensors = load_file(folder / "model.safetensors")
        tensors["score.bias"] = torch.ones(1)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match=r"no place for \(score\.bias\)"):
            load(folder)

    def test_weights_that_break_off(self, tmp_path: Path) -> None:
        folder = reward_model(tmp_path / "broken", WEIGHTS)
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(
            UserError, match=f"transformers cannot load {folder}: .*check the folder"
        ):
            load(folder)

    def test_code_of_the_repository_is_not_run(self, tmp_path: Path) -> None:
        """ArmoRM's way: a class of its own in a file beside the weights."""
        folder = reward_model(tmp_path / "armed", WEIGHTS)
        config = json.loads((folder / "config.json").read_text())
        config |= {"auto_map": {"AutoModelForSequenceClassification": "armed.Armed"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "armed.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Armed: ...\n"
        )
        texts = encoded(folder, *TEXTS)
        found = [f[0] for f in scores_of(load(folder), texts)]
        assert found == pytest.approx([known_score(t, WEIGHTS) for t in texts], abs=1e-4)
        assert not (tmp_path / "ran").exists()

    def test_an_engine_argument_that_it_does_not_take(self, liking: Path) -> None:
        with pytest.raises(UserError, match="no argument 'gpu_memory_utilization'"):
            load(liking, gpu_memory_utilization=0.5)

    def test_a_device_that_is_not_here(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="device=cuda:7 cannot be used here"):
            load(beaver_model(tmp_path / "beaver", WEIGHTS), device="cuda:7")
