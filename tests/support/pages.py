"""The commands that the documentation shows: found in its code blocks, one after the other.

A code block holds commands where one of its lines begins with a program of `PROGRAMS`; in a block of
language `console` those are the lines after `$ `, and what stands below one is what it prints, with
`...` for what may differ. An HTML comment right above a block, which no reader sees, says more:

    <!-- not run: REASON -->    its options are checked, and it is not run (see REASONS)
    <!-- exit: 3 -->            the exit code of its commands, where it is not 0
    <!-- file: mine.yaml -->    no commands: the block is this file, which later commands may use
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("bfpo-bench", "make", "pip", "python", "lm_eval", "accelerate", "export", "vllm", ".")
REASONS = (
    "needs several GPUs",
    "needs several machines",
    "needs a model of several GB",
    "needs a server of judges, and its key",
    "needs a server with a model",
    "needs a hub that can be written to",
    "trains for minutes, and other tests do",
    "opens a server that runs until it is stopped",
    "runs another project's program",
    "takes minutes, and other tests do",
    "changes the shell's own files",
)
"""Why a command of the documentation is not run by its tests."""

_MARK = re.compile(r"<!--\s*(not run|exit|file):\s*(.*?)\s*-->")
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_NESTED = re.compile(r"\$\((bfpo-bench [^)]*)\)")


@dataclass(frozen=True)
class Example:
    """One command: where it stands, as it is written, and what the page says of it.

    `variables` are set before the program (`HF_HOME=bundle`); `reason` is "" where it is to be run;
    `shown` is what the page shows of its output, None where it shows nothing.
    """

    page: str
    line: int
    variables: tuple[str, ...]
    words: tuple[str, ...]
    code: int = 0
    reason: str = ""
    shown: str | None = None

    @property
    def program(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {shlex.join((*self.variables, *self.words))}"


@dataclass(frozen=True)
class File:
    """A code block that is a file of the reader's folder."""

    page: str
    line: int
    name: str
    text: str


@dataclass(frozen=True)
class _Block:
    page: str
    line: int
    text: str
    console: bool
    mark: str
    said: str


def parse(page: str, text: str) -> list[Example | File]:
    """The commands and files of a page, in its order.

    Raises ValueError, which names page and line, for a line among commands that is none, and for a
    mark that stands above no code block or says what nobody knows.
    """
    found: list[Example | File] = []
    for block in _blocks(page, text):
        if block.mark == "file":
            found.append(File(page, block.line, block.said, block.text))
        else:
            found += _examples(block)
    return found


def parse_file(page: Path) -> list[Example | File]:
    return parse(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))


def spans(text: str) -> list[str]:
    """The commands in a page's running text, as `bfpo-bench NAME --option`."""
    inline = [token for token in MarkdownIt("commonmark").enable("table").parse(text)]
    codes = [c.content for t in inline for c in t.children or () if c.type == "code_inline"]
    return [code for code in codes if code.startswith("bfpo-bench ")]


def nested(example: Example) -> list[tuple[str, ...]]:
    """The words of each `$(bfpo-bench ...)` in a command."""
    return [tuple(shlex.split(c)) for word in example.words for c in _NESTED.findall(word)]


def _blocks(page: str, text: str) -> Iterator[_Block]:
    tokens = MarkdownIt("commonmark").parse(text)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        marked = token.type == "html_block" and _MARK.search(token.content)
        if marked and (following is None or following.type not in ("fence", "code_block")):
            raise ValueError(f"{page}:{_line(token)}: this mark stands above no code block")
    before: Token | None = None
    for token in tokens:
        if token.type in ("fence", "code_block"):
            marked = (
                _MARK.search(before.content) if before and before.type == "html_block" else None
            )
            mark, said = marked.groups() if marked else ("", "")
            if mark == "not run" and said not in REASONS:
                raise ValueError(f"{page}:{_line(token)}: {said!r} is none of pages.REASONS")
            console = token.type == "fence" and token.info.strip() == "console"
            first = _line(token) + (token.type == "fence")
            yield _Block(page, first, token.content, console, mark, said)
        before = token


def _line(token: Token) -> int:
    """Lines of a page are counted from 1."""
    return (token.map or [0])[0] + 1


def _examples(block: _Block) -> Iterator[Example]:
    """None where the block holds no command."""
    code = int(block.said) if block.mark == "exit" else 0
    reason = block.said if block.mark == "not run" else ""
    commands = [
        (line, command, shown)
        for line, command, shown in (_in_console if block.console else _in_text)(block)
        if shlex.split(command, comments=True)
    ]
    if not any(_split(command)[1][:1] for _, command, _ in commands if _is_command(command)):
        return
    for line, command, shown in commands:
        if not _is_command(command):
            raise ValueError(f"{block.page}:{line}: {command!r} stands among commands and is none")
        variables, words = _split(command)
        yield Example(block.page, line, variables, words, code, reason, shown)


def _in_text(block: _Block) -> Iterator[tuple[int, str, str | None]]:
    """Line, command and nothing shown; a line that ends with a backslash goes on in the next."""
    lines, at = block.text.split("\n"), 0
    while at < len(lines):
        line, command = block.line + at, lines[at]
        while command.endswith("\\"):
            at += 1
            command = command[:-1] + " " + lines[at].strip()
        yield line, command if _splits(command) else "", None
        at += 1


def _in_console(block: _Block) -> Iterator[tuple[int, str, str | None]]:
    found: list[tuple[int, str, list[str]]] = []
    for number, text in enumerate(block.text.split("\n"), block.line):
        if text.startswith("$ "):
            found.append((number, text[2:], []))
        elif found and found[-1][1].endswith("\\"):
            line, command, shown = found[-1]
            found[-1] = (line, f"{command[:-1]} {text.strip()}", shown)
        elif found:
            found[-1][2].append(text)
    for line, command, shown in found:
        yield line, command, "\n".join(shown) if any(shown) else None


def _splits(text: str) -> bool:
    """Other languages have quotes that a shell would miss the end of."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def _is_command(text: str) -> bool:
    _, words = _split(text)
    return bool(words) and words[0] in PROGRAMS


def _split(command: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The assignments before a program, and the program with its arguments."""
    words = [w for w in shlex.split(command, comments=True) if w != "&"]
    count = next((n for n, w in enumerate(words) if not _ASSIGNMENT.match(w)), len(words))
    return tuple(words[:count]), tuple(words[count:])
