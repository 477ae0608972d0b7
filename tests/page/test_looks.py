"""The whole page in light and dark, on a phone and on a desktop: nothing overflows, and axe-core finds no violation."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.page.conftest import open_page
from tests.page.test_files import make_rows, score, write_table

SIZES = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1440, "height": 900}}


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(page: Page, picture: Path) -> None:
    """Check what is shown, and keep a picture of it."""
    page.wait_for_timeout(400)  # transitions end
    page.screenshot(path=picture, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_part_looks_right_and_can_be_used_by_everybody(
    contexts: Callable[..., BrowserContext],
    service: httpx.Client,
    messages: list[str],
    tmp_path: Path,
    scheme: str,
    size: str,
) -> None:
    page = open_page(contexts(viewport=SIZES[size], color_scheme=scheme), service)
    page.fill("#text", "awful " * 20 + "A wonderful film, but boring and qqq. " * 6)
    expect(page.locator(".explanation:not([hidden]):not(.stale) s").first).to_be_visible()
    check(page, tmp_path / "sentiment.png")
    page.select_option("#compare", label="feedback, version 1")
    expect(page.locator(".explanation:not([hidden]):not(.stale)")).to_have_count(2)
    page.get_by_text("Every word as a table").first.click()
    check(page, tmp_path / "compared.png")
    page.get_by_role("tab", name="Next letter").click()
    expect(page.locator("#bars button").first).to_be_visible()
    check(page, tmp_path / "letters.png")
    page.get_by_role("tab", name="Files").click()
    check(page, tmp_path / "files.png")
    score(page, "reviews.csv", write_table(make_rows(205)))
    check(page, tmp_path / "scored.png")
    assert messages == []


def test_a_page_without_a_key_can_be_used_by_everybody(
    contexts: Callable[..., BrowserContext],
    page_services: Callable[..., httpx.Client],
    tmp_path: Path,
    scheme: str,
) -> None:
    (tmp_path / "keys.json").write_text('{"clients": []}')
    page = open_page(contexts(color_scheme=scheme), page_services(keys=tmp_path / "keys.json", open_docs=True))
    expect(page.locator("#key-form")).to_be_visible()
    check(page, tmp_path / "key.png")


def test_the_keyboard_reaches_everything(page: Page) -> None:
    expect(page.locator(".explanation:not(.stale)")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="API docs")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Sentiment")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Next letter")).to_be_focused()
    expect(page.locator("#letters")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Files")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.get_by_role("tab", name="Files").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value(page.locator("#examples button").first.get_attribute("title") or "")
