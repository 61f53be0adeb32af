"""How commands are found in a page, and how a page's output is held against what was printed."""

from __future__ import annotations

import pytest
from pages import Example, File, parse, spans
from reader import LIMIT, SMALL_RUN, TASKS, matches, words_here

PAGE = """
Sentence with `bfpo-bench plan --json` in it.

    bfpo-bench tasks --suite mine.yaml     # what is in it
    HF_HOME=bundle bfpo-bench run \\
        --offline

<!-- not run: needs several GPUs -->

    accelerate launch "$(bfpo-bench train --accelerate fsdp2)"

<!-- file: mine.yaml -->

    name: mine

<!-- exit: 2 -->

```console
$ bfpo-bench run --suite no
error: ...
```

    name: it's no command
"""


def test_a_page() -> None:
    tasks, run, launch, file, wrong = parse("p.md", PAGE)
    assert isinstance(tasks, Example)
    assert (tasks.line, tasks.words) == (4, ("bfpo-bench", "tasks", "--suite", "mine.yaml"))
    assert isinstance(run, Example)
    assert (run.variables, run.words) == (("HF_HOME=bundle",), ("bfpo-bench", "run", "--offline"))
    assert isinstance(launch, Example)
    assert launch.reason == "needs several GPUs"
    assert file == File("p.md", 14, "mine.yaml", "name: mine\n")
    assert isinstance(wrong, Example)
    assert (wrong.line, wrong.code, wrong.shown) == (19, 2, "error: ...\n")


def test_commands_in_sentences() -> None:
    assert spans(PAGE) == ["bfpo-bench plan --json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("    bfpo-bench tasks\n    frobnicate\n", "p.md:2: 'frobnicate' stands among commands"),
        ("<!-- not run: too dull -->\n\n    bfpo-bench tasks\n", "'too dull' is none of"),
        ("<!-- exit: 2 -->\n\nNo block.\n", "p.md:1: this mark stands above no code block"),
    ],
)
def test_what_a_page_must_not_hold(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse("p.md", text)


class TestWordsHere:
    def test_a_run_is_made_small(self) -> None:
        assert words_here(["run", "--limit", "50"], {}) == (
            *("run", "--limit", LIMIT, *SMALL_RUN[:2], "--tasks", TASKS),
        )

    def test_names_stand_for_others_also_after_an_equals_sign(self) -> None:
        names = {"runs/A": "runs/refuser"}
        assert words_here(["compare", "runs/A", "yesno=runs/A"], names) == (
            *("compare", "runs/refuser", "yesno=runs/refuser"),
        )


class TestMatches:
    def test_dots_stand_for_anything(self) -> None:
        assert matches("score 1... of 9", "the score 12.5 out of 9 is")
        assert not matches("score 1... of 8", "the score 12.5 out of 9 is")

    def test_white_space_and_the_length_of_rules_do_not_count(self) -> None:
        assert matches("a   b\n────────", "a b\n─────\n")

    def test_numbers_do(self) -> None:
        assert not matches("score 12.4", "score 12.5")
