"""The transformers engine: CPU and GPU, left-padded batches sorted by length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
    check_finite,
)
from bfpo_bench.engines.batching import Halving, RowSize, by_length, is_out_of_memory
from bfpo_bench.engines.decoding import budgets, samplers
from bfpo_bench.errors import UserError, first_line

Q = TypeVar("Q")
A = TypeVar("A")

DTYPES = ("auto", "float32", "bfloat16", "float16")


class TransformersEngine:
    """`--engine-arg`: dtype (float32, bfloat16, float16), device, batch_size (rows, at most)."""

    name = "transformers"
    ARGUMENTS = ("dtype", "device", "batch_size", "max_model_len")

    def __init__(self, model: Any, files: ModelFiles) -> None:
        self.model = model
        self.device = model.device
        self._context = files.context
        self._stop = files.stop_tokens
        ceiling = int(files.arguments.get("batch_size", 64 if self.device.type == "cpu" else 256))
        self._rows = Halving(ceiling)
        self._size = RowSize.of(model)

    @classmethod
    def load(cls, files: ModelFiles) -> TransformersEngine:
        """The model in `files.folder` with its adapter merged in; float32 on a CPU."""
        import torch
        from transformers import AutoModelForCausalLM

        arguments = files.arguments
        check_arguments(arguments)
        device = arguments.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = arguments.get("dtype") or ("float32" if device == "cpu" else "auto")
        try:
            model, loaded = AutoModelForCausalLM.from_pretrained(
                files.folder, dtype=dtype, output_loading_info=True
            )
        except Exception as error:
            # Truncated weights alone raise half a dozen classes, safetensors' own among them
            if is_out_of_memory(error):
                raise
            reason = first_line(error)
            raise UserError(
                f"transformers cannot load {files.folder}: {reason}; check the folder's files."
            ) from error
        if absent := sorted(loaded["missing_keys"]):
            # They were filled at random, and the scores would be those of noise
            raise UserError(
                f"The weights in {files.folder} lack {len(absent)} that its config.json asks for "
                f"({absent[0]}, ...): complete the folder or mend its config.json."
            )
        if files.adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, files.adapter)
            _check_adapter(model, files.adapter)
            model = model.merge_and_unload()
        try:
            model = model.to(device)
        except (RuntimeError, AssertionError) as error:
            if is_out_of_memory(error):
                raise
            reason = first_line(error)
            raise UserError(
                f"--engine-arg device={device} cannot be used here ({reason}): name cpu or cuda:N."
            ) from error
        return cls(model.eval(), files)

    def describe(self) -> dict[str, Any]:
        import torch
        import transformers

        gpu = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else None
        return {
            "engine": self.name,
            "device": gpu or "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[int, Generation]]:
        """Batches of like-long prompts, the longest first, so that memory runs out at once or not at all."""
        lengths = [len(r.prompt) + r.max_new_tokens for r in requests]
        yield from self._batches(lengths, requests, self._generate, lambda length: 1)

    def _batches(
        self,
        lengths: Sequence[int],
        requests: Sequence[Q],
        run: Callable[[list[Q]], list[A]],
        predicted: Callable[[int], int],
    ) -> Iterator[tuple[int, A]]:
        """`predicted(length)`: how many positions of a row so long have their logits computed."""
        for batch in self._rows.batches(
            by_length(lengths),
            lambda rows: run([requests[i] for i in rows]),
            lambda i: self._size.rows(lengths[i], predicted(lengths[i])),
        ):
            yield from batch

    def _generate(self, batch: list[GenerationRequest]) -> list[Generation]:
        width = max(len(r.prompt) for r in batch)
        out = self._continue(
            [r.prompt for r in batch],
            max(r.max_new_tokens for r in batch),
            logits_processor=samplers(batch),
            stopping_criteria=budgets(batch, width),
        )
        return [
            _finished(tokens, request.max_new_tokens, self._stop)
            for tokens, request in zip(out[:, width:].tolist(), batch, strict=True)
        ]

    def _continue(self, prompts: Sequence[tuple[int, ...]], new: int, **options: Any) -> Any:
        """model.generate on left-padded prompts, with nothing of the model's own generation config."""
        import torch

        width = max(len(p) for p in prompts)
        pad = self._stop[0] if self._stop else 0
        ids = torch.full((len(prompts), width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        with torch.inference_mode():
            return self.model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=self._plain_config(new, pad),
                **options,
            )

    def _plain_config(self, new: int, pad: int) -> Any:
        """A generation config of ours alone: the model's own would bring its sampling defaults in."""
        from transformers import GenerationConfig

        # generate() fills what is left at None from the model's config, so neutral values are said
        # aloud; the model's must be neutral for the same reason.
        self.model.generation_config = GenerationConfig()
        return GenerationConfig(
            max_new_tokens=new,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            eos_token_id=list(self._stop) or None,
            pad_token_id=pad,
        )

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood]]:
        lengths = [len(r.tokens) for r in requests]
        yield from self._batches(lengths, requests, self._score, lambda length: length)

    def _score(self, batch: list[ScoringRequest]) -> list[Likelihood]:
        """Right-padded rows; log-softmax only where a continuation token is predicted."""
        import torch

        width = max(len(r.tokens) for r in batch) - 1
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        for row, request in enumerate(batch):
            ids[row, : len(request.tokens) - 1] = torch.tensor(request.tokens[:-1])
        scores = []
        with torch.inference_mode():
            # Right padding cannot be attended to from the left by a causal model: no mask needed,
            # and lm-eval's HF backend passes none
            logits = self.model(ids.to(self.device), use_cache=False).logits
            for row, request in enumerate(batch):
                end = len(request.tokens) - 1
                target = torch.tensor(request.tokens[-request.continuation :], device=logits.device)
                at = logits[row, end - request.continuation : end].float().log_softmax(-1)
                total = at.gather(-1, target[:, None]).sum().item()
                scores.append(Likelihood(total, bool((at.argmax(-1) == target).all())))
        for score in scores:
            check_finite(score.logprob)
        return scores

    def choices(self, requests: Sequence[ChoiceRequest]) -> Iterator[tuple[int, tuple[float, ...]]]:
        lengths = [len(r.prompt) + 1 for r in requests]
        yield from self._batches(lengths, requests, self._choose, lambda length: 1)

    def _choose(self, batch: list[ChoiceRequest]) -> list[tuple[float, ...]]:
        """One step of generate(), which computes logits of the last position alone: those as they
        come from the model, before anything processes them."""
        out = self._continue(
            [r.prompt for r in batch], 1, output_logits=True, return_dict_in_generate=True
        )
        logprobs = out.logits[0].float().log_softmax(-1)
        found = [
            tuple(logprobs[row, list(request.options)].tolist())
            for row, request in enumerate(batch)
        ]
        for logprob in (value for values in found for value in values):
            check_finite(logprob)
        return found

    def close(self) -> None:
        del self.model


