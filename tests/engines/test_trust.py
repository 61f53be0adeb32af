"""What a model's files may do: nothing but hold numbers, unless the user says otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from markov import sayer
from own_code import change, pickled, with_bomb, with_own_code, with_own_tokenizer
from reward_models import encoded, reward_model, scores_of
from shelf import on_shelf

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.scorer_transformers import TransformersScorer
from bfpo_bench.engines.subject import Subject, load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.engines.trust import Trust, runs_code
from bfpo_bench.errors import UserError

CODE, PICKLE = Trust(code=True), Trust(pickle=True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sayer(tmp_path_factory.mktemp("trust") / "whole", "yes")


@pytest.fixture(scope="module")
def liking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_model(tmp_path_factory.mktemp("trust") / "liking", {"kind": 1.0})


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    """A model folder to change."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Where code says that it ran."""
    return tmp_path / "ran"


def resolved(folder: Path, trust: Trust = Trust()) -> Subject:
    return resolve_subject(str(folder), trust=trust)


def files_of(subject: Subject) -> ModelFiles:
    folder = subject.tokenizer_source.materialise()
    tokenizer = load_tokenizer(folder, subject.remote_code)
    return model_files(subject, tokenizer, 8192, {}, seed=0)


class TestCode:
    def test_a_model_that_needs_its_own_is_refused(self, model: Path, marker: Path) -> None:
        with pytest.raises(UserError) as error:
            resolved(with_own_code(model, marker))
        assert str(error.value) == (
            "model wants to run code of its own (own_model.py): read that, and give "
            f"--trust-remote-code {model} where a command measures or judges, or name another model."
        )
        assert not marker.exists()

    def test_so_is_one_whose_tokenizer_does(self, model: Path, marker: Path) -> None:
        with pytest.raises(UserError, match=r"own \(own_model\.py\): .*--trust-remote-code"):
            resolved(with_own_tokenizer(model, marker))
        assert not marker.exists()

    def test_trusted_its_code_runs_where_it_is_loaded_and_not_before(
        self, model: Path, marker: Path
    ) -> None:
        with_own_tokenizer(with_own_code(model, marker), marker)
        subject = resolved(model, CODE)
        assert not marker.exists()
        engine = TransformersEngine.load(files_of(subject))
        assert marker.read_text().startswith("ran\n")
        assert type(engine.model).__name__ == "OwnForCausalLM"

    def test_as_a_scorer_does(self, liking: Path, tmp_path: Path, marker: Path) -> None:
        folder = with_own_code(Path(shutil.copytree(liking, tmp_path / "own")), marker)
        scorer = TransformersScorer.load(files_of(resolved(folder, CODE)))
        assert type(scorer.model).__name__ == "OwnForSequenceClassification"
        texts = encoded(liking, "kind tea")
        plain = TransformersScorer.load(files_of(resolved(liking)))
        assert scores_of(scorer, texts) == scores_of(plain, texts)

    def test_one_that_transformers_knows_is_loaded_without_its_code(
        self, model: Path, marker: Path
    ) -> None:
        """Phi-3 and many others still bring the files of the time before transformers had them."""
        with_own_code(model, marker)
        change(model / "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
        subject = resolved(model)
        assert not subject.remote_code
        engine = TransformersEngine.load(files_of(subject))
        assert type(engine.model).__name__ == "LlamaForCausalLM"
        assert not marker.exists()

    def test_a_known_type_is_not_enough(self, model: Path, marker: Path) -> None:
        """transformers would load it as a plain Llama, which it is not."""
        change(with_own_code(model, marker) / "config.json", model_type="llama")
        with pytest.raises(UserError, match="wants to run code of its own"):
            resolved(model)

    def test_one_without_code_of_its_own_is_the_same_trusted_or_not(self, model: Path) -> None:
        assert resolved(model, CODE) == resolved(model)

    def test_its_code_is_part_of_what_answers(self, model: Path, marker: Path) -> None:
        """Known to transformers, it can answer with and without: two models; a changed line is a
        third."""
        with_own_code(model, marker)
        change(model / "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
        without, trusted = resolved(model), resolved(model, CODE)
        (model / "own_model.py").write_text("# another\n")
        again, changed = resolved(model), resolved(model, CODE)
        assert without.identity == again.identity
        assert len({s.identity.weights for s in (without, trusted, changed)}) == 3

    def test_it_is_written_down(self, model: Path, marker: Path) -> None:
        assert resolved(with_own_code(model, marker), CODE).describe()["remote_code"] is True
        assert "remote_code" not in resolved(model.parent / "model", CODE).describe()["base"]

    def test_code_that_fails_is_a_sentence(self, model: Path, marker: Path) -> None:
        with_own_code(model, marker)
        with (model / "own_model.py").open("a") as file:
            file.write("raise RuntimeError('no such card')\n")
        with pytest.raises(UserError, match=r"The (code|tokenizer) .* \(no such card\)"):
            files_of(resolved(model, CODE))

    @pytest.mark.parametrize("trust", [Trust(), CODE])
    def test_code_of_another_repository_is_never_run(
        self, model: Path, marker: Path, trust: Trust
    ) -> None:
        """Another day's commit of it could be other code."""
        with_own_code(model, marker, where="some/one--")
        with pytest.raises(UserError, match=r"code of another repository, some/one, which its own"):
            resolved(model, trust)

    def test_from_the_hub_its_files_come_with_it(
        self, hub: str, model: Path, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "shelf").mkdir()
        with on_shelf(tmp_path / "shelf", monkeypatch) as shelf:
            shutil.copytree(with_own_code(model, marker), shelf.root / "models" / "org" / "own")
            with pytest.raises(UserError, match=r"--trust-remote-code org/own where"):
                resolve_subject("org/own")
            subject = resolve_subject("org/own", trust=CODE)
            assert subject.identity.weights == f"{subject.base.commit} with its code"
            assert (subject.base.materialise() / "own_model.py").is_file()


OWN = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


class TestWhoNeedsCode:
    @pytest.mark.parametrize(
        ("config", "tokenizer"),
        [
            ({"model_type": "own"}, {}),
            (LLAMA, {}),
            (LLAMA | {"auto_map": {}}, {"auto_map": None}),
            (LLAMA | {"auto_map": OWN}, {}),
            ({"model_type": "llama", "auto_map": OWN}, {}),
            (LLAMA | {"architectures": ["LlamaModelForScore"], "auto_map": OWN}, {}),
            (LLAMA, {"auto_map": {"AutoTokenizer": ["own.Own", None]}}),
            (
                LLAMA,
                {
                    "auto_map": {"AutoTokenizer": ["own.Own", "own.Fast"]},
                    "tokenizer_class": "LlamaTokenizerFast",
                },
            ),
        ],
    )
    def test_not_those_without_any_and_those_that_are_known(
        self, config: Mapping[str, Any], tokenizer: Mapping[str, Any]
    ) -> None:
        assert runs_code("m", "m", config, tokenizer, Trust()) is False

    @pytest.mark.parametrize(
        ("config", "tokenizer"),
        [
            ({"auto_map": OWN}, {}),
            ({"model_type": "own", "auto_map": OWN}, {}),
            (LLAMA | {"architectures": ["OwnForCausalLM"], "auto_map": OWN}, {}),
            (LLAMA, {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}),
            (LLAMA, {"auto_map": ["own.Own", None], "tokenizer_class": "Own"}),
        ],
    )
    def test_those_with_a_class_that_only_their_own_code_has(
        self, config: Mapping[str, Any], tokenizer: Mapping[str, Any]
    ) -> None:
        with pytest.raises(UserError, match=r"^m wants to run code of its own \(own\.py\)"):
            runs_code("m", "n", config, tokenizer, Trust())
        assert runs_code("m", "n", config, tokenizer, CODE) is True

    def test_a_known_one_that_names_code_elsewhere_does_without_even_trusted(self) -> None:
        """What a further training of Phi-3 leaves in the configuration."""
        there = {"auto_map": {"AutoConfig": "microsoft/phi--own.OwnConfig"}}
        assert runs_code("m", "m", LLAMA | there, {}, CODE) is False


def lora(folder: Path, base: Path) -> Path:
    """A LoRA adapter on `base` that peft saved; it changes nothing yet."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    return folder


class TestPickle:
    def test_weights_that_are_nothing_else_are_refused(self, model: Path) -> None:
        with pytest.raises(UserError) as error:
            resolved(pickled(model))
        assert str(error.value) == (
            "model has its weights as a PyTorch pickle alone (pytorch_model.bin), which could hold "
            "code: save them as safetensors (save_pretrained does so), or give --allow-pickle where a "
            "command measures or judges."
        )

    @pytest.mark.parametrize("name", ["consolidated.00.pth", "weights.pt", "pytorch_model-1.bin"])
    def test_by_whatever_name(self, model: Path, name: str) -> None:
        (model / "model.safetensors").rename(model / name)
        with pytest.raises(UserError, match=rf"pickle alone \({name}\)"):
            resolved(model)

    def test_allowed_they_are_loaded(self, model: Path) -> None:
        subject = resolved(pickled(model), PICKLE)
        assert subject.describe()["pickles"] == ["pytorch_model.bin"]
        files = files_of(subject)
        assert files.pickle
        assert TransformersEngine.load(files).model.lm_head.weight.abs().sum() > 0

    def test_as_a_scorers_are(self, liking: Path, tmp_path: Path) -> None:
        folder = pickled(Path(shutil.copytree(liking, tmp_path / "own")))
        texts = encoded(liking, "kind tea")
        scorer = TransformersScorer.load(files_of(resolved(folder, PICKLE)))
        plain = TransformersScorer.load(files_of(resolved(liking)))
        assert scores_of(scorer, texts) == scores_of(plain, texts)

    def test_what_they_hold_besides_tensors_does_not_run_even_then(
        self, model: Path, marker: Path
    ) -> None:
        """PyTorch's unpickler knows tensors and little else (weights_only)."""
        files = files_of(resolved(with_bomb(model, marker), PICKLE))
        with pytest.raises(UserError, match="transformers cannot load"):
            TransformersEngine.load(files)
        assert not marker.exists()

    def test_nor_in_a_scorer(self, liking: Path, tmp_path: Path, marker: Path) -> None:
        folder = with_bomb(Path(shutil.copytree(liking, tmp_path / "own")), marker)
        with pytest.raises(UserError, match="transformers cannot load"):
            TransformersScorer.load(files_of(resolved(folder, PICKLE)))
        assert not marker.exists()

    @pytest.mark.parametrize("trust", [Trust(), PICKLE])
    def test_beside_safetensors_they_are_not_read(
        self, model: Path, marker: Path, tmp_path: Path, trust: Trust
    ) -> None:
        bad = with_bomb(Path(shutil.copytree(model, tmp_path / "bad")), marker)
        shutil.copy(bad / "pytorch_model.bin", model)
        subject = resolved(model, trust)
        files = files_of(subject)
        assert (files.pickle, subject.describe().get("pickles")) == (False, None)
        TransformersEngine.load(files)
        assert not marker.exists()

    def test_nor_in_place_of_safetensors_that_are_broken(self, model: Path, tmp_path: Path) -> None:
        """transformers would not fall back on them, whatever stands in the folder."""
        good = pickled(Path(shutil.copytree(model, tmp_path / "good")))
        shutil.copy(good / "pytorch_model.bin", model)
        (model / "model.safetensors").rename(model / "other.safetensors")
        with pytest.raises(UserError, match=r"no file named model\.safetensors"):
            TransformersEngine.load(files_of(resolved(model)))

    def test_nor_fetched(
        self, hub: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (model / "pytorch_model.bin").write_bytes(b"pickle")
        (tmp_path / "shelf").mkdir()
        with on_shelf(tmp_path / "shelf", monkeypatch) as shelf:
            shutil.copytree(model, shelf.root / "models" / "org" / "both")
            folder = resolve_subject("org/both", trust=PICKLE).base.materialise()
            assert (folder / "model.safetensors").is_file()
            assert not (folder / "pytorch_model.bin").exists()

    def test_training_state_is_no_weights(self, model: Path) -> None:
        """What a trainer leaves beside them."""
        pickled(model)
        for name in ("training_args.bin", "optimizer.bin", "scheduler.pt", "rng_state.pth"):
            (model / name).touch()
        assert resolved(model, PICKLE).base.weight_files() == ["pytorch_model.bin"]
        (model / "pytorch_model.bin").unlink()
        with pytest.raises(UserError, match="model has no weights"):
            resolved(model, PICKLE)


class TestAdapter:
    def test_its_pickle_is_refused_as_well(self, model: Path, tmp_path: Path) -> None:
        adapter = pickled(lora(tmp_path / "lora", model), "adapter_model")
        # Not what peft reads
        shutil.copy(model / "model.safetensors", adapter / "other.safetensors")
        with pytest.raises(UserError, match=r"^lora has .* pickle alone \(adapter_model\.bin\)"):
            resolved(adapter)

    def test_allowed_it_is_loaded_and_its_base_is_not_thereby(
        self, model: Path, tmp_path: Path, marker: Path
    ) -> None:
        adapter = pickled(lora(tmp_path / "lora", model), "adapter_model")
        subject = resolved(adapter, PICKLE)
        assert subject.describe()["pickles"] == ["adapter_model.bin"]
        files = files_of(subject)
        assert not files.pickle
        TransformersEngine.load(files)

    def test_what_it_holds_besides_tensors_does_not_run(
        self, model: Path, tmp_path: Path, marker: Path
    ) -> None:
        adapter = with_bomb(lora(tmp_path / "lora", model), marker, "adapter_model")
        files = files_of(resolved(adapter, PICKLE))
        with pytest.raises(Exception, match=r"[Ww]eights"):
            TransformersEngine.load(files)
        assert not marker.exists()

    def test_one_on_another_adapter(self, model: Path, tmp_path: Path) -> None:
        """transformers would load what that one names as its base, which nothing here has checked."""
        first = lora(tmp_path / "first", model)
        shutil.copy(model / "config.json", first)
        second = lora(tmp_path / "second", model)
        change(second / "adapter_config.json", base_model_name_or_path=str(first))
        with pytest.raises(UserError, match="first, the base of the adapter second, is an adapter"):
            resolved(second)

    def test_trust_in_an_adapter_is_trust_in_its_base(
        self, model: Path, tmp_path: Path, marker: Path
    ) -> None:
        """It is the one model of the two that the user named."""
        adapter = lora(tmp_path / "lora", model)
        with_own_code(model, marker)
        with pytest.raises(UserError, match=rf"^model wants .*--trust-remote-code {adapter}"):
            resolved(adapter)
        assert resolved(adapter, CODE).remote_code


def test_files_that_are_no_json_objects(model: Path) -> None:
    (model / "tokenizer_config.json").write_text(json.dumps(["a", "b"]))
    with pytest.raises(UserError, match=r"tokenizer_config\.json holds no JSON object: mend"):
        resolved(model)
