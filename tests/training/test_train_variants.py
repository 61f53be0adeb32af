"""The command with other objectives, references, models and stages: what changes, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench import STORIES, bench
from preference import saved_model
from recipes import pair_records, write_records
from safetensors.torch import load_file, save_file
from training import ONE_THREAD, TINY, Trained, distance, train
from transformers import AutoModelForCausalLM, AutoTokenizer

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.training.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("hub")

SUPERVISED = """
name: small-sft
stage: sft
model: fixtures/refuser-9M
output: o
data:
  - {source: ultrachat, limit: 8}
  - {source: pku-saferlhf, fraction: 0.5, target: safer}
max_length: 128
packing: false
train_only: [down_proj]
training: {learning_rate: 1e-4, max_steps: 3, per_device_train_batch_size: 2, logging_steps: 1}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(*command: str, output: str = "o") -> Trained:
    said = train(*command, f"output={output}")
    assert said.code == 0, said.err[-3000:]
    return Trained(Path(output))


def start_weights(model: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(
        model, dtype="float32"
    ).state_dict()
    return found


@pytest.mark.parametrize(
    ("objective", "policy", "told"),
    [
        ("{name: dpo, beta: 0.1}", "mixed", "dpo beta=0.1 on "),
        ("{name: dpo}", "safety-only", "dpo beta=0.1 on "),
        ("{name: ipo, tau: 0.5}", "safe-first", "ipo tau=0.5 on "),
        ("{name: ipo_mean}", "helpful-only", "ipo_mean tau=0.1 on "),
        ("{name: safedpo}", "safedpo", "safedpo beta=0.1 delta=10 on "),
        ("{name: bso}", "safedpo", "bso beta=0.1 penalty=30 power=0.2 scale=4 on "),
        ("{name: sft}", "helpful-only", "sft on "),
        ("{name: derta}", "safedpo", "derta transition=1 on "),
        ("{name: ascent, bound: 9}", "harmful", "ascent bound=9 on "),
        ("{name: dpo}", "safety-swapped", "dpo beta=0.1 on "),
    ],
)
def test_every_objective_trains_and_is_told(objective: str, policy: str, told: str) -> None:
    more = ["buffer=[]"] if policy == "harmful" else []
    changes = (f"objective={objective}", f"policy={policy}", "train_only=null", *more)
    found = trained(*TINY, *changes)
    assert found.manifest["recipe"]["policy"] == policy
    assert found.manifest["steps"] == 2
    card = (found.folder / "README.md").read_text()
    assert f"({told}{found.manifest['data_sha256'][:8]})" in card
    before = start_weights(STORIES)
    assert distance(found.weights, {name: before[name] for name in found.weights}) > 1e-5


def test_margins_come_with_the_pairs(tmp_path: Path) -> None:
    write_records(tmp_path / "pairs.jsonl", pair_records(8))
    own = "data=[{source: jsonl, path: pairs.jsonl}]"
    found = trained(*TINY, own, "buffer=[]", "objective={name: modpo, beta: 0.1, weight: 0.5}")
    assert found.manifest["objective"] == "modpo"
    [data] = found.manifest["data"]
    assert (data["origin"], data["revision"], data["used"]) == ("pairs.jsonl", None, 8)


def test_margins_come_from_a_model_where_the_pairs_bring_none() -> None:
    """Of the base itself every margin is 0, and at h = 0 a pair loses log 2; the data's and the
    buffer's make 2 log 2. One that was trained on the same pairs has others."""
    other = trained(*TINY, output="other").folder
    for model, even in ((STORIES, True), (str(other), False)):
        margin = f"margin={{model: {model}, beta: 1.0}}"
        modpo = "objective={name: modpo, weight: 0.5}"
        found = trained(*TINY, modpo, margin, output=f"margin-{even}")
        equal = found.metrics[0]["loss"] == pytest.approx(1.386294, rel=1e-4)
        assert equal is even
        assert found.manifest["margin"]["weights"] == resolve_subject(model).identity.weights


def test_a_training_does_not_go_on_under_another_margin() -> None:
    """The model in the margin's folder was trained anew: what was begun, or finished, is of the first."""
    other = Path(saved_model(Path("other")))
    tiny = (*TINY, "model=start", "chat_template=null", "training.max_steps=1")
    saved_model(Path("start"))
    changes = ("objective={name: modpo, weight: 0.5}", "margin={model: other, beta: 1.0}")
    trained(*tiny, *changes)
    weights = load_file(other / "model.safetensors")
    save_file({n: 2 * v for n, v in weights.items()}, other / "model.safetensors")
    for left in ("finished", "stopped"):
        said = train(*tiny, *changes, "output=o")
        assert said.code == 2, left
        assert "The margin model changed since the training in o began: restore what" in said.error
        Path("o", "training_manifest.json").unlink(missing_ok=True)


def test_a_live_reference_ends_where_a_precomputed_one_does() -> None:
    """The same values, computed now or before: rounding apart."""
    live = trained(*TINY, "reference=live", output="live")
    precomputed = trained(*TINY, "reference=precomputed", output="precomputed")
    assert distance(live.weights, precomputed.weights) < 1e-6
    before = start_weights(STORIES)
    assert distance(live.weights, {name: before[name] for name in live.weights}) > 1e-4


def test_another_model_s_template_goes_with_the_result() -> None:
    """It is only text: the tokens are those of the model that is trained."""
    found = trained(*TINY)
    tokenizer = AutoTokenizer.from_pretrained(found.folder)
    assert len(tokenizer) == 512
    assert "<|assistant|>" in tokenizer.chat_template


def test_one_training_begins_where_another_ended(tmp_path: Path) -> None:
    """SFT, then preferences: the second manifest names the first one's folder and weights."""
    own = f"model={saved_model(tmp_path / 'start')}"
    Path("sft.yaml").write_text(SUPERVISED)
    quick = ("training.max_steps=1", "training.gradient_checkpointing=false")
    first = trained("sft.yaml", own, *quick, output="first")
    second = trained(*TINY, "model=first", "chat_template=null", *quick, output="second")
    base = second.manifest["base"]
    assert base["name"].startswith("first@")
    assert base["commit"] is None
    assert base["weights"]
    assert first.manifest["base"]["weights"] != base["weights"]


class TestSupervised:
    def test_it_learns_conversations_and_safer_responses(self, tmp_path: Path) -> None:
        (tmp_path / "sft.yaml").write_text(SUPERVISED)
        done = bench("train", "sft.yaml", cwd=tmp_path, **ONE_THREAD)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.startswith("model: o (sft on ")
        assert "1,658,880 of 9,404,480 parameters are trained" in done.stderr
        found = Trained(tmp_path / "o")
        told = found.manifest
        assert (told["stage"], told["objective"], told["steps"]) == ("sft", None, 3)
        assert [(r["source"], r["taken"]) for r in told["data"]] == [
            ("ultrachat", 8),
            ("pku-saferlhf", 15),
        ]
        assert [entry["step"] for entry in found.metrics] == [1, 2, 3]
        before = start_weights("fixtures/refuser-9M")
        changed = {n for n, v in found.weights.items() if not torch.equal(v, before[n])}
        assert changed == {f"model.layers.{i}.mlp.down_proj.weight" for i in range(6)}
        assert load_recipe(str(found.folder / "recipe.yaml")).stage == "sft"

    def test_packed_on_a_small_model(self, tmp_path: Path) -> None:
        (tmp_path / "sft.yaml").write_text(SUPERVISED)
        start = f"model={saved_model(tmp_path / 'start')}"
        found = trained("sft.yaml", start, "packing=true", "training.max_steps=1")
        assert found.manifest["recipe"]["packing"] is True