def _check_adapter(model: Any, adapter: str) -> None:
    """Raises UserError where the adapter's file lacks what its configuration says: peft would leave
    those parts as they were initialised, and the scores would be the base's."""
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    stored = load_peft_weights(adapter, device="cpu")
    if absent := sorted(set(get_peft_model_state_dict(model)) - set(stored)):
        raise UserError(
            f"The adapter in {adapter} lacks {len(absent)} weights that its adapter_config.json asks "
            f"for ({absent[0]}, ...): save it again with save_pretrained()."
        )


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raises UserError for an engine argument that is unknown here or cannot be what it says."""
    known = TransformersEngine.ARGUMENTS
    if unknown := sorted(set(arguments) - set(known)):
        raise UserError(
            f"The transformers engine has no argument {unknown[0]!r}: "
            f"--engine-arg takes {', '.join(known)}."
        )
    dtype, rows = arguments.get("dtype", "auto"), arguments.get("batch_size", 1)
    if dtype not in DTYPES:
        raise UserError(
            f"--engine-arg dtype={dtype} is none of {', '.join(DTYPES)}: name one of them."
        )
    if not isinstance(rows, int) or rows < 1:
        raise UserError(f"--engine-arg batch_size={rows} is not a number of rows: give 1 or more.")


def _finished(tokens: list[int], budget: int, stop: tuple[int, ...]) -> Generation:
    tokens = tokens[:budget]
    ends = [i for i, t in enumerate(tokens) if t in stop]
    if ends:
        return Generation(tuple(tokens[: ends[0]]), "stop")
    return Generation(tuple(tokens), "length")
