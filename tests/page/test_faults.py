"""What is wrong, in words, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.access.keys import add_client
from tests.page.conftest import open_page


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_without_a_key_the_page_asks_for_one_and_then_goes_on(
    contexts: Callable[..., BrowserContext], page_services: Callable[..., httpx.Client], keys: Path
) -> None:
    key = add_client(keys, "web", ["predict"])
    page = open_page(contexts(), page_services(keys=keys, open_docs=True))
    expect(page.locator("#notice")).to_have_text("The service needs an API key.")
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#notice")).to_have_text("The service does not know this API key.")
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")
    expect(page.locator(".verdict strong")).to_be_visible()
    expect(page.locator("#key-form")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("5 models ready")
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    page.reload()
    expect(page.get_by_label("API key")).to_have_value("")


def test_a_key_whose_quota_is_used_is_told_when_to_come_back(
    contexts: Callable[..., BrowserContext], page_services: Callable[..., httpx.Client], keys: Path
) -> None:
    key = add_client(keys, "web", ["predict"], texts_per_day=1)
    page = open_page(contexts(), page_services(keys=keys, open_docs=True))
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")
    expect(page.locator(".words")).to_contain_text("The words are not shaded. The quota of this key is used up.")
    expect(page.locator(".verdict strong")).to_be_visible()
    page.fill("#text", "film")
    expect(page.locator(".problem")).to_contain_text("Try again in")


def test_when_the_network_is_back_the_text_is_judged(
    contexts: Callable[..., BrowserContext], service: httpx.Client
) -> None:
    context = contexts()
    page = open_page(context, service)
    expect(page.locator(".explanation:not(.stale)")).to_be_visible()
    context.set_offline(True)
    page.fill("#text", "A great film")
    expect(page.locator(".problem")).to_contain_text("The service does not answer.")
    expect(page.locator("#status")).to_have_text("offline")
    context.set_offline(False)
    expect(page.locator(".facts").first).to_contain_text("3 words read")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("5 models ready")


def test_a_text_past_the_limit_is_said_to_be_too_long(page: Page) -> None:
    page.fill("#text", "film " * 500)
    expect(page.locator(".problem")).to_contain_text("The text has 2500 characters, the limit is 2000; shorten it.")
    expect(page.locator("#text-count")).to_have_text("2,500 characters, 500 too many")


def test_an_overloaded_service_is_asked_again(page: Page) -> None:
    expect(page.locator(".explanation:not(.stale)")).to_be_visible()
    page.route(
        "**/sentiment",
        lambda route: route.fulfill(status=503, headers={"retry-after": "1"}, json={"detail": "512 texts are waiting"}),
        times=1,
    )
    page.fill("#text", "A great film")
    expect(page.locator(".problem")).to_have_text("The service is overloaded or not ready. Try again in 1 s.")
    expect(page.locator(".facts").first).to_contain_text("3 words read")
