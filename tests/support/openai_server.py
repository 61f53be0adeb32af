"""A stand-in for an OpenAI-compatible server with a model, on 127.0.0.1, that fails as a test wants.

    with OpenAIServer() as server:                      # all that vLLM can do
    with OpenAIServer(VLLM, refusing={"echo"}) as server:    # 400 for whoever sends `echo`
    with OpenAIServer(respond=lambda asked, real: fails(503) if ... else real(asked)) as server:

The model is arithmetic: after a prompt whose tokens add up to `s`, token `t` has the logit
`-((t - s) % VOCABULARY) / 10`, so greedy decoding says the sum itself, and every number can be checked.
`Asked`, `Sent`, `fails` and `sends` are those of `judge_server`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from judge_server import Asked, JudgeServer, Sent, fails, sends

VOCABULARY = 100
STOP = 7
"""The model's own end: what is to be said stops there where the server knows."""
NORM = math.log(sum(math.exp(-i / 10) for i in range(VOCABULARY)))


def logprob(prompt: Sequence[int], token: int) -> float:
    """Of `token` after `prompt`, in nats."""
    return -((token - sum(prompt)) % VOCABULARY) / 10 - NORM


def greedy(prompt: Sequence[int], count: int, stop: Collection[int] = ()) -> list[int]:
    """The next tokens, the stop token with them."""
    said: list[int] = []
    while len(said) < count and not (said and said[-1] in stop):
        said.append((sum(prompt) + sum(said)) % VOCABULARY)
    return said


@dataclass(frozen=True)
class Software:
    """What a server takes and tells. `extensions`: the parameters beyond OpenAI's."""

    owner: str = "vllm"
    version: str = "0.32.0"
    window: int | None = 512
    echo: bool = True
    extensions: frozenset[str] = frozenset(
        ["return_token_ids", "stop_token_ids", "prompt_logprobs", "logprob_token_ids"]
    )
    """More of them than these are taken and have no effect."""
    switches: bool = True
    """Whether `top_k`, `min_p` and a penalty of repetitions have an effect: nonsense is refused then."""
    completions: bool = True
    chat: bool = True


VLLM = Software()
SGLANG = Software("sglang", "0.5", extensions=frozenset(["return_token_ids", "stop_token_ids"]))
LLAMA_CPP = Software("llamacpp", "b1", window=None, echo=False, extensions=frozenset())
HOSTED = Software(*("openai", "", None, False, frozenset()), switches=False, completions=False)


Real = Callable[[Asked], Sent]


