"""The text that a score model reads, as token ids, with the end of the answer cut where it must be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.prompts import fill
from bfpo_bench.judges.running.wording import inert
from bfpo_bench.judges.running.work import Work


class ScoreTexts:
    """Makes token ids of prompts and answers, for one judge and its model's tokenizer.

    - template `conversation`: the model's chat template over the user's prompt and the answer;
    - template `raw`: prompt.txt with its placeholders filled (its last line break is not part of the
      text), then the end token, where the tokenizer has one and does not put it itself.
    """

    def __init__(self, work: Work, tokenizer: Any, context: int) -> None:
        self._spec = work.judge.spec
        self._tokenizer = tokenizer
        self._context = context
        self._pattern = work.prompt.text.removesuffix("\n") if work.prompt else ""
        end = tokenizer.eos_token_id
        self._end = [] if end is None or tokenizer.encode("a")[-1] == end else [end]

    def tokens(self, item: Item) -> tuple[int, ...] | Finding:
        """The text's tokens, at most the context; the finding where they are not to be had.

        What is too long loses the end of the answer, and nothing else. Raises UserError where the
        model's chat template fails.
        """
        item = inert(self._tokenizer, item)
        whole = self._encode(item, item.answer)
        if whole is None:
            return Finding("unjudged", error="the judge's chat template leaves this answer out")
        kept = whole if len(whole) <= self._context else self._shortened(item)
        if kept is None:
            error = f"the judge's context of {self._context} tokens does not hold the prompt"
            return Finding("unjudged", error=error)
        return tuple(kept)

    def _shortened(self, item: Item) -> list[int] | None:
        """With as many of the answer's characters as fit, or None where not one does."""
        kept = None
        low, high = 0, len(item.answer)
        while high - low > 1:
            middle = (low + high) // 2
            tokens = self._encode(item, item.answer[:middle])
            if tokens is not None and len(tokens) <= self._context:
                low, kept = middle, tokens
            else:
                high = middle
        return kept

    def _encode(self, item: Item, answer: str) -> list[int] | None:
        """None where the chat template does not show the answer as it is."""
        if self._spec.template != "conversation":
            text = fill(
                self._pattern, self._spec.fields, item.prompt, answer, document=item.document
            )
            return [*self._tokenizer.encode(text), *self._end]
        text = self._rendered(replace(item, answer=answer))
        if answer.strip() not in text:
            return None
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _rendered(self, item: Item) -> str:
        messages = [
            {"role": "user", "content": item.prompt},
            {"role": "assistant", "content": item.answer},
        ]
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, add_generation_prompt=False, tokenize=False
                )
            )
        except Exception as error:
            name, reason = self._spec.name, f"{type(error).__name__}: {first_line(error)}"
            raise UserError(
                f"The chat template of judge {name}'s model failed on a plain conversation "
                f"({reason}): mend it, or name another model with --judge {name}=MODEL."
            ) from error
