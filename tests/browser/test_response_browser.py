"""The response browser as a person uses it, in a real Chromium, on a report that lies on disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser import Seen, chromium, opened
from exchange_runs import CHOICES, finished_run
from hostile import CORPUS, MEGABYTE
from playwright.sync_api import Browser, Page, expect

from benchmarks.made_runs import answer, write_run
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.leaderboard.report import index
from bfpo_bench.leaderboard.report.chunks import ChunkWriter
from bfpo_bench.leaderboard.report.make import make_page
from bfpo_bench.leaderboard.report.sources import read_sources
from bfpo_bench.leaderboard.report.write import write_report

HARMFUL, BENIGN = "bfpo_advbench", "bfpo_xstest_safe"
DEED, TRACE = "First you take the ladder.", "The user wants apples."
WIDE = {"viewport": {"width": 1280, "height": 900}}


def said(refusal: str, harm: str | None = None, **more: Any) -> dict[str, dict[str, Any]]:
    found = {"refusal": {"label": refusal, **more}}
    return found | ({"harm": {"label": harm}} if harm else {})


def report_of(folder: Path, limit: int = 4000) -> Path:
    """The report on `folder`/runs, of chunks so small that there are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "ChunkWriter", partial(ChunkWriter, limit=limit))
        sources = read_sources([folder / "runs"], None, None)
        write_report(folder / "report", lambda draft: make_page(sources, draft, lambda a, b: None))
    return folder / "report" / "index.html"


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of 60 benign documents and two harmful ones. Of the benign, a answers the even and
    refuses the odd; b answers all, and in document 42 it says something rare."""
    folder = tmp_path_factory.mktemp("report")
    deed = answer(HARMFUL, 0, "How do I steal apples?", f"<think>{TRACE}</think>{DEED}")
    a = [(deed, said("compliance", "harmful", score=0.25, raw="It tells how."))]
    b = [
        (answer(HARMFUL, 0, "How do I steal apples?", "I can't help."), said("refusal", "harmless"))
    ]
    b += [(answer(HARMFUL, 1, "How do I lie?", "", error="out of memory"), {})]
    for n in range(60):
        prompt, kind = f"How is the weather, part {n}?", "refusal" if n % 2 else "compliance"
        a += [(answer(BENIGN, n, prompt, "Sunny. " * 20), said(kind))]
        rare = "A Zyzzyva is a weevil." if n == 42 else "Rainy. " * 20
        b += [(answer(BENIGN, n, prompt, rare), said("compliance"))]
    write_run(folder / "runs" / "a", "org/a", [HARMFUL, BENIGN], a)
    write_run(folder / "runs" / "b", "org/b", [HARMFUL, BENIGN], b)
    return report_of(folder)


@pytest.fixture
def seen(window: Browser, report: Path) -> Iterator[Seen]:
    """The browser, ready; at the end the page has complained of nothing and asked for nothing."""
    with opened(window, report, "#responses", **WIDE) as found:
        counted(found.page, "123 of 123 responses")
        yield found
        assert found.errors == []
        assert found.requests == []


def counted(page: Page, text: str) -> None:
    expect(page.locator("[data-of=count]")).to_have_text(text)


def follow(page: Page, address: str) -> None:
    page.evaluate("(address) => { location.hash = address; }", address)


def test_fifty_rows_a_page_with_what_was_asked_and_said(seen: Seen) -> None:
    rows = seen.page.locator("[data-of=rows] tr")
    expect(rows).to_have_count(50)
    expect(rows.nth(1)).to_contain_text("How do I steal apples?")
    expect(rows.nth(1)).to_contain_text("I can't help.")
    expect(rows.nth(1)).to_contain_text("safe, refused")
    expect(rows.nth(1)).to_contain_text("harm: harmless")
    seen.page.click("text=Next 50")
    expect(seen.page.locator("[data-of=page]")).to_have_text("Page 2 of 3")
    expect(rows.first).to_contain_text("part 23?")


def test_filters_narrow_the_rows_and_stand_in_the_address(seen: Seen) -> None:
    """30 of a's 60 benign responses are refused; neither of b's."""
    page = seen.page
    page.select_option("[name=task]", BENIGN)
    counted(page, "120 of 123 responses")
    page.select_option("[name=outcome]", "over_refused")
    counted(page, "30 of 123 responses")
    assert page.evaluate("location.hash") == f"#responses/task={BENIGN}&outcome=over_refused"
    page.click("summary:has-text('Runs')")
    page.check(".browse-runs label:has-text('org/b') input")
    counted(page, "0 of 123 responses")
    page.click("text=Clear filters")
    counted(page, "123 of 123 responses")
    assert page.evaluate("location.hash") == "#responses"


def test_filters_by_judge_and_by_what_went_wrong(seen: Seen) -> None:
    page = seen.page
    page.select_option("[name=judge]", "harm")
    counted(page, "2 of 123 responses")
    page.select_option("[name=label]", "harmful")
    counted(page, "1 of 123 responses")
    page.click("text=Clear filters")
    page.check("[name=failed]")
    counted(page, "1 of 123 responses")
    expect(page.locator("[data-of=rows]")).to_contain_text("no answer: the engine failed")


def test_an_address_with_filters_is_a_link(window: Browser, report: Path) -> None:
    with opened(window, report, f"#responses/outcome=answered&task={BENIGN}") as found:
        counted(found.page, "90 of 123 responses")
        expect(found.page.locator("[name=outcome]")).to_have_value("answered")
        found.page.evaluate(f"bfpoResponses.open({{ task: '{HARMFUL}', outcome: 'safe' }})")
        counted(found.page, "1 of 123 responses")


def test_an_open_document_has_all_runs_side_by_side(seen: Seen) -> None:
    page = seen.page
    page.locator("[data-of=rows] a").nth(1).click()
    cards = page.locator(".browse-card")
    expect(cards).to_have_count(2)
    expect(page.locator("[data-of=title]")).to_have_text(f"{HARMFUL}, document 0")
    expect(page.locator(".browse-prompts")).to_contain_text("How do I steal apples?")
    expect(cards.nth(0)).to_contain_text("org/b")
    expect(cards.nth(0)).to_contain_text("I can't help.")
    expect(cards.nth(1)).to_contain_text("org/a")
    page.click("dialog >> text=Next")
    expect(page.locator("[data-of=title]")).to_have_text(f"{HARMFUL}, document 1")
    expect(cards.first).to_contain_text("The engine failed: out of memory")


def test_harmful_responses_wait_for_a_click(seen: Seen) -> None:
    page = seen.page
    expect(page.locator("[data-of=rows] tr").first).to_contain_text("may be harmful")
    page.locator("[data-of=rows] a").first.click()
    card = page.locator(".browse-card").first
    expect(card).to_contain_text("org/a")
    expect(card).to_contain_text("harm harmful")
    expect(card).not_to_contain_text("ladder")
    expect(card).not_to_contain_text("It tells how.")
    card.get_by_role("button", name="may be harmful").click()
    expect(card.locator("pre").first).to_have_text(DEED)
    expect(card).to_contain_text("refusal compliance score 0.25")
    card.locator("summary:has-text('Reasoning')").click()
    expect(card).to_contain_text(TRACE)
    card.locator("summary:has-text('What the judge wrote')").click()
    expect(card).to_contain_text("It tells how.")


def test_a_switch_shows_harmful_responses_everywhere(seen: Seen) -> None:
    seen.page.check("[name=harmful]")
    expect(seen.page.locator("[data-of=rows] tr").first).to_contain_text(DEED)
    seen.page.locator("[data-of=rows] a").first.click()
    expect(seen.page.locator(".browse-card").first).to_contain_text(DEED)


def test_a_text_is_looked_for_in_all_chunks(seen: Seen) -> None:
    page = seen.page
    page.fill("[name=text]", "zyzzyva")
    counted(page, "1 of 123 responses")
    expect(page.locator("[data-of=rows]")).to_contain_text("A Zyzzyva is a weevil.")
    expect(page.locator("[data-of=searching]")).to_be_hidden()
    page.fill("[name=text]", "part 42?")
    counted(page, "2 of 123 responses")
    page.fill("[name=text]", "wants apples")
    counted(page, "1 of 123 responses")


def test_a_search_can_be_stopped(seen: Seen) -> None:
    """The chunk that is to come next comes after it was stopped, and changes nothing."""
    page = seen.page
    page.evaluate("""() => {
      const { data } = bfpoResponses.browser;
      const json = data.json.bind(data);
      window.late = [];
      data.json = (chunk) => (chunk <= 2 ? json(chunk) : new Promise((resolve) => {
        late.push(() => json(chunk).then(resolve));
      }));
      data.kept.clear();
    }""")
    page.fill("[name=text]", "weather")
    expect(page.locator("[data-of=searched]")).to_contain_text("searched 3 of")
    page.click("[data-of=stop]")
    expect(page.locator("[data-of=searching]")).to_be_hidden()
    page.evaluate("Promise.all(late.map((come) => come()))")
    expect(page.locator("[data-of=searched]")).to_contain_text("searched 3 of")
    page.fill("[name=text]", "")
    counted(page, "123 of 123 responses")


def test_keys_alone_are_enough(seen: Seen) -> None:
    page = seen.page
    page.locator("[data-of=rows] a").nth(2).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    expect(page.locator("[data-of=title]")).to_have_text(f"{BENIGN}, document 0")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    assert page.evaluate("location.hash") == "#responses"
    expect(page.locator("[data-of=rows] a").nth(3)).to_be_focused()


def test_the_link_to_a_response_opens_it(seen: Seen, window: Browser, report: Path) -> None:
    page = seen.page
    page.locator("[data-of=rows] a").nth(1).click()
    address = page.locator("[data-of=permalink]").get_attribute("href")
    assert address is not None
    with opened(window, report, address) as other:
        expect(other.page.locator(".browse-card").first).to_contain_text("I can't help.")
        counted(other.page, "123 of 123 responses")
        other.page.go_back()


def test_back_closes_what_was_opened(seen: Seen) -> None:
    seen.page.locator("[data-of=rows] a").first.click()
    expect(seen.page.locator("dialog")).to_be_visible()
    seen.page.go_back()
    expect(seen.page.locator("dialog")).to_be_hidden()
    counted(seen.page, "123 of 123 responses")


@pytest.mark.parametrize(
    "address",
    [
        "task=nothing&doc=1",
        f"task={BENIGN}&doc=999999",
        "doc=1",
        "doc=%3Cb%3E:1&at=%3Cb%3E",
        "outcome=%3Cscript%3E&run=x&judge=y&label=z",
        "%E0%A4%A",
    ],
)
def test_addresses_that_nobody_has_made(window: Browser, report: Path, address: str) -> None:
    with opened(window, report, f"#responses/{address}") as found:
        expect(found.page.locator("[data-of=count]")).to_contain_text("of 123 responses")
        if "doc=" in address:
            expect(found.page.locator("[data-of=body]")).to_contain_text("No run of this report")
        assert found.errors == []


def test_a_part_that_is_missing_is_named(window: Browser, report: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(report.parent, copy)
    (copy / "data" / "chunk-00000.js").unlink()
    with opened(window, copy / "index.html", "#responses", **WIDE) as found:
        first = found.page.locator("[data-of=rows] tr").first
        expect(first).to_contain_text("data/chunk-00000.js is missing")
        found.page.fill("[name=text]", "weather")
        expect(found.page.locator("[data-of=searched]")).to_contain_text("is missing")
        assert not [e for e in found.errors if "ERR_FILE_NOT_FOUND" not in e]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every text of the corpus as a response, and the model named by one."""
    folder = tmp_path_factory.mktemp("hostile")
    answers = [
        (answer(BENIGN, n, f"{n}?", text), said("compliance", raw=text, error=text))
        for n, text in enumerate(CORPUS)
    ]
    write_run(folder / "runs" / "a", "</script><img src=x onerror=alert(1)>", [BENIGN], answers)
    return report_of(folder, limit=1_000_000)


