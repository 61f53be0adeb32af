"""Loading a model with transformers, whatever its head: where to, in which dtype, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.batching import is_out_of_memory
from bfpo_bench.errors import UserError, first_line


def load_model(files: ModelFiles, read: Callable[[str], Any]) -> Any:
    """`read(dtype)`, which has the model of `files.folder`, on its device and ready to answer.

    `files.arguments` may say dtype and device; a CPU gets float32. Raises UserError for files that
    cannot be read and a device that cannot be used; memory that runs out is raised as it is.
    """
    import torch

    device = files.arguments.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = files.arguments.get("dtype") or ("float32" if device == "cpu" else "auto")
    try:
        model = read(dtype)
    except Exception as error:
        # Truncated weights alone raise half a dozen classes, safetensors' own among them
        if is_out_of_memory(error) or isinstance(error, UserError):
            raise
        reason = first_line(error)
        raise UserError(
            f"transformers cannot load {files.folder}: {reason}; check the folder's files."
        ) from error
    try:
        model = model.to(device)
    except (RuntimeError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        reason = first_line(error)
        raise UserError(
            f"--engine-arg device={device} cannot be used here ({reason}): name cpu or cuda:N."
        ) from error
    return model.eval()


def described(model: Any) -> dict[str, Any]:
    """Device, dtype and library versions, for the manifest."""
    import torch
    import transformers

    on_gpu = model.device.type == "cuda"
    return {
        "engine": "transformers",
        "device": torch.cuda.get_device_name(model.device) if on_gpu else "cpu",
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
