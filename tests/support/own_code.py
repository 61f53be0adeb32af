"""Models that are more than data: with code of their own, and with weights in a pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CODE = """
from pathlib import Path
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification
from transformers import LlamaModel, PreTrainedTokenizerFast

with Path({marker!r}).open("a") as file:
    file.write("ran\\n")


class OwnConfig(LlamaConfig):
    model_type = "own"


class OwnModel(LlamaModel):
    config_class = OwnConfig


# Classifiers of transformers make their body so
AutoModel.register(OwnConfig, OwnModel)


class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig


class OwnForSequenceClassification(LlamaForSequenceClassification):
    config_class = OwnConfig


class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""


def change(file: Path, **values: Any) -> None:
    """Other values in a JSON file; None takes a key away."""
    told = json.loads(file.read_text()) | values
    file.write_text(json.dumps({k: v for k, v in told.items() if v is not None}))


def with_own_code(folder: Path, marker: Path, *, where: str = "") -> Path:
    """A Llama's `folder`, which then says that its classes are those of own_model.py; -> `folder`.

    That file notes in `marker` that it ran. `where` is written before the module's name.
    """
    (folder / "own_model.py").write_text(CODE.format(marker=str(marker)))
    told = json.loads((folder / "config.json").read_text())
    [architecture] = told["architectures"]
    head = architecture.removeprefix("Llama")
    module = f"{where}own_model"
    change(
        folder / "config.json",
        model_type="own",
        architectures=[f"Own{head}"],
        auto_map={"AutoConfig": f"{module}.OwnConfig", f"AutoModel{head}": f"{module}.Own{head}"},
    )
    return folder


def with_own_tokenizer(folder: Path, marker: Path) -> Path:
    """The same of its tokenizer."""
    (folder / "own_model.py").write_text(CODE.format(marker=str(marker)))
    change(
        folder / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": [None, "own_model.OwnTokenizer"]},
    )
    return folder


def pickled(folder: Path, stem: str = "model") -> Path:
    """The folder with its safetensors as the pickle that PyTorch makes of them; -> `folder`."""
    import torch
    from safetensors.torch import load_file

    name = "pytorch_model.bin" if stem == "model" else f"{stem}.bin"
    torch.save(load_file(folder / f"{stem}.safetensors"), folder / name)
    (folder / f"{stem}.safetensors").unlink()
    return folder


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def with_bomb(folder: Path, marker: Path, stem: str = "model") -> Path:
    """`pickled`, with something in it that makes `marker` where any pickle may do what it likes."""
    import torch
    from safetensors.torch import load_file

    tensors: dict[str, Any] = dict(load_file(folder / f"{stem}.safetensors"))
    pickled(folder, stem)
    [file] = folder.glob("*.bin")
    torch.save(tensors | {"more": Bomb(marker)}, file)
    return folder