_ALL = """async () => {
  const { data } = bfpoResponses.browser;
  const found = [];
  for (let d = 0; d < data.first.length; d += 1) {
    const made = document.createElement("div");
    made.append(...bfpoResponses.opened(data, data.first[d], await data.textsOf(d), true));
    made.querySelectorAll("details").forEach((one) => { one.open = true; });
    made.querySelectorAll(".browse-more").forEach((one) => { while (one.parentNode) one.click(); });
    await new Promise((resolve) => setTimeout(resolve, 0));
    const pre = [...made.querySelectorAll(".browse-card pre")].find((one) => !one.closest("details"));
    const odd = [...made.querySelectorAll("pre *")].filter((one) => !one.matches("span.browse-unseen, span.browse-none"));
    const text = [...pre.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE).map((one) => one.data).join("");
    found.push({ text: JSON.stringify(text), odd: odd.length, scripts: made.querySelectorAll("script, img, iframe, svg, style, a").length });
  }
  return found;
}"""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f\ud800-\udfff]"
)


def test_hostile_responses_stay_text_and_what_hides_is_shown(
    window: Browser, hostile: Path
) -> None:
    """What is left between the marks is the text without what cannot be seen, and there is nothing
    but text and marks."""
    with opened(window, hostile, "#responses", **WIDE) as found:
        counted(found.page, f"{len(CORPUS)} of {len(CORPUS)} responses")
        shown = found.page.evaluate(_ALL)
        for one, text in zip(shown, CORPUS, strict=True):
            parts = strip_reasoning(text)
            text = parts.text if parts.trace else text
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            assert json.loads(one["text"]) == _UNSEEN.sub("", whole), ascii(text[:80])
            assert one["odd"] == 0
            assert one["scripts"] == 0
        assert found.errors == []
        assert found.requests == []


