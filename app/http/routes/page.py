"""The page for people at `/`, and its files in `app/http/page/`. Nothing is built: the files are sent as they are."""

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from app.settings import Settings

FOLDER = "/page/"

_FILES = Path(__file__).parent.parent / "page"
_INDEX = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The page may load its own files and ask this service, and nothing else.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # a browser asks whether its copy is still the newest
}


class _File(NamedTuple):
    content: bytes
    media_type: str
    tag: str


def make_router(settings: Settings) -> APIRouter:
    """Return the routes of the page and of its files; the page has the limits of the settings."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(_FILES.iterdir()):
        content = path.read_text("utf-8")
        if path.name == _INDEX:
            for name in ("max_batch", "max_text_characters", "max_body_bytes"):
                content = content.replace(f"{{{name}}}", str(getattr(settings, name)))
        file = _make_file(content.encode(), _TYPES[path.suffix])
        router.add_api_route("/" if path.name == _INDEX else f"{FOLDER}{path.name}", _make_answer(file))
    return router


def _make_file(content: bytes, media_type: str) -> _File:
    # Weak, because a compressed answer has the same tag (RFC 9110, section 8.8.1).
    return _File(content, media_type, f'W/"{hashlib.sha256(content).hexdigest()[:16]}"')


def _make_answer(file: _File) -> Callable[[Request], Awaitable[Response]]:
    headers = {**_HEADERS, "etag": file.tag}

    async def answer(request: Request) -> Response:
        tags = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
        if file.tag in tags or "*" in tags:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    return answer
