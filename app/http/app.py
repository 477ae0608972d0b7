"""The app: the routes, the one middleware, and the models behind them."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import __version__
from app.access.guard import Guard
from app.http.access import Access
from app.http.openapi import describe_service
from app.http.routes import explanation, health, inference, management, metadata, metrics, models, page, prediction
from app.http.stack import Stack
from app.runtime.repository import Repository
from app.settings import Settings, read_settings
from app.tasks.shadow import Shadow
from app.telemetry import logs
from app.telemetry.metrics import EXPECTED, READY, show_defaults, write
from app.telemetry.traces import make_tracer
from bundle.store import Store

# New objects between two runs of the garbage collector. Requests leave no reference cycles, so it finds nothing. At
# Python's default of 700 it took half of the time in a flood, because each run looks through all requests that wait.
COLLECTION_THRESHOLD = 100_000

# Between two writes of what a process has counted, which the other processes show from then on.
WRITE_SECONDS = 0.5

_DESCRIPTION = """\
Recurrent models over HTTP: the next letter of a sequence, and the sentiment of an English text.

Limits: {settings.max_text_characters:,} characters a text, {settings.max_batch:,} texts a batch,
{settings.max_body_bytes:,} bytes a body. Every error is a problem document (RFC 9457), and every answer carries an
`x-request-id`, which the service's log has too.
"""


def create_app(settings: Settings | None = None, guard: Guard | None = None) -> FastAPI:
    """Make the app; its models are loaded when it starts.

    Args:
        settings: by default those of the environment.
        guard: knows the API keys; by default they are read from where the settings say.

    Raises:
        SettingsError: the service cannot run with the settings.
    """
    settings = settings or read_settings()
    logs.configure(settings.log_level)
    repository = Repository(Store(settings.models), settings)
    access = Access(settings, guard)
    tracer = make_tracer(settings.traces, settings.traces_share)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        gc.set_threshold(COLLECTION_THRESHOLD)
        repository.load()  # before the process listens, so that no request comes to one that cannot answer
        repository.watch()
        EXPECTED.put(settings.workers)
        loop = asyncio.get_running_loop()
        timer: asyncio.Handle

        def write_metrics() -> None:
            nonlocal timer
            timer = loop.call_later(WRITE_SECONDS, write_metrics)  # first, so that an error does not end it
            READY.put(repository.is_ready())
            defaults = ((name, versions.default) for name, versions in repository.models.items())
            show_defaults({name: model.manifest.version for name, model in defaults if model})
            write()

        timer = loop.call_soon(write_metrics)
        yield {"is_ready": repository.is_ready}  # for the supervisor
        timer.cancel()
        READY.put(0)
        repository.close()
        access.close()
        write()
        if tracer:
            tracer.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="lstm-serve",
        version=__version__,
        description=_DESCRIPTION.format(settings=settings),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asks the environment at every request
    )
    app.state.repository = repository
    app.state.settings = settings
    app.state.shadow = Shadow()
    # Copied instead of `include_router`, with which FastAPI looks through the routes twice for every request. It tries
    # one route after the other, so the routes with the most requests come first.
    routers = (
        prediction.make_router(),
        inference.make_router(),
        explanation.make_router(),
        health.router,
        models.router,
        management.router,
        management.protocol,
        metadata.router,
        metrics.router,
        page.make_router(settings),
    )
    app.router.routes[:0] = [route for router in routers for route in router.routes]
    # The one layer around the routes. It does all that FastAPI's own five do for this service; those take 11 % of the
    # requests a second of a small network. Without the exit stack FastAPI's own routes do not work.
    stack: Any = Stack(AsyncExitStackMiddleware(app.router), settings, access, tracer)
    if settings.trusted_proxies:
        stack = ProxyHeadersMiddleware(stack, list(settings.trusted_proxies))  # its types differ from Starlette's
    app.middleware_stack = stack
    app.openapi = cache(lambda: describe_service(app, settings, access))  # type: ignore[method-assign]  # the way FastAPI documents
    return app
