"""What a judge's model is asked about one item: filled, templated, and cut where it must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.prompts import fill
from bfpo_bench.judges.running.work import Work

_CUTS = 4
"""Times that a response is shortened before its prompt is given up: texts do not always lose as many
tokens as were cut from them."""


@dataclass(frozen=True)
class Wording:
    """A prompt as text. `special`: the tokenizer puts its own tokens (BOS) around it, because the text
    does not bring them itself."""

    text: str
    special: bool

    def tokens(self, tokenizer: Any) -> list[int]:
        return list(tokenizer.encode(self.text, add_special_tokens=self.special))


def judge_prompt(work: Work, tokenizer: Any, context: int, item: Item) -> list[int] | Finding:
    """The judge's prompt as token ids, the response's end cut where the judge's context demands it.

    The question around the response is never cut: where it leaves no room for any of the response,
    and where the item lacks what the prompt has a place for, the finding says so instead.
    Raises UserError where the model's chat template fails.
    """
    spec = work.judge.spec
    if (lacking := _lacking(spec.fields, item)) is not None:
        return Finding("unjudged", error=lacking)
    item = inert(tokenizer, item)
    if spec.response_tokens is not None:
        item = replace(item, answer=_first_tokens(tokenizer, item.answer, spec.response_tokens))
    room = context - spec.max_new_tokens
    for _ in range(_CUTS):
        wording = write(work, tokenizer, item)
        if spec.template == "conversation" and item.answer.strip() not in wording.text:
            return Finding("unjudged", error="the judge's chat template leaves this answer out")
        tokens = wording.tokens(tokenizer)
        if len(tokens) <= room:
            return tokens
        have = len(tokenizer.encode(item.answer, add_special_tokens=False))
        kept = max(0, have - (len(tokens) - room))
        item = replace(item, answer=_first_tokens(tokenizer, item.answer, kept))
        if not item.answer:
            break
    error = f"the judge's context of {context} tokens does not hold the prompt"
    return Finding("unjudged", error=error)


def write(work: Work, tokenizer: Any, item: Item) -> Wording:
    """The prompt for `item` as it stands, however long."""
    spec = work.judge.spec
    if spec.template == "conversation":
        turns = {"user": item.prompt, "assistant": item.answer}
        return Wording(_rendered(work, tokenizer, turns), special=False)
    assert work.prompt is not None
    text = fill(work.prompt.text, spec.fields, item.prompt, item.answer, document=item.document)
    if spec.template == "chat" and tokenizer.chat_template is not None:
        return Wording(_rendered(work, tokenizer, {"user": text}), special=False)
    bos = tokenizer.bos_token
    return Wording(text, special=not (bos and text.startswith(bos)))


def check_template(work: Work, tokenizer: Any) -> None:
    """Raises UserError where the model's chat template cannot put a judge's question.

    It has to show both turns: a guard that does not see the answer would judge something else.
    """
    if work.judge.spec.template != "conversation":
        return
    name, model = work.judge.spec.name, _model(work)
    if tokenizer.chat_template is None:
        raise UserError(
            f"Judge {name} puts its question by its model's chat template, and {model} has none: "
            "put the guard's own beside its tokenizer as chat_template.jinja."
        )
    probe = {"user": "the first of two turns", "assistant": "the second of two turns"}
    text = _rendered(work, tokenizer, probe)
    for role, content in probe.items():
        if content not in text:
            raise UserError(
                f"The chat template of {model} leaves the {role}'s turn out, and judge {name} "
                f"needs it: name a guard whose template shows both turns with --judge {name}=MODEL."
            )


def _rendered(work: Work, tokenizer: Any, turns: Mapping[str, str]) -> str:
    """The turns through the chat template, which brings its own special tokens."""
    messages = [{"role": role, "content": content} for role, content in turns.items()]
    try:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"The chat template of {_model(work)} failed on a question of judge "
            f"{work.judge.spec.name} ({reason}): mend the template or name another model with "
            f"--judge {work.judge.spec.name}=MODEL."
        ) from error
    return str(text)


def _model(work: Work) -> str:
    return work.subject.name if work.subject else str(work.judge.model)


def _lacking(fields: Mapping[str, str], item: Item) -> str | None:
    """What the prompt has a place for and the item does not have, as a reason."""
    for source in fields.values():
        if not source.startswith("document."):
            continue
        if item.document is None:
            return "the response was stored without its document"
        if item.document.get(source.removeprefix("document.")) is None:
            return f"the response's document has no {source.removeprefix('document.')}"
    return None


def inert(tokenizer: Any, item: Item) -> Item:
    """The item with every control token that its texts spell out broken by a space.

    Otherwise "<|im_end|>" in a response would end the question that the response stands in.
    """
    controls = _control_tokens(tokenizer)

    def plain(text: str) -> str:
        return controls.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    document = item.document
    if document is not None:
        document = {k: v if v is None else plain(str(v)) for k, v in document.items()}
    return replace(item, prompt=plain(item.prompt), answer=plain(item.answer), document=document)


@lru_cache(maxsize=1)
def _control_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Matches any special token as text, the longest first."""
    special = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(re.escape(t) for t in longest_first if len(t) > 1) or r"(?!)")


def _first_tokens(tokenizer: Any, text: str, count: int) -> str:
    tokens = tokenizer.encode(text, add_special_tokens=False)
    if len(tokens) <= count:
        return text
    return str(tokenizer.decode(tokens[:count], skip_special_tokens=True))
