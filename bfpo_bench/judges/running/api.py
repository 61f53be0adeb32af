"""Judges behind an OpenAI-compatible server: hosted ones, or a local `vllm serve`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from bfpo_bench.api.faults import Unanswered
from bfpo_bench.api.key import Key
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.adapting import notes
from bfpo_bench.judges.api.asking import replies
from bfpo_bench.judges.api.client import Client
from bfpo_bench.judges.api.cost import Estimate, Ledger, Price, Tokens, at_most
from bfpo_bench.judges.api.inert import inert
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.api.server import JUDGE, Server
from bfpo_bench.judges.api.wire import Decoding
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.judge import Judge, Parser
from bfpo_bench.judges.prompts import fill
from bfpo_bench.judges.running.pairwise import (
    Question,
    compared,
    questions,
    shown,
    without_asking,
)
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress, Report


def findings(
    work: Work, items: Sequence[Item], description: dict[str, Any], report: Report
) -> Iterator[tuple[int, Finding]]:
    """(position, finding) as the replies come.

    `description` gets the server's URL, the `estimate` before the first request, the true `usage`
    when asking ends, however it ends, `decoding`: in what form the model wanted the request, where
    that is not the usual one, and `read_from_text`: replies without the log-probabilities that the
    judge asked for. Raises UserError, before anything is asked, where the estimate is above
    --max-cost, and later for what no further request would mend.
    """
    judge, server = work.judge, work.server
    assert server is not None
    positions: list[int] = []
    for position, item in enumerate(items):
        known = _known(judge, item)
        if known is None:
            positions.append(position)
        else:
            yield position, known
    asked = _Asked(work, items, list(questions(items, positions, judge.spec.pairwise)))
    if not asked.questions:
        return
    price = server.price
    estimate = Estimate.of(
        (asked.limits(asked.text(n)) for n in range(len(asked.questions))), price
    )
    _check(judge, server, price, estimate)
    description |= {"url": server.url, "model": judge.model, "estimate": estimate.describe()}
    report(Progress(f"asking {judge.model} at {server.url}: {estimate.sentence()}"))
    ledger = Ledger(price, server.max_cost)
    wanted = _decoding(judge)
    client = Client(server, wanted, Key.from_environment(JUDGE), ledger)
    came = replies(client, server, ledger, asked.text, asked.limits, len(asked.questions))
    try:
        with closing(came):
            yield from asked.findings(came)
    finally:
        description["usage"] = _usage(client, ledger)
        if client.decoding != wanted:
            description["decoding"] = notes(wanted, client.decoding)
        if judge.spec.logprobs:
            description["read_from_text"] = asked.read_from_text


def _known(judge: Judge, item: Item) -> Finding | None:
    """The finding about an item that the judge need not, or cannot, be asked about."""
    shown_fields = [s.partition(".")[2] for s in judge.spec.fields.values() if "." in s]
    if any((item.document or {}).get(field) is None for field in shown_fields):
        error = "the response was stored without the document that the prompt shows"
        return Finding("unjudged", error=error)
    return without_asking(item) if judge.spec.pairwise else None


def _decoding(judge: Judge) -> Decoding:
    spec = judge.spec
    return Decoding(judge.model or "", spec.max_new_tokens, spec.temperature, spec.logprobs)


def _check(judge: Judge, server: Server, price: Price | None, estimate: Estimate) -> None:
    """Raises UserError where the cost is limited, and would not or might not stay below the limit."""
    if server.max_cost is None:
        return
    if price is None or estimate.cost is None:
        raise UserError(
            f"--max-cost needs the price of {judge.model}, which is not known: give --judge-price "
            "IN,OUT in USD per million tokens."
        )
    if estimate.cost > server.max_cost:
        raise UserError(
            f"Judge {judge.key} may cost ${estimate.cost:.4g} ({estimate.sentence()}), and "
            f"--max-cost is ${server.max_cost:.4g}: raise it, or judge fewer responses."
        )


def _usage(client: Client, ledger: Ledger) -> dict[str, Any]:
    """What was sent and what it took. `estimated`: how many replies and attempts sent in vain the
    server counted no tokens of; a vain one is taken to have cost all it could."""
    return {
        "requests": client.requests,
        "retries": client.retries,
        "prompt_tokens": ledger.spent.prompt,
        "completion_tokens": ledger.spent.completion,
        "cost": ledger.cost,
        "estimated": ledger.estimated,
    }


class _Asked:
    """The questions, the texts that ask them, and the findings that their replies add up to."""

    def __init__(self, work: Work, items: Sequence[Item], asked: list[Question]) -> None:
        assert work.prompt is not None
        self._judge, self._template, self._items = work.judge, work.prompt.text, items
        self._parse: Parser = work.judge.parse()
        self.questions = asked
        self.read_from_text = 0
        _check_placeholders(work.judge, self._template)

    def text(self, number: int) -> str:
        question = self.questions[number]
        item = self._items[question.position]
        first, second = (inert(answer) for answer in shown(item, question.order))
        return fill(
            self._template,
            self._judge.spec.fields,
            inert(item.prompt),
            first,
            baseline=second,
            document={name: inert(str(value)) for name, value in (item.document or {}).items()},
        )

    def limits(self, text: str) -> Tokens:
        return at_most(text, self._judge.spec.max_new_tokens)

    def findings(
        self, came: Iterator[tuple[int, Reply | Unanswered]]
    ) -> Iterator[tuple[int, Finding]]:
        """A finding as soon as all replies about its item are here."""
        wanted = 2 if self._judge.spec.pairwise == "both" else 1
        partly: dict[int, dict[str, Finding]] = {}
        for number, reply in came:
            question, found = self.questions[number], self._read(reply)
            if question.order is None:
                yield question.position, found
                continue
            parts = partly.setdefault(question.position, {})
            parts[question.order] = found
            if len(parts) == wanted:
                yield question.position, compared(partly.pop(question.position))

    def _read(self, reply: Reply | Unanswered) -> Finding:
        if isinstance(reply, Unanswered):
            return Finding("unjudged", error=str(reply), fault=reply.fault)
        if self._judge.spec.logprobs and reply.top_logprobs is None:
            self.read_from_text += 1
        if reply.unsaid is not None:
            return Finding("unjudged", raw=reply.refusal or reply.text, error=reply.unsaid)
        return self._judge.checked(self._parse(reply), reply.text)


def _check_placeholders(judge: Judge, template: str) -> None:
    """Raises UserError for a prompt that lacks a field: the judge would not see what it judges."""
    lacking = set(judge.spec.fields) - set(re.findall(r"\{(\w+)\}", template))
    lacking -= {f for f, source in judge.spec.fields.items() if source == "behaviour"}
    if lacking:
        raise UserError(
            f"The prompt of judge {judge.spec.name} lacks {{{min(lacking)}}}, one of its fields: "
            "put it into prompt.txt, or take it out of judge.yaml."
        )
