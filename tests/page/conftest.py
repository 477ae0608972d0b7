"""A real browser on the page of a real service, which reaches nothing else."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from app.settings import Settings
from bundle.store import Store
from tests.app.tasks.test_next_letter import publish_untrained
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS, serve
from tests.labelled import THREE, publish_labelled

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
LOADED = "Failed to load resource"  # the browser's own message about an answer of an error

expect.set_options(timeout=1000 * SECONDS)


# Of the package: while it is open, no other event loop can run in this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def page_store(tmp_path_factory: pytest.TempPathFactory, small_store: Store) -> Store:
    """A store with two versions of a model, one of three labels, and one of another alphabet."""
    store = Store(tmp_path_factory.mktemp("page"))
    for name in ("sentiment", "imdb-500", "next-letter"):
        shutil.copytree(small_store.root / name, store.root / name)
    publish_changed(store, store.open("sentiment"))
    publish_labelled(store, "feedback", THREE)
    publish_untrained(store, "bases", "acgt ")
    return store


@pytest.fixture(scope="package")
def page_settings(page_store: Store) -> Settings:
    return Settings(
        models=page_store.root,
        loaded_versions=2,
        max_body_bytes=20_000,
        max_text_characters=2_000,
        max_batch=40,
        max_queue=160,
        deadline_ms=1000 * SECONDS,
    )


@pytest.fixture(scope="package")
def page_services(page_settings: Settings) -> Iterator[Callable[..., httpx.Client]]:
    """A function that returns a client of a service with changed settings."""
    with ExitStack() as running:
        yield lambda **changes: running.enter_context(serve(page_settings.model_copy(update=changes)))


@pytest.fixture(scope="package")
def service(page_services: Callable[..., httpx.Client]) -> httpx.Client:
    return page_services()


@pytest.fixture
def messages() -> list[str]:
    """The warnings and errors in the console of the browser."""
    return []


@pytest.fixture
def contexts(browser: Browser, messages: list[str]) -> Iterator[Callable[..., BrowserContext]]:
    """A function that returns a new window of the browser; an error in its console fails the test."""
    with ExitStack() as opened:

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                messages.append(message.text)

        def open_context(**options: Any) -> BrowserContext:
            context = browser.new_context(**options)
            opened.callback(context.close)
            context.set_default_timeout(1000 * SECONDS)
            context.on("console", note)
            context.on("weberror", lambda error: messages.append(str(error.error)))
            return context

        yield open_context
    assert [message for message in messages if not message.startswith(LOADED)] == []


@pytest.fixture
def page(contexts: Callable[..., BrowserContext], service: httpx.Client) -> Page:
    """The page of the service."""
    return open_page(contexts(), service)


def open_page(context: BrowserContext, client: httpx.Client, path: str = "/") -> Page:
    page = context.new_page()
    page.goto(f"{str(client.base_url).rstrip('/')}{path}")
    return page
