"""What no recipe may say, each in one sentence, before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import environment

from bfpo_bench.errors import UserError
from bfpo_bench.training.recipe import load_recipe

PREFERENCE = "two-cores/bfpo"
SFT = "mistral-7b/sft"


def refusal(recipe: str, *changes: str) -> str:
    with pytest.raises(UserError) as error:
        load_recipe(recipe, changes)
    return str(error.value)


def written(folder: Path, text: str) -> str:
    file = folder / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    # Nothing of that name
    "recipe": (("two-core/bfpo",), "no recipe two-core/bfpo (did you mean two-cores/bfpo"),
    "folder": (("two-cores",), "did you mean two-cores/bfpo"),
    "no equals sign": ((PREFERENCE, "output"), "'output' is not key=value"),
    "no key": ((PREFERENCE, "=3"), "'=3' is not key=value"),
    "not YAML": ((PREFERENCE, "name=[1"), "'name=[1' is not YAML"),
    "no such day": ((PREFERENCE, "name=2024-13-45"), "'name=2024-13-45' is not YAML"),
    # Unknown keys
    "unknown": ((PREFERENCE, "modl=x"), "modl: there is no such key (did you mean model"),
    "misplaced": ((PREFERENCE, "learning_rate=1"), "did you mean training.learning_rate"),
    "of training": (
        (PREFERENCE, "training.learning_rat=1"),
        "training.learning_rat: there is no such key (did you mean learning_rate",
    ),
    "of data": ((PREFERENCE, "data.0.fracton=1"), "data.0.fracton: there is no such key (did you"),
    "of buffer": ((PREFERENCE, "buffer.0.splt=x"), "did you mean split"),
    "of lora": (
        (PREFERENCE, "train_only=null", "lora.rank=4"),
        "lora.rank: there is no such key (known: r, lora_alpha, lora_dropout, target_modules)",
    ),
    "of margin": ((PREFERENCE, "margin.modl=m"), "margin.modl: there is no such key (did you mean"),
    "of objective": ((PREFERENCE, "objective.taau=1"), "no parameter 'taau' (did you mean tau?)"),
    "no such row": ((PREFERENCE, "data.3.limit=1"), "the recipe has no data.3.limit"),
    "no number": ((PREFERENCE, "data.first.limit=1"), "the recipe has no data.first.limit"),
    "a number for a key": ((PREFERENCE, "0=5"), "0: Keys should be strings"),
    "superscript": ((PREFERENCE, "data.².limit=1"), "the recipe has no data.².limit"),
    "inside a number": (
        (PREFERENCE, "training=3", "training.max_steps=3"),
        "the recipe has no training.max_steps",
    ),
    # Wrong types
    "text for a number": (
        (PREFERENCE, "training.learning_rate=fast"),
        "training.learning_rate: Input should be a valid number",
    ),
    "quoted": ((PREFERENCE, "training.learning_rate='0.1'"), "should be a valid number"),
    "float for an int": (
        (PREFERENCE, "training.max_steps=1.5"),
        "training.max_steps: Input should be a valid integer",
    ),
    "bool for an int": ((PREFERENCE, "training.save_steps=true"), "should be a valid integer"),
    "int for a bool": (
        (PREFERENCE, "training.gradient_checkpointing=1"),
        "should be a valid boolean",
    ),
    "number for text": ((PREFERENCE, "model=3"), "model: Input should be a valid string"),
    "text for a list": ((PREFERENCE, "train_only=down_proj"), "should be a valid list"),
    "number for a mapping": (
        (PREFERENCE, "training=3"),
        "training: it must be a mapping of keys to values",
    ),
    "text for a parameter": ((PREFERENCE, "objective.tau=small"), "finite number as tau"),
    "text for an objective": ((PREFERENCE, "objective=bfpo"), "objective: Input should be"),
    # Out of range
    "no rate": ((PREFERENCE, "training.learning_rate=0"), "should be greater than 0"),
    "endless rate": ((PREFERENCE, "training.learning_rate=.inf"), "should be a finite number"),
    "no steps": ((PREFERENCE, "training.max_steps=0"), "greater than or equal to 1"),
    "no data": ((PREFERENCE, "data=[]"), "data: List should have at least 1 item"),
    "nothing trained": ((PREFERENCE, "train_only=[]"), "train_only: List should have at least 1"),
    "seed": ((PREFERENCE, "seed=4294967296"), "seed: Input should be less than 4294967296"),
    "stage": ((PREFERENCE, "stage=stf"), "stage: Input should be 'sft' or 'preference'"),
    "alpha 0": ((PREFERENCE, "objective.alpha=0"), "needs alpha between 0 and 1, not 0"),
    "alpha 1": ((PREFERENCE, "objective.alpha=1.0"), "needs alpha between 0 and 1, not 1"),
    "b1": ((PREFERENCE, "objective.b1=1"), "needs b1 above 1"),
    "tau": ((PREFERENCE, "objective.tau=0"), "needs tau above 0"),
    # Impossible combinations
    "lora beside train_only": (
        (PREFERENCE, "lora={r: 4}"),
        "train_only and lora cannot be combined",
    ),
    "packed pairs": ((PREFERENCE, "packing=true"), "packing is for the sft stage"),
    "dropout of pairs": (
        (PREFERENCE, "train_only=null", "lora.lora_dropout=0.1"),
        "lora_dropout is for the sft stage",
    ),
    "no objective": ((PREFERENCE, "objective=null"), "the preference stage needs objective"),
    "nameless objective": ((PREFERENCE, "objective={tau: 1}"), "needs objective, such as {name:"),
    "unknown objective": (
        (PREFERENCE, "objective={name: bpfo}"),
        "no objective 'bpfo' (did you mean bfpo",
    ),
    "unknown policy": (
        (PREFERENCE, "objective={name: dpo}", "policy=mixd"),
        "there is no policy 'mixd' (did you mean mixed?)",
    ),
    "bfpo in another order": ((PREFERENCE, "policy=mixed"), "leave policy out"),
    "safedpo in no order": (
        (PREFERENCE, "objective={name: safedpo}"),
        "the objective safedpo is defined on pairs of policy: safedpo",
    ),
    "margin for none": (
        (PREFERENCE, "margin={model: m}"),
        "margin: the objective bfpo asks for none",
    ),
    "margin of a live reference": (
        (PREFERENCE, "objective={name: modpo}", "margin={model: m}", "reference=live"),
        "margin scores the pairs once, before training",
    ),
    "no room": (
        (PREFERENCE, "max_prompt_length=256"),
        "max_prompt_length must be below max_length",
    ),
    "buffer": ((SFT, "buffer=[{source: pku-saferlhf}]"), "buffer is for the preference stage"),
    "policy": ((SFT, "policy=mixed"), "policy is for the preference stage"),
    "objective": ((SFT, "objective={name: dpo}"), "objective is for the preference stage"),
    "empty objective": ((SFT, "objective={}"), "objective is for the preference stage"),
    "reference": ((SFT, "reference=live"), "reference is for the preference stage"),
    "margin": ((SFT, "margin={model: m}"), "margin is for the preference stage"),
    "cache": ((SFT, "reference_cache=c"), "reference_cache is for the preference stage"),
    "prompt": ((SFT, "max_prompt_length=64"), "max_prompt_length is for the preference stage"),
    # Sources that do not fit the stage
    "single responses": ((PREFERENCE, "data=[{source: ultrachat}]"), "ultrachat has single"),
    "in the buffer": ((PREFERENCE, "buffer=[{source: beavertails}]"), "beavertails has single"),
    "target": ((PREFERENCE, "data.0.target=safer"), "pairs keep both responses"),
    "no labels": ((PREFERENCE, "buffer.0.assume_safe=false"), "ultrafeedback has no safety labels"),
    "no target": ((SFT, "data=[{source: pku-saferlhf}]"), "set target to chosen"),
    "labels": ((SFT, "data.1.assume_safe=true", "data.1.target=null"), "has assume_safe"),
    "no file": ((PREFERENCE, "data=[{source: jsonl}]"), "source jsonl needs path"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_sentence(case: str) -> None:
    command, words = REFUSED[case]
    said = refusal(*command)
    assert words in said
    assert "\n" not in said
    assert said.endswith(".")


def test_before_anything_is_loaded(tmp_path: Path) -> None:
    """A process that may not connect anywhere refuses them all, and has imported nothing that
    reads models, data or the hub by then."""
    script = (
        "import json, sys\n"
        "def hook(event, found):\n"
        "    assert not event.startswith(('socket.connect', 'socket.getaddrinfo')), event\n"
        "sys.addaudithook(hook)\n"
        "from bfpo_bench.errors import UserError\n"
        "from bfpo_bench.training.recipe import load_recipe\n"
        "for recipe, *changes in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        load_recipe(recipe, [*changes, 'model=nobody/no-such-model'])\n"
        "    except UserError:\n"
        "        continue\n"
        "    raise SystemExit(f'{recipe} {changes} went through')\n"
        "print(*({m.partition('.')[0] for m in sys.modules}))\n"
    )
    commands = [command for command, _ in REFUSED.values() if "model=3" not in command]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaders = {"transformers", "datasets", "huggingface_hub", "peft", "trl", "accelerate"}
    assert not loaders & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list\n", "is no mapping of keys to values"),
        ("", "is no mapping of keys to values"),
        ("name: [1\n", "cannot be read"),
        ("name: 2024-13-45\n", "cannot be read (month must be in 1..12)"),
        ("{}", "name: it is missing"),
        ("modl: m\n", "modl: there is no such key (did you mean model"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(written(tmp_path, text))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"name: \xff\xfe")
    assert "cannot be read" in refusal(str(file))
