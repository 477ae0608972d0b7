"""The app: `uvicorn app.main:create_app --factory`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from app import __version__, logs
from app.errors import install_handlers
from app.middleware import BodyLimit, RequestLog
from app.repository import Repository
from app.routes import health, models, next_letter, sentiment
from app.schemas import Problem
from app.settings import Settings, read_settings
from bundle.store import Store

# How long a thread waits for another that computes in Python. At Python's own 5 ms an engine that has finished a batch
# waits longer for the event loop than a batch takes (benchmarks/service.py: a quarter more requests at 0.5 ms).
SWITCH_SECONDS = 0.0005

_DESCRIPTION = """\
Recurrent models over HTTP: the next letter of a sequence, and the sentiment of a film review.

Limits: {settings.max_text_characters:,} characters a text, {settings.max_batch:,} texts a batch,
{settings.max_body_bytes:,} bytes a body. Every error is a problem document (RFC 9457), and every answer carries an
`x-request-id` that the service's log names too.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app, by default with the settings of the environment; its models are loaded while it starts to answer.

    Raises:
        SettingsError: the environment has settings the service cannot run with.
    """
    settings = settings or read_settings()
    logs.configure(settings.log_level)
    repository = Repository(Store(settings.models), settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_SECONDS)
        loading = asyncio.create_task(asyncio.to_thread(repository.load))
        yield
        repository.stop()
        await loading
        repository.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="lstm-serve",
        version=__version__,
        description=_DESCRIPTION.format(settings=settings),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
    )
    app.state.repository = repository
    app.state.settings = settings
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(RequestLog)
    install_handlers(app)
    for resource in (next_letter, sentiment, models, health):
        # Not included: FastAPI looks through an included router's routes twice for every request.
        app.router.routes.extend(resource.router.routes)
    app.add_api_route("/", lambda: RedirectResponse("docs"), include_in_schema=False)
    app.openapi = cache(lambda: _describe(app))  # type: ignore[method-assign]  # the way FastAPI documents
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the schema that the errors of the routes refer to."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        routes=app.routes,
    )
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= schema.pop("$defs") | {"Problem": schema}
    return document