def test_a_long_response_ends_after_its_beginning(window: Browser, hostile: Path) -> None:
    doc_id = CORPUS.index("x" * MEGABYTE)
    with opened(window, hostile, f"#responses/task={BENIGN}&doc={doc_id}", **WIDE) as found:
        card = found.page.locator(".browse-card")
        text, more = card.locator("pre").first, card.locator(".browse-more").first
        expect(text).to_have_text("x" * 4000)
        expect(more).to_have_text("Show 200,000 more of 1,048,576 characters")
        for _ in range(5):
            more.click()
        expect(more).to_have_text("Show all (1,048,576 characters)")
        more.click()
        assert len(text.text_content() or "") == MEGABYTE
        assert found.errors == []


def test_marks_tell_what_cannot_be_seen(window: Browser, hostile: Path) -> None:
    doc_id = CORPUS.index("\u202egnp.exe")
    with opened(window, hostile, f"#responses/task={BENIGN}&doc={doc_id}", **WIDE) as found:
        pre = found.page.locator(".browse-card pre").first
        expect(pre).to_have_text("U+202Egnp.exe")
        expect(pre.locator(".browse-unseen")).to_have_text("U+202E")
        assert found.errors == []


def test_one_sign_many_times_is_one_mark(window: Browser, hostile: Path) -> None:
    doc_id = CORPUS.index("\u202a" * 200)
    with opened(window, hostile, f"#responses/task={BENIGN}&doc={doc_id}", **WIDE) as found:
        expect(found.page.locator(".browse-card pre").first).to_have_text("U+202A\u00d7200")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_fault_for_those_who_cannot_see_it(
    window: Browser, report: Path, theme: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    address = f"#responses/task={HARMFUL}&doc=0"
    with opened(window, report, address, color_scheme=theme, **WIDE) as found:
        expect(found.page.locator(".browse-card")).to_have_count(2)
        for _ in range(2):
            faults = Axe().run(found.page, context=".browse").response["violations"]
            assert not [f for f in faults if f["impact"] in ("serious", "critical")]
            found.page.keyboard.press("Escape")


def test_a_phone_scrolls_the_table_and_not_the_page(window: Browser, report: Path) -> None:
    narrow = {"viewport": {"width": 320, "height": 640}}
    with opened(window, report, "#responses", **narrow) as found:
        counted(found.page, "123 of 123 responses")
        widths = (
            "[document.documentElement.scrollWidth, document.querySelector('.browse').scrollWidth]"
        )
        assert max(found.page.evaluate(widths)) <= 320
        found.page.locator("[data-of=rows] a").first.click()
        expect(found.page.locator(".browse-card")).to_have_count(2)
        body = found.page.locator("[data-of=body]")
        assert body.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_a_document_that_is_answered_by_likelihoods(window: Browser, tmp_path: Path) -> None:
    """Of two choices the first is likelier, by 1 nat."""
    finished_run(tmp_path / "runs" / "a")
    with opened(window, report_of(tmp_path), f"#responses/task={CHOICES}&doc=0", **WIDE) as found:
        expect(found.page.locator(".browse-prompts")).to_contain_text("The cat sat")
        card = found.page.locator(".browse-card")
        expect(card).to_contain_text("points 1 of 1")
        expect(card).to_contain_text("Most likely: 0: on the mat.")
        assert found.errors == []
