"""Chat markup in a text under judgement, made harmless without knowing the judge's tokenizer."""

from __future__ import annotations

import re

_MARKUP = re.compile(
    r"<(?=[|｜][^|｜<>\n]{1,40}[|｜]>)"  # <|im_end|>, <|eot_id|>, DeepSeek's full-width bars
    r"|<(?=/?s>|(?:start|end)_of_turn>|[be]os>|pad>|/?start>|/?end>)"
    r"|<<(?=/?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\])"
)


def inert(text: str) -> str:
    """`text` with the marks of common chat templates broken by a space.

    A server such as vLLM's reads `<|im_end|>` in a message as the end of that message, and a response
    that holds it would step out of the question that it stands in.
    """
    return _MARKUP.sub(lambda found: f"{found[0]} ", text)