class OpenAIServer(JudgeServer):
    """`name` is the model it serves, `key` what it wants in the header, `refusing` parameters that it
    answers with a 400 for; `respond(asked, real)` may answer otherwise than `real(asked)` does.

    `generated` are the requests for completions, without those for /models and /version.
    """

    def __init__(
        self,
        software: Software = VLLM,
        *,
        name: str = "tiny",
        key: str | None = None,
        refusing: Collection[str] = (),
        respond: Callable[[Asked, Real], Sent] | None = None,
    ) -> None:
        self.software, self.name, self.key, self.refusing = software, name, key, refusing
        super().__init__(lambda asked: respond(asked, self.real) if respond else self.real(asked))

    @property
    def generated(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.endswith("/completions")]

    def real(self, asked: Asked) -> Sent:
        """What the server replies when nothing fails."""
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            return fails(401, "Unauthorized")
        software = self.software
        card = {"id": self.name, "object": "model", "owned_by": software.owner}
        if software.window is not None:
            card["max_model_len"] = software.window  # type: ignore[assignment]
        if asked.path == "/v1/models":
            return sends({"object": "list", "data": [card]})
        if asked.path == "/version" and software.owner == "vllm":
            return sends({"version": software.version})
        if asked.path == "/health":
            return Sent(200)
        if asked.body.get("model", self.name) != self.name:
            return fails(
                404, f"The model `{asked.body['model']}` does not exist.", "model_not_found"
            )
        if software.switches and software.owner != "llamacpp" and asked.body.get("min_p", 0) > 1:
            return fails(400, "min_p must be in [0, 1]")
        if software.owner == "llamacpp" and asked.body.get("repeat_last_n", 0) < -1:
            return fails(400, "Error: repeat_last_n must be >= -1")
        if unwanted := [p for p in asked.body if p in self.refusing]:
            return fails(400, f"Unsupported parameter: '{unwanted[0]}'", "unsupported_parameter")
        if asked.path == "/v1/completions" and software.completions:
            return self._complete(asked.body)
        if asked.path == "/v1/chat/completions" and software.chat:
            return self._chat(asked.body)
        return fails(404, "Not Found")

    def _complete(self, body: dict[str, Any]) -> Sent:
        software = self.software
        if body.get("echo") and not software.echo:
            return fails(500, "Only no echo is supported")
        taken = {k: v for k, v in body.items() if k in software.extensions}
        if any(type(token) is not int for token in taken.get("stop_token_ids", ())):
            return fails(400, "stop_token_ids must be integers")
        prompt, count = body["prompt"], body.get("max_tokens", 16)
        if isinstance(prompt, str):
            prompt = list(prompt.encode())
        if software.window is not None and len(prompt) >= software.window:
            return fails(400, f"This model's maximum context length is {software.window} tokens.")
        stop = {*taken.get("stop_token_ids", ()), *(() if body.get("ignore_eos") else [STOP])}
        new = greedy(prompt, count, stop)
        choice: dict[str, Any] = {"index": 0, "text": "".join(f"<{t}>" for t in new)}
        choice["finish_reason"] = "stop" if new and new[-1] in stop else "length"
        if taken.get("return_token_ids"):
            choice |= {"token_ids": new, "prompt_token_ids": prompt}
        if taken.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = [None, *(_place(prompt, i) for i in range(1, len(prompt)))]
        if body.get("logprobs") is not None:
            begin = 0 if body.get("echo") else len(prompt)
            named = taken.get("logprob_token_ids", ())
            choice["logprobs"] = _logprobs([*prompt, *new], begin, named)
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(new)}
        return sends({"object": "text_completion", "choices": [choice], "usage": usage})

    def _chat(self, body: dict[str, Any]) -> Sent:
        """Says back what the last message said."""
        if not body.get("messages"):
            return fails(400, "messages must be given")
        text = body["messages"][-1]["content"]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": f"You said: {text}"},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": len(text), "completion_tokens": 3}
        return sends({"object": "chat.completion", "choices": [choice], "usage": usage})


def _place(tokens: Sequence[int], at: int) -> dict[str, Any]:
    """vLLM's `prompt_logprobs` of one position."""
    rank = (tokens[at] - sum(tokens[:at])) % VOCABULARY + 1
    return {
        str(tokens[at]): {
            "logprob": logprob(tokens[:at], tokens[at]),
            "rank": rank,
            "decoded_token": f"<{tokens[at]}>",
        }
    }


def _logprobs(tokens: Sequence[int], begin: int, named: Collection[int]) -> dict[str, Any]:
    """OpenAI's `logprobs` of the tokens from `begin` on: one likeliest token each, or those named."""
    values: list[float | None] = []
    tops: list[dict[str, float] | None] = []
    for at in range(begin, len(tokens)):
        before = tokens[:at]
        if not before:
            values.append(None)
            tops.append(None)
            continue
        values.append(logprob(before, tokens[at]))
        best = greedy(before, 1)[0]
        if named:
            tops.append({f"token_id:{t}": logprob(before, t) for t in named})
        else:
            tops.append({f"<{best}>": logprob(before, best)})
    shown = [f"<{t}>" for t in tokens[begin:]]
    return {"tokens": shown, "token_logprobs": values, "top_logprobs": tops}
