"""`bfpo-bench train` of two experts and of the router over them, to a model that an engine loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bench import STORIES
from experts import expert
from preference import saved_model
from recipes import pair_records, write_records
from safetensors.torch import load_file, save_file
from training import Trained, train

from bfpo_bench.engines import probe
from bfpo_bench.engines.base import GenerationRequest, ScoringRequest
from bfpo_bench.engines.probe import VllmProbe
from bfpo_bench.engines.routed.layer import routed_layers
from bfpo_bench.engines.select import choose_engine
from bfpo_bench.engines.subject import model_files, resolve_subject
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.errors import UserError
from bfpo_bench.training.prepare import base_of
from bfpo_bench.training.recipe import load_recipe

LAYERS, HIDDEN, INNER = 2, 32, 64
SMALL = (
    "model=base",
    "data=[{source: jsonl, path: pairs.jsonl}]",
    *("max_length=64", "max_prompt_length=32", "training.max_steps=2", "training.save_steps=1"),
    *("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=1"),
)
BUFFER = "[{source: jsonl, path: pairs.jsonl}]"


def run(*arguments: str) -> Trained:
    said = train(*arguments)
    assert said.code == 0, said.err[-3000:]
    return Trained(Path(next(a for a in arguments if a.startswith("output="))[7:]).absolute())


@pytest.fixture(scope="module")
def home(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, pairs.jsonl and three trainings: safety, helpfulness (of rank 2), router."""
    folder = tmp_path_factory.mktemp("midpo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        saved_model(folder / "base")
        write_records(folder / "pairs.jsonl", pair_records(16))
        for role, rank in (("safety", 3), ("helpfulness", 2)):
            changes = (f"lora.r={rank}", "training.learning_rate=0.05", f"output={role}")
            run(f"two-cores/midpo-{role}", *SMALL, "margin=null", *changes)
        told = ("experts.safety=safety", "experts.helpfulness=helpfulness", "output=router")
        run("two-cores/midpo-router", *SMALL, *told)
    return folder


@pytest.fixture(autouse=True)
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def loaded(folder: str | Path) -> TransformersEngine:
    subject = resolve_subject(str(folder))
    return TransformersEngine.load(model_files(subject, _tokenizer(), 64, {}, 0))


def _tokenizer() -> Any:
    from preference import tokenizer

    return tokenizer()


def test_experts_say_by_what_they_were_trained(home: Path) -> None:
    safety, helpfulness = (Trained(home / role).manifest for role in ("safety", "helpfulness"))
    assert (safety["objective"], helpfulness["objective"]) == ("midpo_safety", "midpo_helpfulness")
    assert safety["policy"]["name"] == "safety-only"
    assert safety["parameters"]["trained"] == LAYERS * 3 * (INNER + HIDDEN)


def test_the_router_says_what_it_is_of(home: Path) -> None:
    """Base and experts by their hashes, and parameters: 2 x 65 a layer are trained, of those beside the
    base's and (3 + 2) (64 + 32) of the experts a layer."""
    found = Trained(home / "router").manifest
    safety, helpfulness = (resolve_subject(role) for role in ("safety", "helpfulness"))
    assert (
        found["base"]["weights"]
        == safety.identity.weights
        == resolve_subject("base").identity.weights
    )
    assert found["experts"]["safety"]["weights"] == safety.identity.adapter
    assert found["experts"]["helpfulness"]["weights"] == helpfulness.identity.adapter
    base = sum(value.numel() for value in load_file("base/model.safetensors").values())
    assert found["parameters"] == {
        "trained": LAYERS * 2 * (INNER + 1),
        "all": base + LAYERS * (2 * (INNER + 1) + 5 * (INNER + HIDDEN)),
    }
    card = (home / "router" / "README.md").read_text()
    assert "A router over two LoRA experts: safety safety@" in card
    assert f"{LAYERS * 2 * (INNER + 1)} of " in card
    assert "library_name" not in card
    assert found["tokens"] > 0
    assert {"tokens_per_second", "router/safety", "router/helpfulness"} <= Trained(
        home / "router"
    ).metrics[0].keys()


def test_what_is_measured_is_what_was_trained(home: Path) -> None:
    """The engine's model has the base's weights, the experts' and the router's, whose weights have left
    1/2; its answers differ from those of the base and of each expert alone."""
    engine = loaded("router")
    layers = routed_layers(engine.model)
    assert len(layers) == LAYERS
    stored = load_file("router/router.safetensors")
    for name, layer in layers.items():
        assert torch.equal(layer.router.weight, stored[f"{name}.weight"])
        assert layer.router.weight.abs().max() > 0
    request = ScoringRequest(tuple(range(5, 25)), 10)
    scores = {
        model: next(loaded(model).loglikelihoods([request]))[1].logprob
        for model in ("router", "base", "safety", "helpfulness")
    }
    assert len(set(scores.values())) == 4
    [(_, said)] = engine.generate([GenerationRequest(tuple(range(5, 15)), 4)])
    assert len(said.tokens) <= 4


def test_a_checkpoint_is_a_model_of_its_own(home: Path) -> None:
    subjects = [
        resolve_subject(str(home / "router" / "checkpoints" / f"checkpoint-{step}"))
        for step in (1, 2)
    ]
    last = resolve_subject("router")
    assert subjects[1].identity.adapter == last.identity.adapter != subjects[0].identity.adapter
    assert not list((home / "router" / "checkpoints").rglob("model.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _scaled(folder / "router.safetensors"),
        lambda folder: _scaled(folder / "safety" / "adapter_model.safetensors"),
        lambda folder: _edited(folder / "helpfulness" / "adapter_config.json", lora_alpha=7),
    ],
    ids=["router", "expert", "expert's scale"],
)
def test_other_parts_are_another_subject(
    home: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = resolve_subject("router").identity
    folder = Path(shutil.copytree(home / "router", tmp_path / "router"))
    assert resolve_subject(str(folder)).identity == before
    change(folder)
    after = resolve_subject(str(folder)).identity
    assert (after.weights, after.tokenizer) == (before.weights, before.tokenizer)
    assert after.adapter != before.adapter


def _scaled(file: Path) -> None:
    save_file({name: 2 * value for name, value in load_file(file).items()}, file)


def _edited(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_its_base_is_told(home: Path) -> None:
    subject = resolve_subject("router")
    assert subject.training is not None
    assert subject.training.base_name.startswith("base@")
    assert subject.training.describe().startswith("midpo_router beta=0.1 penalty=1 on ")
    assert subject.describe()["base"]["folder"] == str(home / "base")


# What other engines are told


def test_no_other_engine_takes_it_for_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    able = VllmProbe(True, "", "0.32.0", "cuda", ("LlamaForCausalLM",), ())
    monkeypatch.setattr(probe, "probe_vllm", lambda **_: able)
    subject, base = resolve_subject("router"), resolve_subject("base")
    assert choose_engine("auto", base.name, base.config, 64).name == "vllm"
    chosen = choose_engine("auto", subject.name, subject.config, 64)
    assert chosen.name == "transformers"
    assert "does not know the architecture of a router over experts of base" in chosen.reason
    for engine in ("vllm", "ray"):
        with pytest.raises(
            UserError, match=f"The {engine} engine cannot serve router@.*--engine trans"
        ):
            choose_engine(engine, subject.name, subject.config, 64)


def test_no_server_has_it() -> None:
    from bfpo_bench.plan_servers import _parts
    from bfpo_bench.request import Request

    request = Request(models=("router",), engine="server", servers=("http://127.0.0.1:9/v1",))
    with pytest.raises(
        UserError, match="is a router over LoRA experts, which no server has loaded"
    ):
        _parts("router", request, chat=False)


# What is refused, before anything is trained


def refused(*changes: str, code: int = 2) -> str:
    said = train("two-cores/midpo-router", *SMALL, *changes)
    assert (said.code, "Traceback" in said.err) == (code, False)
    return said.error


def with_experts(safety: Any = "safety", helpfulness: Any = "helpfulness") -> tuple[str, ...]:
    return (f"experts.safety={safety}", f"experts.helpfulness={helpfulness}", "output=refused")


def test_an_expert_of_another_base(tmp_path: Path) -> None:
    """By its adapter_config.json, which names the base; and by its training manifest, where that
    configuration was edited."""
    other = expert(tmp_path / "other", saved_model(tmp_path / "elsewhere", seed=1), 7, 2)
    said = refused(*with_experts(safety=other))
    assert "experts.safety: " in said
    assert "is an adapter of another base, elsewhere (" in said
    folder = Path(shutil.copytree("safety", tmp_path / "lying"))
    _edited(folder / "adapter_config.json", base_model_name_or_path=str(tmp_path / "elsewhere"))
    assert "is an adapter of another base" in refused(*with_experts(safety=folder))
    moved = Path(shutil.copytree("safety", tmp_path / "moved"))
    manifest = json.loads((moved / "training_manifest.json").read_text())
    manifest["base"]["weights"] = "0" * 64
    (moved / "training_manifest.json").write_text(json.dumps(manifest))
    assert "is an adapter of another base, base" in refused(*with_experts(safety=moved))


def test_an_expert_whose_base_is_known_otherwise(tmp_path: Path) -> None:
    """The hub's id to the expert, whose commit says who it is, and a folder to the recipe, whose content
    does: they may be the same. Said by its configuration, and by its training manifest."""
    cannot = "cannot be told from a commit and a hash: name the base as the expert does."
    folder = Path(shutil.copytree("safety", tmp_path / "hub"))
    _edited(folder / "adapter_config.json", base_model_name_or_path=STORIES)
    said = refused(*with_experts(safety=folder))
    assert f"hub is an adapter of {STORIES} ({resolve_subject(STORIES).base.commit:.12})" in said
    assert said.endswith(cannot)
    folder = Path(shutil.copytree("safety", tmp_path / "trained"))
    _edited(folder / "training_manifest.json", base={"name": "org/base", "weights": "a" * 40})
    said = refused(*with_experts(safety=folder))
    assert "trained is an adapter of org/base (aaaaaaaaaaaa), and whether base@" in said
    assert said.endswith(cannot)


def test_an_expert_of_other_shapes(tmp_path: Path) -> None:
    """Its configuration names the base, and its factors are of a wider one."""
    odd = expert(tmp_path / "odd", str(Path("base").absolute()), 7, 2)
    weights = load_file(odd / "adapter_model.safetensors")
    wide = {n: v.repeat(1, 2) if "lora_A" in n else v for n, v in weights.items()}
    save_file(wide, odd / "adapter_model.safetensors")
    said = refused(*with_experts(helpfulness=odd))
    assert "is not of this base: at model.layers.0.mlp.down_proj it goes from 128 to 32" in said


def test_an_expert_that_leaves_a_layer_out(tmp_path: Path) -> None:
    base = str(Path("base").absolute())
    one = expert(tmp_path / "one", base, 7, 2, layers_to_transform=[0])
    assert "model.layers.1.mlp.down_proj is a layer which the expert leaves out" in refused(
        *with_experts(safety=one)
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"target_modules": ["q_proj"]},
            "q_proj.lora_A.weight, and MidPO's experts are LoRA factors of",
        ),
        (
            {"target_modules": ["down_proj", "up_proj"]},
            "up_proj.lora_A.weight, and MidPO's experts",
        ),
        ({"use_dora": True}, "is no plain LoRA adapter (use_dora in its adapter_config.json)"),
        ({"rank_pattern": {"0.mlp.down_proj": 3}}, "is no plain LoRA adapter (rank_pattern"),
    ],
)
def test_an_adapter_that_is_no_expert(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    odd = expert(tmp_path / "odd", str(Path("base").absolute()), 7, 2, **changes)
    assert sentence in refused(*with_experts(safety=odd))


@pytest.mark.parametrize(
    ("experts", "sentence"),
    [
        (("base", "helpfulness"), "experts.safety: base is no LoRA adapter"),
        (("safety", "router"), "experts.helpfulness: router is no LoRA adapter"),
        (("safety", "safety"), "was trained by midpo_safety: name it in the other role"),
        (("helpfulness", "safety"), "was trained by midpo_helpfulness: name it in the other role"),
        (("nowhere/at/all", "safety"), "There is no model folder nowhere/at/all"),
    ],
)
def test_names_that_are_no_experts(experts: tuple[str, str], sentence: str) -> None:
    assert sentence in refused(*with_experts(*experts))


def test_one_adapter_in_both_roles(tmp_path: Path) -> None:
    one = expert(tmp_path / "one", str(Path("base").absolute()), 7, 2)
    assert "are the same adapter" in refused(*with_experts(one, one))


@pytest.mark.parametrize(
    ("recipe", "changes", "sentence"),
    [
        ("router", ["experts=null"], "experts and the objective midpo_router go together"),
        ("router", ["objective={name: dpo}"], "experts and the objective midpo_router go together"),
        ("router", ["lora={r: 4}"], "the router is trained: no lora, no train_only"),
        ("router", ["train_only=[router]"], "the router is trained: no lora, no train_only"),
        ("router", ["reference=live"], "the base as reference, scored once: leave reference out"),
        ("router", ["experts.harm=x"], "experts.harm: there is no such key"),
        (
            "safety",
            ["policy=helpful-only"],
            "midpo_safety is of pairs ordered as its margin is: give",
        ),
        ("helpfulness", ["policy=safety-only"], "give policy: helpful-only"),
        (
            "safety",
            [f"buffer={BUFFER}"],
            "no policy orders a buffer, whose order is by helpfulness",
        ),
    ],
)
def test_what_a_recipe_may_not_say(recipe: str, changes: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_recipe(f"two-cores/midpo-{recipe}", changes)


@pytest.mark.parametrize("recipe", ["helpfulness", "router"])
def test_a_buffer_by_helpfulness_is_in_the_order_of_the_others(recipe: str) -> None:
    """The helpfulness expert's margin is of that order; the router has no margin."""
    assert load_recipe(f"two-cores/midpo-{recipe}", [f"buffer={BUFFER}"]).buffer


def test_other_experts_do_not_go_on_with_what_was_begun(tmp_path: Path) -> None:
    """An expert that was trained anew in its place is another one."""
    folder = Path(shutil.copytree("safety", tmp_path / "safety"))
    shutil.copytree("router", tmp_path / "begun")
    _scaled(folder / "adapter_model.safetensors")
    said = refused(*with_experts(safety=folder)[:2], f"output={tmp_path / 'begun'}")
    assert "holds a training with another experts.safety" in said
    recipe = tmp_path / "begun" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("safety: safety", f"safety: {folder}"))
    said = refused(*with_experts(safety=folder)[:2], f"output={tmp_path / 'begun'}")
    assert "The safety expert changed since the training in" in said


def test_a_training_does_not_begin_with_a_router(tmp_path: Path) -> None:
    recipe = load_recipe("two-cores/bfpo", ["model=router", f"output={tmp_path}"])
    with pytest.raises(
        UserError, match=r"router is a router over LoRA experts, .* name its base, base"
    ):
        base_of(recipe, lambda text: None)


# A folder that was damaged


@pytest.mark.parametrize("file", ["router.safetensors", "safety/adapter_config.json"])
def test_a_folder_that_lacks_a_part(home: Path, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(home / "router", tmp_path / "router"))
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"The router router lacks {file}: restore it"):
        resolve_subject(str(folder))


def test_a_base_that_changed(home: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(home / "router", tmp_path / "router"))
    _edited(folder / "midpo.json", base_model_name_or_path=saved_model(tmp_path / "new", seed=3))
    with pytest.raises(UserError, match="new, the base of the router router, has other weights"):
        resolve_subject(str(folder))


def test_a_router_of_other_layers(home: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(home / "router", tmp_path / "router"))
    stored = load_file(folder / "router.safetensors")
    save_file(dict(list(stored.items())[:2]), folder / "router.safetensors")
    with pytest.raises(UserError, match="is not of this base: it holds other layers or sizes"):
        loaded(folder)
