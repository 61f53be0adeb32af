"""Make the pictures anew, from real runs: the README's, of the demo's five models, their table and report;
and the plane of all methods, with leaderboards/demo.csv and its table in docs/methods.md.

    python docs/pictures.py

Needs Chromium (Debian's package chromium), and no network. The models are trained once and kept in
the cache folder, so only the first time takes minutes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import methods_table
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from bfpo_bench.cli.render import leaderboard_tables
from bfpo_bench.leaderboard.figure import choose_block, figure, write_figure
from bfpo_bench.leaderboard.keys import read_keys
from bfpo_bench.leaderboard.rows import read_leaderboard

PICTURES = Path(__file__).resolve().parent / "pictures"
WINDOW = {"width": 1200, "height": 1340}
# A picture of text asks no network for a font
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def bench(*arguments: str, cwd: Path) -> None:
    subprocess.run([sys.executable, "-m", "bfpo_bench", *arguments], cwd=cwd, check=True)


def draw_table(leaderboard: Path) -> None:
    """What `leaderboard show` prints, 92 columns wide."""
    console = Console(record=True, width=92, markup=False, emoji=False, file=sys.stderr)
    for part in leaderboard_tables(read_leaderboard(leaderboard), read_keys(leaderboard)):
        console.print(part)
    drawn = console.export_svg(title="bfpo-bench leaderboard show", unique_id="leaderboard")
    (PICTURES / "leaderboard.svg").write_text(FONT.sub("", drawn), encoding="utf-8")


def draw_methods() -> None:
    """The plane of the rows that are comparable, and the page's table."""
    block = choose_block(read_leaderboard(methods_table.BOARD), None)
    write_figure(figure(block, "plane", None), PICTURES / "methods.svg")
    methods_table.write()


def draw_report(browser: Browser, report: Path, theme: str) -> None:
    """The report's first screen."""
    page = browser.new_page(viewport=WINDOW, color_scheme=theme)  # type: ignore[arg-type]
    page.goto((report / "index.html").as_uri())
    page.wait_for_selector("canvas, svg.marks")
    page.screenshot(path=PICTURES / f"report-{theme}.png")
    page.close()


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Pictures need Chromium: install Debian's package chromium.")
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        bench("demo", "--compare", cwd=cwd)
        bench("report", "--out", "report", cwd=cwd)
        draw_table(cwd / "leaderboards" / "bfpo-demo.csv")
        bench("demo", "--all", "--leaderboard", "demo.csv", cwd=cwd)
        for name in ("demo.csv", "demo.keys.json"):
            shutil.copyfile(cwd / name, methods_table.BOARD.with_name(name))
        draw_methods()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for theme in ("light", "dark"):
                draw_report(browser, cwd / "report", theme)
            browser.close()


if __name__ == "__main__":
    main()
