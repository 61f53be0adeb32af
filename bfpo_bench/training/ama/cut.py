"""A response cut into segments that a reward can be given to: sentences, list items, blocks of code.

The rule, which never loses a character:

- a fenced block of code, from its fence to the closing one or to the end of the text, is one segment;
- another segment begins after a blank line or a heading, and with a line that begins a list item, a
  heading, a quotation or a row of a table; any other single line break is white space;
- within these a segment ends after `.`, `!`, `?` or the ellipsis, with what closes after it, where white
  space follows and then no small letter; not after an abbreviation, an initial or a list's number;
  also after the full stops of Chinese and Japanese;
- white space after a segment is its own, and a piece without a letter or digit joins its neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"[ \t]*(`{3,}(?!.*`)|~{3,})")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_OPENER = re.compile(r"[ \t]*(?:[-*+•>]|#{1,6}|\d{1,3}[.)]|\|)[ \t]")
_NUMBER = re.compile(r"\s*(?:[-*+•>#]+[ \t]+)?(?:\d{1,3}|[A-Za-z])[.)]\s*")
# Possessive, and from the first mark on: a row of ten thousand dots is read once
_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+\s++|(?<![。！？])[。！？]++[”’」』）)]*+\s*+"
)
_SHORT = re.compile(
    r"(?:^|[\s(\"'“])(?:[A-Za-z]|e\.g|i\.e|a\.m|p\.m|u\.s|mrs?|ms|dr|prof|st|vs|etc|cf|fig|approx|jr|sr)"
    r"\.\s+$",
    re.IGNORECASE,
)


def cut(text: str) -> list[str]:
    """The segments of `text`, whose concatenation is `text`; none of them is empty."""
    pieces: list[str] = []
    for block, fenced in _blocks(text):
        pieces += [block] if fenced else _sentences(block)
    return _joined(pieces)


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """(block, whether it is code) in order."""
    block, fence, blank = "", "", False
    for line in _LINE.findall(text):
        mark = _FENCE.match(line)
        if fence:
            block += line
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                yield block, True
                block, fence = "", ""
            continue
        begins = blank and line.strip()
        if block and (mark or _OPENER.match(line) or begins):
            yield block, False
            block = ""
        fence = mark[1] if mark else ""
        block += line
        blank = not line.strip() or _HEADING.match(line) is not None
    if block:
        yield block, bool(fence)


def _sentences(block: str) -> list[str]:
    found, start = [], 0
    for match in _END.finditer(block):
        end = match.end()
        if end < len(block) and _ends(block[start:end], block[end]):
            found.append(block[start:end])
            start = end
    return [*found, block[start:]]


def _ends(piece: str, following: str) -> bool:
    return not (following.islower() or _SHORT.search(piece) or _NUMBER.fullmatch(piece))


def _joined(pieces: list[str]) -> list[str]:
    """Pieces that say nothing go with the next one, the last with the one before it."""
    found: list[str] = []
    waiting = ""
    for piece in pieces:
        # White space goes with what stands before it
        if not piece.strip() and found and not waiting:
            found[-1] += piece
        elif any(map(str.isalnum, piece)):
            found.append(waiting + piece)
            waiting = ""
        else:
            waiting += piece
    if waiting:
        found[-1:] = [found[-1] + waiting] if found else [waiting]
    return found
