"""The report as a person opens it: from disk, in a real Chromium, without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Seen, chromium, opened
from commands import command
from finished_runs import finished
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.usefixtures("stages_here")

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
SECTIONS = ("overview", "tasks", "outcomes", "judges", "compare", "responses", "method")
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    """Two models, one of a hostile name, and a task in every cell."""
    folder = tmp_path_factory.mktemp("report")
    for model, helped, harmed in (("org/first", 9, 2), (HOSTILE, 3, 8)):
        found = {
            "mischief": ["complied"] * harmed + ["safe"] * (10 - harmed) + ["unjudged"],
            "errands": ["answered"] * helped + ["over_refused"] * (10 - helped),
            "manners": [1.0] * 6 + [0.0] * 4,
            "facts": [1.0] * helped + [0.0] * (10 - helped),
        }
        finished(folder / "runs" / f"run-{helped}", found, model=model)
    said = command("report", "--baseline", "runs/run-9", "--out", "page", cwd=folder)
    assert said.code == 0, said.err
    return folder / "page" / "index.html"


@pytest.fixture
def seen(report: Path, browser: Browser) -> Iterator[Seen]:
    """The open report, which at the end has said no error and asked for nothing."""
    with opened(browser, report, viewport=DESK, color_scheme="light") as found:
        yield found
        assert (found.errors, found.requests) == ([], [])


def rows(page: Page) -> list[str]:
    return page.locator("table.leaderboard tbody .model").all_inner_texts()


def goto(page: Page, section: str) -> None:
    page.locator(f".top nav a[href='#{section}']").click()
    expect(page.locator(f"main > section#{section}")).to_be_visible()


def test_one_section_is_shown_and_the_address_names_it(seen: Seen) -> None:
    for section in SECTIONS:
        goto(seen.page, section)
        assert seen.page.locator("main > section:visible").count() == 1
        assert seen.page.url.endswith(f"#{section}")
    seen.page.go_back()
    expect(seen.page.locator("section#responses")).to_be_visible()


def test_a_drawn_chart_keeps_the_words_that_the_page_gave_it(seen: Seen) -> None:
    """Vega puts its specification's shorter description in their place, and another role."""
    chart = seen.page.locator("[data-chart^=plane]").first
    expect(chart.locator("svg")).to_have_attribute("aria-hidden", "true")
    expect(chart).to_have_attribute("role", "img")
    expect(chart).to_have_attribute("aria-label", re.compile(r"in percent\. .*org/first: \d"))


def test_the_way_past_the_bar_leads_to_the_section_that_is_shown(seen: Seen) -> None:
    goto(seen.page, "outcomes")
    seen.page.locator(".skip").focus()
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("main")).to_be_focused()
    expect(seen.page.locator("main > section#outcomes")).to_be_visible()


def test_who_opens_and_closes_a_document_stays_where_the_list_was(seen: Seen) -> None:
    page = seen.page
    page.set_viewport_size({"width": 1280, "height": 400})
    goto(page, "responses")
    link = page.locator("section#responses tbody a").nth(3)
    link.scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, 120)")
    link.evaluate("link => link.click()")
    dialog = page.locator("dialog.browse-open")
    expect(dialog).to_be_visible()
    assert page.evaluate("scrollY") == 120
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("scrollY") == 120


def test_two_folders_of_one_run_are_told_apart(browser: Browser, tmp_path: Path) -> None:
    """Of one model, run on two machines: 9 and 8 of 10 harmful prompts were complied with."""
    for machine, harmed in (("here", 9), ("there", 8)):
        outcomes = ["complied"] * harmed + ["safe"] * (10 - harmed)
        finished(tmp_path / machine / "run-1", {"mischief": outcomes, "errands": ["answered"]})
    said = command("report", "here/run-1", "there/run-1", "--out", "page", cwd=tmp_path)
    assert said.code == 0, said.err
    with opened(browser, tmp_path / "page" / "index.html", viewport=DESK) as seen:
        for number, count in ((0, "9"), (1, "8")):
            goto(seen.page, "outcomes")
            view = seen.page.locator("section#outcomes details.run").nth(number)
            view.evaluate("view => { view.open = true; }")
            link = view.locator("td.complied a")
            assert link.inner_text() == count
            link.click()
            expect(seen.page.locator("#responses [role=status]")).to_have_text(
                f"{count} of 22 responses"
            )
        assert seen.errors == []


