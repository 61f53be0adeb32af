"""The server engine: models behind OpenAI-compatible servers, asked by token ids or by messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from bfpo_bench.api.key import Key
from bfpo_bench.api.patience import Patience
from bfpo_bench.engines.base import (
    ChoiceRequest,
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
)
from bfpo_bench.engines.server.arguments import ServerArguments, check_server_arguments
from bfpo_bench.engines.server.capabilities import Capabilities, common
from bfpo_bench.engines.server.control import control, control_scoring, control_step
from bfpo_bench.engines.server.crowd import Ask, Crowd
from bfpo_bench.engines.server.look import look_at_all
from bfpo_bench.engines.server.needs import ABOVE_ITS_OWN, check_shaping
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.engines.server.scoring import read_step, read_whole, step_body, whole_body
from bfpo_bench.engines.server.upstream import Upstream
from bfpo_bench.engines.server.wire import generation_body, read_generation
from bfpo_bench.engines.vllm_scoring import Step, StepAnswer, Tally, steps
from bfpo_bench.errors import UserError

PATIENCE = Patience(failing_attempts=5)
_COMPLETIONS, _CHAT = "/completions", "/chat/completions"

K = TypeVar("K")


class ServerEngine:
    """`--engine-arg` takes concurrency (requests at once at one server) and timeout (seconds)."""

    name = "server"

    def __init__(
        self,
        found: Sequence[Capabilities],
        files: ModelFiles,
        key: Key,
        arguments: ServerArguments = ServerArguments(),
        patience: Patience = PATIENCE,
    ) -> None:
        patience = replace(patience, answering=arguments.timeout)
        self._able = common(found)
        self._stop, self._key = files.stop_tokens, key
        self._crowd = Crowd(
            [Upstream(one.url, one.name, key, arguments.concurrency, patience) for one in found],
            patience,
        )

    @classmethod
    def connect(cls, files: ModelFiles) -> ServerEngine:
        """Looks at all of `files.remote.servers`.

        Raises UserError for arguments that servers do not take, and for a server that is not there,
        not ready, wants another key, or has no such model.
        """
        arguments = check_server_arguments(files.arguments)
        key = Key.from_environment(SUBJECT)
        found = look_at_all(files.remote.servers, files.remote.served, key)
        for one in found:
            check_shaping(one, chat=arguments.api == "chat")
        return cls(found, files, key, arguments)

    def describe(self) -> dict[str, Any]:
        """`concurrency` maps the servers to the requests at once that they were found to take, `gone`
        those that answered no more while others did to their last failure."""
        able, upstreams = self._able, self._crowd.upstreams
        software, _, version = (able.software or "").partition(" ")
        described = {
            "engine": self.name,
            "servers": [u.url for u in upstreams],
            "served": able.name,
            "software": able.software,
            "device": "server",
            "dtype": None,
            "versions": {software: version} if version else {},
            "concurrency": {u.url: u.level.limit for u in upstreams},
            "retries": self._crowd.retries,
        }
        if left_out := sorted({name for u in upstreams for name in u.form.left_out}):
            described["left_out"] = left_out
        if len(upstreams) > 1 and (gone := {u.url: u.failed for u in upstreams if u.gone}):
            described["gone"] = gone
        return described

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        self._check_generation(requests)
        refused: list[tuple[int, Failure]] = []
        needed = (0 if r.messages else len(r.prompt) + r.max_new_tokens for r in requests)
        fitting = self._fitting(enumerate(needed), refused)
        yield from self._crowd.stream(
            (self._generation(i, requests[i]) for i in fitting),
            lambda i: self._generation(i, control(requests[i])),
        )
        yield from refused

    def _generation(self, position: int, request: GenerationRequest) -> Ask[int, Generation]:
        return Ask(
            position,
            _CHAT if request.messages else _COMPLETIONS,
            generation_body(self._able, request, self._stop),
            partial(read_generation, request=request, stop=self._stop, key=self._key),
        )

    def _check_generation(self, requests: Sequence[GenerationRequest]) -> None:
        able = self._able
        if any(r.messages for r in requests) and not able.chat:
            raise UserError(
                f"The server {able.url} does not chat (it has no /chat/completions): name one that "
                "does with --server."
            )
        if any(not r.messages for r in requests) and not able.token_prompts:
            raise UserError(
                f"The server {able.url} takes no token ids as a prompt: name one that does, like "
                "`vllm serve`, with --server."
            )

    def _fitting(
        self, needed: Iterable[tuple[K, int]], refused: list[tuple[K, Failure]]
    ) -> Iterator[K]:
        """The keys of what fits into the servers' window, by the tokens needed; the others join
        `refused`: a server would cut them, or their answers, without a word."""
        window = self._able.context
        for key, tokens in needed:
            if window is None or tokens <= window:
                yield key
            else:
                reason = (
                    f"it needs {tokens} tokens and the server {self._able.url} takes {window}: "
                    f"start it with --max-model-len {tokens}{ABOVE_ITS_OWN}"
                )
                refused.append((key, Failure(reason, fault=True)))

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        """Raises UserError where the server tells no log-probabilities of a prompt."""
        able = self._able
        if requests and not able.likelihoods:
            raise UserError(
                f"The server {able.url} gives no log-probabilities of a prompt, which "
                "discriminative tasks need: leave them out with --tasks, or name a server that "
                "gives them, like `vllm serve`."
            )
        if able.prompt_logprobs and able.logprob_token_ids:
            yield from self._by_steps(requests)
        else:
            yield from self._whole(requests)

    def _by_steps(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        """The last token of a continuation is never fed: a window of the context and one will do."""
        tally = Tally(requests)
        refused: list[tuple[Step, Failure]] = []
        fitting = self._fitting(((s, len(s.prompt) + 1) for s in steps(requests)), refused)
        answers = self._crowd.stream(
            (self._step(step) for step in fitting), lambda step: self._step(control_step(step))
        )
        for step, answer in answers:
            if isinstance(answer, Failure):
                yield from tally.fail(step, answer)
            else:
                yield from tally.add(step, answer)
        for step, refusal in refused:
            yield from tally.fail(step, refusal)

    def _step(self, step: Step) -> Ask[Step, StepAnswer]:
        read = partial(read_step, step=step, key=self._key)
        return Ask(step, _COMPLETIONS, step_body(self._able, step), read)

    def _whole(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        refused: list[tuple[int, Failure]] = []
        fitting = self._fitting(enumerate(len(r.tokens) + 1 for r in requests), refused)
        yield from self._crowd.stream(
            (self._scoring(i, requests[i]) for i in fitting),
            lambda i: self._scoring(i, control_scoring(requests[i])),
        )
        yield from refused

    def _scoring(self, position: int, request: ScoringRequest) -> Ask[int, Likelihood]:
        read = partial(read_whole, request=request, key=self._key)
        return Ask(position, _COMPLETIONS, whole_body(self._able, request), read)

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """Each option is a continuation of its prompt, of one token."""
        places = [(i, n) for i, r in enumerate(requests) for n in range(len(r.options))]
        scoring = [
            ScoringRequest((*requests[i].prompt, requests[i].options[n]), 1) for i, n in places
        ]
        found: dict[int, dict[int, Likelihood | Failure]] = {}
        for place, likelihood in self.loglikelihoods(scoring):
            position, option = places[place]
            mine = found.setdefault(position, {})
            mine[option] = likelihood
            if len(mine) == len(requests[position].options):
                yield position, _together(found.pop(position))

    def close(self) -> None:
        """Connections live no longer than the requests that they were opened for."""


def _together(found: dict[int, Likelihood | Failure]) -> tuple[float, ...] | Failure:
    values: list[float] = []
    for option in range(len(found)):
        one = found[option]
        if isinstance(one, Failure):
            return one
        values.append(one.logprob)
    return tuple(values)
