"""What the page loads, from where, and how it works behind a proxy with a prefix."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect
from starlette.types import Receive, Scope, Send

from app.http.app import create_app
from app.settings import Settings
from tests.conftest import serve_app
from tests.page.conftest import open_page
from tests.page.test_files import choose

FILES = Path(__file__).parent.parent.parent / "app" / "http" / "page"
FOR_PARQUET = {"/page/parquet.js", "/page/snappy.js"}  # loaded with the first such file
MOST_BYTES = 60_000  # of all files as they are sent


def open_everything(page: Page) -> None:
    for name in ("Next letter", "Files", "Sentiment"):
        page.get_by_role("tab", name=name).click()
    expect(page.locator("#file-model")).to_have_value("sentiment")
    expect(page.locator(".explanation:not(.stale)")).to_be_visible()


def test_everything_comes_from_the_service(contexts: Callable[..., BrowserContext], service: httpx.Client) -> None:
    context = contexts()
    responses: list[Response] = []
    context.on("response", lambda response: responses.append(response))
    page = open_page(context, service)
    open_everything(page)
    assert {urlsplit(response.url).netloc for response in responses} == {urlsplit(str(service.base_url)).netloc}
    loaded = {urlsplit(response.url).path for response in responses}
    parts = {f"/page/{path.name}" for path in FILES.iterdir()} - {"/page/index.html"}
    assert parts - loaded == FOR_PARQUET
    with page.expect_response("**/snappy.js"):
        choose(page, "reviews.parquet", b"PAR1")
    expect(page.locator("#file-problem")).to_contain_text("It is not a Parquet file, or it is damaged.")
    assert {urlsplit(response.url).netloc for response in responses} == {urlsplit(str(service.base_url)).netloc}
    assert parts <= {urlsplit(response.url).path for response in responses}
    assert page.evaluate("Object.keys(caches ?? {}).length + document.cookie.length") == 0


def test_all_files_together_are_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 1)) for path in FILES.iterdir()) <= MOST_BYTES


def test_a_second_visit_loads_no_file_again(contexts: Callable[..., BrowserContext], service: httpx.Client) -> None:
    def count(status: int) -> dict[str, float]:
        labels = re.compile(rf'_count{{.*route="(/page/[^"]*)",status="{status}".*}} (.*)')
        return {path: float(number) for path, number in labels.findall(service.get("/metrics").text)}

    page = open_page(contexts(), service)
    open_everything(page)
    sent, unchanged = count(200), count(304)
    page.reload()
    open_everything(page)
    assert count(200) == sent
    assert {path for path, number in count(304).items() if number > unchanged.get(path, 0)} == sent.keys() - FOR_PARQUET


def test_it_works_behind_a_prefix(contexts: Callable[..., BrowserContext], page_settings: Settings) -> None:
    app = create_app(page_settings.model_copy(update={"root_path": "/some/models"}))

    outside: list[str] = []

    async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
        """Say what uvicorn says with this setting, behind a proxy that removes the prefix."""
        if scope["type"] == "http" and not scope["path"].startswith("/some/models/"):
            outside.append(scope["path"])
        await app({**scope, "root_path": "/some/models"}, receive, send)

    with serve_app(prefixed) as client:
        page = open_page(contexts(), client, "/some/models/")
        open_everything(page)
        page.get_by_role("link", name="API docs").click()
        expect(page.get_by_text("Judge several texts")).to_be_visible()
    assert outside == ["/livez"]  # of this test's own client


@pytest.mark.parametrize("path", ["/#letters", "/#files"])
def test_a_part_can_be_linked(contexts: Callable[..., BrowserContext], service: httpx.Client, path: str) -> None:
    page = open_page(contexts(), service, path)
    expect(page.locator(path.removeprefix("/"))).to_be_visible()
    expect(page.locator("#sentiment")).to_be_hidden()
