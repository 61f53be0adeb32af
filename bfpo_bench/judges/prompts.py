"""Judge prompts: ours from the judge's folder, a model's own from its repository; filled and fenced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.engines.source import Source, chat_template
from bfpo_bench.errors import UserError
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.spec import sha256_of

_TRIPLE = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class PromptTemplate:
    """A judge's prompt with `{placeholders}`, the hash of its text, and where it was read.

    A behaviour text is in it already: it is the same for every response, and part of the hash.
    """

    text: str
    sha256: str
    origin: str


def load_prompt(judge: Judge, source: Source | None) -> PromptTemplate:
    """prompt.txt of the judge's folder where there is one, else what `prompt_from` holds; the chat
    template of `source` where that puts the question (`template: conversation`).

    Raises UserError when a file is missing, or the model's repository does not hold a prompt with
    all placeholders, or a chat template.
    """
    text, origin = _template(judge, source)
    if judge.spec.behaviour is not None:
        ours = judge.folder.is_relative_to(Path(__file__).parent)
        whose = "own wording" if ours else f"the user's, from {judge.spec.behaviour}"
        text, origin = _with_behaviour(judge, text), f"{origin}, behaviour: {whose}"
    return PromptTemplate(text, sha256_of(text), origin)


def _template(judge: Judge, source: Source | None) -> tuple[str, str]:
    """The prompt's text and where it was read."""
    spec = judge.spec
    if spec.prompt is not None:
        return _read(judge, "prompt", spec.prompt), spec.prompt
    if spec.template == "conversation":
        return _chat_template(judge, source)
    assert spec.prompt_from is not None
    assert source is not None
    if not source.has(spec.prompt_from):
        raise UserError(_missing(judge, source, f"{source.name} has no file {spec.prompt_from}"))
    found = find_prompt(source.file(spec.prompt_from).read_text(), tuple(spec.fields))
    if found is None:
        wanted = " and ".join(f"{{{f}}}" for f in spec.fields)
        raise UserError(_missing(judge, source, f"{spec.prompt_from} holds no text with {wanted}"))
    at = source.commit or "this folder"
    return found, f"{source.name}@{at}/{spec.prompt_from}"


def _chat_template(judge: Judge, source: Source | None) -> tuple[str, str]:
    """The chat template that puts the judge's question, and where it was read."""
    assert source is not None
    found = chat_template(source)
    if not found:
        raise UserError(
            f"Judge {judge.spec.name} puts its question by its model's chat template, and "
            f"{source.name} has none: name the guard's own repository, or a folder that holds it "
            f"as chat_template.jinja, with --judge {judge.spec.name}=ID_OR_PATH."
        )
    return found, f"{source.name}@{source.commit or 'this folder'}, its chat template"


def _read(judge: Judge, what: str, name: str) -> str:
    path = judge.folder / name
    if not path.is_file():
        raise UserError(
            f"Judge {judge.spec.name}: its {what} file {path} is missing: put it there."
        )
    return path.read_text()


def _with_behaviour(judge: Judge, template: str) -> str:
    """The template with the text of the behaviour file in its place.

    Raises UserError for an empty text, and for one with a placeholder of the prompt: `fill` would
    take it for the prompt's own.
    """
    spec = judge.spec
    assert spec.behaviour is not None
    text = _read(judge, "behaviour", spec.behaviour).strip()
    braced = [f"{{{field}}}" for field in spec.fields if f"{{{field}}}" in text]
    if not text or braced:
        reason = f"holds the placeholder {braced[0]}" if braced else "is empty"
        raise UserError(
            f"Judge {spec.name}: its behaviour file {judge.folder / spec.behaviour} {reason}: "
            "write the behaviour to look for there, as plain text."
        )
    for field, source in spec.fields.items():
        if source == "behaviour":
            template = template.replace(f"{{{field}}}", text)
    return template


def _missing(judge: Judge, source: Source, reason: str) -> str:
    return (
        f"The prompt of judge {judge.spec.name} cannot be read from its model ({reason}): copy the "
        f"judge's folder ({judge.folder.name}), put the model's prompt there as prompt.txt, set "
        "`prompt: prompt.txt` in its judge.yaml, and name that folder with --judge."
    )


def find_prompt(text: str, fields: tuple[str, ...]) -> str | None:
    """The first triple-quoted string of `text` that has every `{field}` and no other placeholder,
    else the first such fenced block; None where there is neither."""
    candidates = [m[2] for m in _TRIPLE.finditer(text)] + [m[1] for m in _FENCED.finditer(text)]
    for candidate in candidates:
        if set(re.findall(r"\{(\w+)\}", candidate)) == set(fields):
            return candidate
    return None


def fence_for(*texts: str) -> str:
    """A line of equals signs that is longer than any run of them in the texts."""
    longest = max((len(run) for text in texts for run in re.findall(r"=+", text)), default=0)
    return "=" * max(10, longest + 1)


def fill(
    template: str,
    fields: Mapping[str, str],
    prompt: str,
    response: str,
    *,
    baseline: str = "",
    document: Mapping[str, Any] | None = None,
) -> str:
    """The template with every placeholder replaced in one pass: braces in the texts stay text.

    `baseline` is the other answer, for a judge that compares two. A behaviour is no business of
    this: `load_prompt` has put it in. Raises KeyError where a field wants what `document` does not
    have.
    """
    values = {"prompt": prompt, "response": response, "baseline": baseline}
    for source in fields.values():
        if source.startswith("document."):
            values[source] = str((document or {})[source.removeprefix("document.")])
    values["fence"] = fence_for(*values.values())
    return re.sub(
        r"\{(\w+)\}", lambda m: values[fields[m[1]]] if m[1] in fields else m[0], template
    )
