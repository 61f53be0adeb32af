"""The leaderboard as one HTML page."""

from __future__ import annotations

from html.parser import HTMLParser

from boards import board, board_row

from bfpo_bench.leaderboard.page import to_html

NONE = float("nan")


class Page(HTMLParser):
    """What a browser makes of it: tags, texts, addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []


def test_a_table_a_block_the_best_first() -> None:
    page = Page(to_html(board(board_row("c"), board_row("a", 70), board_row("b", partial=True))))
    assert page.tags.count("table") == 2
    assert page.tags.count("tr") == 2 + 3
    models = [t for t in page.texts if t in ("a", "b", "c")]
    assert models == ["a", "c", "b"]
    assert {"70.0", "68.0 to 72.0"} <= set(page.texts)


def test_how_a_model_was_trained_stands_below_its_name() -> None:
    page = Page(to_html(board(board_row("a", base="org/b", training="bfpo tau=0.01"))))
    assert "bfpo tau=0.01, from org/b" in page.texts


def test_what_is_not_scored_is_a_dash_and_named() -> None:
    unscored = {f"harmlessness{end}": NONE for end in ("", "_ci_low", "_ci_high")}
    page = Page(to_html(board(board_row("a", missing="bfpo_x", **unscored))))
    assert page.texts.count("–") == 2
    assert "Not scored, and left out of the means: bfpo_x." in page.texts


def test_texts_are_neither_markup_nor_addresses() -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
    texts = dict.fromkeys(("engine", "judges", "base", "training", "missing"), hostile)
    page = Page(to_html(board(board_row(hostile, comparability_key=hostile, **texts))))
    assert not {"script", "img", "a", "link", "iframe"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert hostile in page.texts
    assert "49" not in page.texts


def test_the_page_needs_nothing_else() -> None:
    text = to_html(board(board_row("a")))
    page = Page(text)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert "url(" not in text
    assert "@import" not in text


def test_an_empty_leaderboard_is_a_page() -> None:
    assert "table" not in Page(to_html(board(board_row("a")).iloc[:0])).tags