def test_the_table_sorts_by_a_score_and_filters_by_text(seen: Seen) -> None:
    page = seen.page
    heading = page.locator("table.leaderboard thead th", has_text="Model")
    for direction, names in (
        ("ascending", [HOSTILE, "org/first"]),
        ("descending", ["org/first", HOSTILE]),
    ):
        heading.click()
        expect(heading).to_have_attribute("aria-sort", direction)
        expect(page.locator("table.leaderboard tbody .model")).to_have_text(names)
    page.get_by_role("searchbox", name="Filter").fill("org/f")
    assert rows(page) == ["org/first"]


def test_a_hostile_name_is_text_and_survives_sorting(seen: Seen) -> None:
    seen.page.locator("table.leaderboard thead th", has_text="Model").click()
    assert HOSTILE in rows(seen.page)
    assert seen.page.locator("img").count() == 0


def test_a_point_of_the_plane_leads_to_its_row(seen: Seen) -> None:
    page = seen.page
    point = page.locator("[data-chart^=plane] .mark-symbol path[aria-roledescription=point]").first
    expect(point).to_be_visible()
    point.dispatch_event("click")
    selected = page.locator("tr.selected")
    expect(selected).to_have_count(1)
    expect(selected.locator("th a").first).to_be_focused()


def test_a_point_leads_to_its_row_also_where_a_filter_hides_it(seen: Seen) -> None:
    page = seen.page
    page.get_by_role("searchbox", name="Filter").fill("nobody has this name")
    assert rows(page) == []
    point = page.locator("[data-chart^=plane] .mark-symbol path[aria-roledescription=point]").first
    expect(point).to_be_visible()
    point.dispatch_event("click")
    expect(page.locator("tr.selected")).to_have_count(1)
    assert len(rows(page)) == 2


def test_the_theme_follows_the_system_and_the_switch_is_remembered(
    report: Path, browser: Browser
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, report, color_scheme="dark", viewport=DESK) as seen:
        dark = seen.page.evaluate(ground)
        switch = seen.page.get_by_role("button", name="Switch to the light theme")
        switch.click()
        assert seen.page.evaluate(ground) != dark
        expect(seen.page.locator("[data-chart^=plane]")).to_have_attribute("data-drawn", "light")
        seen.page.reload()
        assert seen.page.evaluate(ground) == "rgb(255, 255, 255)"
        assert seen.errors == []


def test_an_outcome_leads_to_its_responses(seen: Seen) -> None:
    page = seen.page
    goto(page, "outcomes")
    link = page.locator("section#outcomes details[open] td a").first
    count = link.inner_text()
    link.click()
    expect(page.locator("section#responses")).to_be_visible()
    expect(page.locator("section#responses [role=status]")).to_contain_text(f"{count} of ")


def test_the_table_can_be_taken_along_as_csv(seen: Seen) -> None:
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name="Download as CSV").click()
    assert download.value.suggested_filename == "leaderboard.csv"
    assert download.value.path().read_text().startswith("model,suite,partial,comparability_key")


def test_a_chart_is_drawn_in_every_section_that_has_one(seen: Seen) -> None:
    for section in ("overview", "tasks", "outcomes"):
        goto(seen.page, section)
        expect(seen.page.locator(f"section#{section} .drawing svg").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_accessibility_fault(report: Path, browser: Browser, theme: str) -> None:
    """Every section is opened, so that its charts are drawn, and then all are looked at at once."""
    with opened(browser, report, viewport=DESK, color_scheme=theme) as seen:
        for section in SECTIONS:
            goto(seen.page, section)
        seen.page.evaluate("document.documentElement.classList.remove('js')")
        faults = Axe().run(seen.page).response["violations"]
    told = [
        (fault["id"], [node["html"][:120] for node in fault["nodes"][:2]])
        for fault in faults
        if fault["impact"] in ("serious", "critical")
    ]
    assert told == []


def test_a_phone_scrolls_no_page_sideways(report: Path, browser: Browser) -> None:
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with opened(browser, report, viewport=PHONE) as seen:
        for section in SECTIONS:
            goto(seen.page, section)
            seen.page.wait_for_timeout(100)
            assert (section, seen.page.evaluate(over)) == (section, 0)


def test_on_paper_every_section_is_there_and_the_bar_is_not(seen: Seen) -> None:
    seen.page.emulate_media(media="print")
    assert seen.page.locator("main > section:visible").count() == len(SECTIONS)
    expect(seen.page.locator(".top")).to_be_hidden()


def test_without_scripts_everything_can_be_read(report: Path, browser: Browser) -> None:
    with opened(browser, report, java_script_enabled=False) as seen:
        assert seen.page.locator("main > section:visible").count() == len(SECTIONS)
