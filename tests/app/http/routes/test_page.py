"""The page and its files as they are sent. `tests/page` has what they do in a browser."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.settings import Settings

FILES = Path(__file__).parents[4] / "app" / "http" / "page"
PATHS = ["/" if path.name == "index.html" else f"/page/{path.name}" for path in sorted(FILES.iterdir())]
TYPES = {"": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@pytest.mark.parametrize("path", PATHS)
def test_every_file_has_its_type_and_may_load_only_from_the_service(exact_client: httpx.Client, path: str) -> None:
    response = exact_client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == TYPES[path.rpartition(".")[2].strip("/")]
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_a_browser_has_is_not_sent_again(exact_client: httpx.Client, path: str) -> None:
    first = exact_client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'W/"other", {tag}', "*"):
        again = exact_client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert exact_client.get(path, headers={"if-none-match": 'W/"other"'}).content == first.content
    head = exact_client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


def test_the_page_has_the_limits_of_the_service(
    services: Callable[..., httpx.Client], exact_client: httpx.Client, settings: Settings
) -> None:
    found = dict(re.findall(r'data-([a-z-]+)="(\d+)"', exact_client.get("/").text))
    assert {name.replace("-", "_"): int(value) for name, value in found.items()} == {
        name: getattr(settings, name) for name in ("max_batch", "max_text_characters", "max_body_bytes")
    }
    assert services(max_batch=39).get("/").headers["etag"] != exact_client.get("/").headers["etag"]


def test_there_are_no_inline_scripts_or_styles_and_no_addresses_of_others() -> None:
    page = (FILES / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", page)
    for path in FILES.iterdir():
        addresses = re.findall(r"https?://[^\s\"'<>]+", path.read_text("utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path


def test_paths_beside_the_files_are_not_found(exact_client: httpx.Client) -> None:
    for path in ("/page", "/page/", "/page/index.html", "/page/../app.py", "/page/%2e%2e/app.py", "/index.html"):
        assert exact_client.get(path).status_code == 404
    assert exact_client.post("/").status_code == 405


def test_the_page_is_not_in_the_openapi_document(exact_client: httpx.Client) -> None:
    paths = exact_client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/page")]
