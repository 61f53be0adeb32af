"""What the page shows of one document: its prompts once, and each run's answer to them.

The shapes (see `generative` and `discriminative`) are what static/responses/*.js reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs.records import Response, Verdict


@dataclass
class Document:
    """One document as it grows, row by row. Runs that asked it in other words have prompts of their
    own."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    _prompts: dict[str, Any] = field(default_factory=dict)

    def add(self, prompt: Any, row: dict[str, Any]) -> None:
        told = json.dumps(prompt)
        self._prompts.setdefault(told, prompt)
        number = list(self._prompts).index(told)
        self.rows.append(row | {"prompt": number} if number else row)

    def dump(self) -> dict[str, Any]:
        """`prompts`: the different ones; `rows` in the order in which they came, `prompt` being the
        place of theirs, 0 where they have none."""
        return {"prompts": list(self._prompts.values()), "rows": self.rows}


def generative(line: bytes, verdicts: Mapping[int, bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(prompt, row) of a stored response. `verdicts`: the judge's number -> its stored line.

    Prompt: `messages`, the last of which is the assistant's where its answer was started, and `kept`
    of the document where judges were shown it. Row: `text`, and where there is one `trace` (then `text`
    is without it), `error`; `finish`, `tokens`; `verdicts`, each with `judge` and what it said, empty
    fields left out.
    """
    response = Response.load(_record(line))
    answer = strip_reasoning(response.response, opened=response.reasoning_open)
    row = {
        "text": answer.text if answer.trace else response.response,
        "trace": answer.trace,
        "error": response.error,
        "finish": response.finish_reason,
        "tokens": response.response_tokens,
        "engine": response.engine,
        "cut": response.prompt_cut,
        "verdicts": [_verdict(judge, told) for judge, told in verdicts.items()],
    }
    prompt = {"messages": response.conversation, "kept": response.document}
    return _present(prompt), {"text": row["text"]} | _present(row)


def _verdict(judge: int, line: bytes) -> dict[str, Any]:
    found = Verdict.load(_record(line))
    told = {"score": _finite(found.score), "raw": found.raw, "error": found.error}
    return (
        {"judge": judge}
        | {k: v for k, v in told.items() if v is not None}
        | _present({"answers": found.answers})
    )


def discriminative(line: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """(prompt, row) of one of lm-eval's samples of a task that is answered by likelihoods.

    Prompt: `context` where all requests share it, else `contexts`; `choices`, `target` as lm-eval
    states it. Row: `logprobs` of the choices in nats.
    """
    sample = _record(line)
    requests: Sequence[Sequence[str]] = [a for a in sample["arguments"] if len(a) > 1]
    contexts = [str(request[0]) for request in requests]
    shared = len(set(contexts)) == 1
    prompt: dict[str, Any] = {"context": contexts[0]} if shared else {"contexts": contexts}
    prompt |= {"choices": [str(r[1]) for r in requests], "target": str(sample["target"])}
    return prompt, {"logprobs": [_finite(r[0]) for r in sample["filtered_resps"]]}


def _present(told: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in told.items() if v}


def _finite(number: Any) -> float | None:
    """JSON has no infinity, and a page no use for sixteen digits."""
    value = None if number is None else float(number)
    return None if value is None or value - value != 0 else float(f"{value:.6g}")


def _record(line: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(line)
    except ValueError:
        # Lone surrogates and NaN, which msgspec refuses
        found = json.loads(line)
    return found
