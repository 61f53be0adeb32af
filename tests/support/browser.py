"""A real Chromium without a network, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, headless; skips with a reason where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """A page from disk, with what it said to its console and what it asked the network for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Browser, file: Path, anchor: str = "", **options: Any) -> Iterator[Seen]:
    """`file` in a window of its own. `options` are Playwright's for a context: viewport, color_scheme.

    Whatever the page asks of a network fails, and is noted; after a test `errors` and `requests` are
    to be empty.
    """
    context: BrowserContext = browser.new_context(**options)
    try:
        seen = Seen(context.new_page())
        context.route(
            "http*://**", lambda route: (seen.requests.append(route.request.url), route.abort())
        )
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on(
            "console", lambda said: seen.errors.append(said.text) if said.type == "error" else None
        )
        seen.page.goto(file.resolve().as_uri() + anchor)
        yield seen
    finally:
        context.close()
