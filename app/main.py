"""The app; `python -m app` runs it."""

import gc
import multiprocessing
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
from app.gate import Gate
from app.limits import count_processors
from app.middleware import RequestLog, Shortcut
from app.problems import install_handlers
from app.repository import Repository
from app.routes import health, models, next_letter, sentiment
from app.routes.prediction import PredictionRoute
from app.schemas import Problem
from app.settings import Settings, read_settings
from bundle.store import Store

# How long a thread waits for another that computes in Python. At Python's own 5 ms an engine that has finished a batch
# waits longer for the event loop than a batch takes (benchmarks/service.py: a quarter more requests at 0.5 ms).
SWITCH_SECONDS = 0.0005
# New objects between two runs of the garbage collector, which hardly ever finds any: requests leave no cycles behind,
# refused ones neither.
# At Python's own 700 it looks through all requests that wait in a flood again and again, which takes half of the time.
COLLECTION_THRESHOLD = 100_000

_DESCRIPTION = """\
Recurrent models over HTTP: the next letter of a sequence, and the sentiment of a film review.

Limits: {settings.max_text_characters:,} characters a text, {settings.max_batch:,} texts a batch,
{settings.max_body_bytes:,} bytes a body. Every error is a problem document (RFC 9457), and every answer carries an
`x-request-id` that the service's log names too, but for what is no HTTP request at all.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app, by default with the settings of the environment; its models are loaded when it starts.

    Raises:
        SettingsError: the environment has settings the service cannot run with.
    """
    settings = settings or read_settings()
    logs.configure(settings.log_level)
    is_one_of_several = multiprocessing.parent_process() is not None
    fills_cores = is_one_of_several and settings.workers >= count_processors()
    repository = Repository(Store(settings.models), settings, fills_cores)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(COLLECTION_THRESHOLD)
        repository.load()  # before the process listens, so that no request comes to one that cannot answer
        yield {"gate": Gate(predicting, repository, settings)}
        repository.close()

    app = FastAPIOffline(
        redoc_url=None,
        title="lstm-serve",
        version=__version__,
        description=_DESCRIPTION.format(settings=settings),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asks the environment at every request
    )
    app.state.repository = repository
    app.state.settings = settings
    app.add_middleware(RequestLog)
    install_handlers(app)
    for resource in (next_letter, sentiment, models, health):
        # Not included: FastAPI looks through an included router's routes twice for every request.
        app.router.routes.extend(resource.router.routes)
    app.add_api_route("/", lambda: RedirectResponse("docs"), include_in_schema=False)
    app.openapi = cache(lambda: _describe(app))  # type: ignore[method-assign]  # the way FastAPI documents
    predicting = [route for route in app.routes if isinstance(route, PredictionRoute)]
    straight = {("POST", route.path): RequestLog(route.handle) for route in predicting}
    app.middleware_stack = Shortcut(app.build_middleware_stack(), straight)
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
