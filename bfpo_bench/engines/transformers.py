"""The transformers engine: CPU and GPU. Answers in left-padded batches, probabilities in trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
    check_finite,
)
from bfpo_bench.engines.batching import Fitting, Halving, Room, RowSize, by_length
from bfpo_bench.engines.decoding import budgets, samplers
from bfpo_bench.engines.forest import Forest
from bfpo_bench.engines.isolation import answers
from bfpo_bench.engines.loading import described, load_model
from bfpo_bench.engines.prefix import Query
from bfpo_bench.engines.routed.folder import load_routed
from bfpo_bench.engines.source import ROUTED
from bfpo_bench.engines.steering.on_transformers import load_bias, subtracting
from bfpo_bench.engines.trees import Score, TreeReader
from bfpo_bench.errors import UserError

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
        self._bias = load_bias(files.bias, model.device)
        ceiling = int(files.arguments.get("batch_size", 64 if self.device.type == "cpu" else 256))
        self._rows = Halving(ceiling)
        self._size = RowSize.of(model)
        self._room = Room.of(model, self._size, ceiling)
        self._reader = TreeReader(model)

    @classmethod
    def load(cls, files: ModelFiles) -> TransformersEngine:
        """The model in `files.folder` with its adapter merged in; float32 on a CPU."""
        check_arguments(files.arguments)
        return cls(load_model(files, lambda dtype: _read(files, dtype)), files)

    def describe(self) -> dict[str, Any]:
        """Besides device, dtype and versions: what shares a forward pass, and the sizes of batches,
        which are halved each time that one does not fit."""
        return described(self.model) | {
            "shared_prefix": self._reader.describe(),
            "batch": {
                "rows": self._rows.rows,
                "tokens": self._room.tokens,
                "halved": self._rows.halved + self._room.halved,
            },
        }

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        """Batches of like-long prompts, the longest first, so that memory runs out at once or not at all."""
        lengths = [len(r.prompt) + r.max_new_tokens for r in requests]
        limits = Fitting(self._rows, lambda i: self._size.rows(lengths[i], predicted=1))
        yield from answers(
            by_length(lengths), limits, lambda rows: self._generate([requests[i] for i in rows])
        )

    def _generate(self, batch: list[GenerationRequest]) -> list[Generation]:
        self._check_tokens([r.prompt for r in batch])
        width = max(len(r.prompt) for r in batch)
        out = self._continue(
            [r.prompt for r in batch],
            max(r.max_new_tokens for r in batch),
            logits_processor=subtracting(self._bias, width) + samplers(batch),
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
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        """What requests share goes through the model once; see `prefix.py`."""
        for position, found in self._score([_of_scoring(r) for r in requests]):
            if isinstance(found, Failure):
                yield position, found
            else:
                logprobs, best = found
                yield position, Likelihood(sum(logprobs), all(best))

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        for position, found in self._score([_of_choice(r) for r in requests]):
            yield position, found if isinstance(found, Failure) else tuple(found[0])

    def _score(self, queries: Sequence[Query]) -> Iterator[tuple[int, Score | Failure]]:
        forest = Forest(queries, self._reader, self._room)
        order = by_length([len(query.tokens) for query in queries])

        def run(batch: Sequence[int]) -> list[Score]:
            self._check_tokens([queries[i].tokens for i in batch])
            self._check_tokens([queries[i].targets for i in batch])
            if any(queries[i].places[0] < 0 for i in batch):
                raise ValueError("the continuation has nothing before it")
            scores = forest.score(batch)
            for logprob in (value for logprobs, _ in scores for value in logprobs):
                check_finite(logprob)
            return scores

        yield from answers(order, forest, run)
        self._reader.forget()

    def _check_tokens(self, rows: Sequence[tuple[int, ...]]) -> None:
        """Raises ValueError for what the model cannot be fed: a GPU would be lost over it."""
        size = self.model.get_input_embeddings().weight.shape[0]
        for row in rows:
            if not row:
                raise ValueError("the prompt has no tokens")
            if max(row) >= size:
                raise ValueError(f"token {max(row)} is none of the {size} that the model knows")

    def close(self) -> None:
        del self.model


def _read(files: ModelFiles, dtype: str) -> Any:
    """The model by its class, its adapter merged in. Raises UserError where weights are missing."""
    from transformers import AutoModelForCausalLM

    model, loaded = AutoModelForCausalLM.from_pretrained(
        files.folder,
        dtype=dtype,
        output_loading_info=True,
        trust_remote_code=files.remote_code,
        use_safetensors=not files.pickle,
    )
    if absent := sorted(loaded["missing_keys"]):
        # They were filled at random, and the scores would be those of noise
        raise UserError(
            f"The weights in {files.folder} lack {len(absent)} that its config.json asks for "
            f"({absent[0]}, ...): complete the folder or mend its config.json."
        )
    if files.adapter is None:
        return model
    if (Path(files.adapter) / ROUTED).is_file():
        return load_routed(model, Path(files.adapter))
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, files.adapter)
    _check_adapter(model, files.adapter)
    return model.merge_and_unload()


def _of_scoring(request: ScoringRequest) -> Query:
    """The last token is only predicted. A continuation that is everything gets a place below 0."""
    size = len(request.tokens) - 1
    places = tuple(range(size - request.continuation, size))
    return Query(request.tokens[:-1], places, request.tokens[-request.continuation :])


def _of_choice(request: ChoiceRequest) -> Query:
    return Query(request.prompt, (len(request.prompt) - 1,) * len(request.options), request.options)


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
