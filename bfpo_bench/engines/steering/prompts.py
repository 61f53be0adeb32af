"""The prompts that a bias is estimated on: a file's own, or drawn at random from its words."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

from bfpo_bench.engines.steering.file import PromptSource
from bfpo_bench.errors import UserError
from bfpo_bench.names import shortened

_SHAPE = '{"prompt": "..."}'


def read_prompts(
    path: Path, count: int | None = None, seed: int = 0
) -> tuple[list[str], PromptSource]:
    """The texts of JSON lines `{"prompt": TEXT}`, whose other keys are passed over; with `count` so many
    made of their words instead (see `random_prompts`).

    Raises UserError for a file that cannot be read, has no prompts, or has a line that is none.
    """
    name = shortened(str(path))
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"The prompts {name} cannot be read ({error.strerror}): give a file of JSON lines {_SHAPE}."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text: save it as such.") from error
    lines = enumerate(text.split("\n"), 1)
    prompts = [_prompt(name, number, line) for number, line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{name} has no prompts: write {_SHAPE} for each, a line each.")
    told = hashlib.sha256(content).hexdigest()
    if count is None:
        return prompts, PromptSource(sha256=told, prompts=len(prompts))
    drawn = random_prompts(prompts, count, seed)
    return drawn, PromptSource(sha256=told, prompts=count, random=count, seed=seed)


def random_prompts(prompts: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` texts without a meaning: each is as many words as one of `prompts` has, drawn from all
    their words as often as they occur there."""
    words = [prompt.split() for prompt in prompts]
    pool = [word for one in words for word in one]
    draw = random.Random(seed)
    return [" ".join(draw.choices(pool, k=len(draw.choice(words)))) for _ in range(count)]


def _prompt(name: str, number: int, line: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}, line {number}, is not valid JSON: mend or delete it.") from error
    prompt = record.get("prompt") if isinstance(record, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{name}, line {number}, is not of the form {_SHAPE}: mend or delete it.")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name}, line {number}, has half a character: mend it.") from error
    return prompt
