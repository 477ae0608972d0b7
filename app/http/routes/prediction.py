"""The paths for predictions. Each task has two: one for a single input, one for a batch."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Message, Receive, Scope, Send

from app.errors import (
    TEXT_TOO_LONG,
    TOO_LATE,
    ClientLeftError,
    DeadlineError,
    FieldProblem,
    InvalidInputError,
    Location,
    ModelNotFoundError,
    ModelRefusedError,
    OverloadedError,
    UnsupportedMediaTypeError,
)
from app.http.access import find_caller
from app.http.body import check_media_type, parse_json, read_body, validate
from app.http.limits import DEADLINE_HEADER, MOST_MILLISECONDS
from app.http.problems import Answer
from app.http.routes import Responses, describe_errors
from app.runtime.queue import Permit
from app.runtime.repository import Repository
from app.runtime.versions import Model, Selector
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.base import NAME_CHARACTERS, Form, PredictionRequest, ServedTask
from app.telemetry.logs import annotate_request
from bundle.tasks import Task

# The service watches for a client that leaves only after this time. Most requests are answered by then, and watching
# costs as much as reading a request.
UNWATCHED_SECONDS = 0.05
OTHER_VALUES = 100  # of a body, besides the texts of a batch

Predicted = TypeVar("Predicted")

DEADLINE_PARAMETER = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "Milliseconds for this request, if less than the service's own.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_MILLISECONDS},
}


class DirectRoute(APIRoute, ABC):
    """A route that FastAPI documents and that parses its requests itself.

    FastAPI resolves the parameters of a function, validates each and copies the answer for every request, which takes
    longer than the model. FastAPI still resolves the dependencies that a route declares.
    """

    @abstractmethod
    async def answer(self, scope: Scope, receive: Receive, read: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return the answer to one request.

        Args:
            scope: of the request.
            receive: returns when the client leaves, once the body has been read.
            read: returns the body.

        Raises:
            RequestError: the request cannot be answered.
            ClientLeftError: the client left before there was an answer.
        """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or reject its method.

        Raises:
            RequestError: the request cannot be answered.
            ClientLeftError: the client left before there was an answer.
        """
        if scope["method"] != "POST":
            return await super().handle(scope, receive, send)
        if not self.dependant.dependencies:
            answer = await self.answer(scope, receive, partial(read_body, receive))
            return await answer.send(send)
        request = Request(scope, receive)
        async with AsyncExitStack() as stack:
            scope["fastapi_inner_astack"] = scope["fastapi_function_astack"] = stack
            solved = await solve_dependencies(
                request=request,
                dependant=Dependant(dependencies=self.dependant.dependencies),
                dependency_overrides_provider=scope["app"],
                async_exit_stack=stack,
                embed_body_fields=False,
            )
            if solved.errors:
                raise RequestValidationError(solved.errors)
            answer = await self.answer(scope, receive, request.body)  # which a dependency may have read
            answer.headers.extend(solved.response.headers.raw)  # that dependencies have set
            await answer.send(send)
            if solved.background_tasks:
                await solved.background_tasks()


class PredictionRoute(DirectRoute):
    """A path of a task."""

    served: ServedTask
    form: Form

    async def answer(self, scope: Scope, receive: Receive, read: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return predictions: see `DirectRoute.answer`."""
        check_media_type(scope["state"]["headers"])
        repository: Repository = scope["app"].state.repository
        settings: Settings = scope["app"].state.settings
        value = parse_json(await read(), settings.max_batch + OTHER_VALUES)
        model = find_model(repository, self.served.task, value)
        # Overload is rejected before anything that takes longer. A batch past the limit is not a matter of load.
        rows = min(_count_inputs(value, self.form.field), settings.max_batch)
        with model.batcher.admit(rows, scope["state"]["deadline"], find_caller(scope)) as permit:
            prediction = self._predict(value, model, permit, settings)
            request, answers = await unless_client_leaves(receive, prediction)
        if candidate := repository.draw_candidate(model):
            labels = [self.served.label(one) for one in answers]
            scope["app"].state.shadow.ask(candidate, partial(self._label, value, settings), labels)
        is_batch = isinstance(getattr(request, self.form.field), list)
        answer = self.form.answer.model_construct(answers=answers) if is_batch else answers[0]
        return Answer.of_json(HTTPStatus.OK, "application/json", answer.model_dump_json())

    async def _label(self, value: Any, settings: Settings, model: Model, permit: Permit) -> Sequence[str | None]:
        """Return the labels that a model gives to the inputs of a request."""
        _, answers = await self._predict(value, model, permit, settings)
        return [self.served.label(answer) for answer in answers]

    async def _predict(
        self, value: Any, model: Model, permit: Permit, settings: Settings
    ) -> tuple[PredictionRequest, list[BaseModel]]:
        """Return the request in a JSON value, and the answers to its inputs.

        Raises:
            RequestError: see `ServedTask.predict`.
            InvalidInputError: the value does not fit the schema, or it is past a limit.
        """
        request = validate(self.form.request, value, model.manifest.labels)
        inputs: str | list[str] = getattr(request, self.form.field)
        return request, await self.served.predict(model, locate(self.form.field, inputs, settings), request, permit)


def make_router() -> APIRouter:
    """Return the routes of every task."""
    router = APIRouter(route_class=PredictionRoute)
    for served in SERVED.values():
        for form in (served.single, served.batch):
            router.add_api_route(
                form.path,
                _describe(form),
                methods=["POST"],
                summary=form.summary,
                description=form.description,
                tags=[served.task.name.replace("-", " ")],
                responses=describe_prediction_errors(form.path, form.problem),
                openapi_extra={"parameters": [DEADLINE_PARAMETER]},
                operation_id=form.path.strip("/").replace("/", "_").replace("-", "_"),
            )
            route = router.routes[-1]
            assert isinstance(route, PredictionRoute)
            route.served, route.form = served, form
    return router


def _describe(form: Form) -> Callable[..., Any]:
    """Return a function with the schemas of a form; FastAPI makes the documentation from it."""

    async def predict(body: Any) -> Any:
        raise AssertionError(f"This is a bug: PredictionRoute answers this itself, not {body!r}")  # pragma: no cover

    predict.__annotations__ = {"body": form.request, "return": form.answer}
    return predict


def describe_prediction_errors(path: str, problem: FieldProblem) -> Responses:
    """Return the OpenAPI responses of a path for predictions, one of them with an example of a wrong field."""
    return describe_errors(
        path,
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        UnsupportedMediaTypeError(
            "the content-type is 'text/plain'; send JSON with the header content-type: application/json"
        ),
        InvalidInputError([problem]),
        ModelRefusedError(
            "sentiment is refused: sentiment/6/model.onnx cannot be read (No such file or directory); restore it"
        ),
        OverloadedError("512 texts are waiting, and at most 512 may; 1 more have no place", 0.4),
        DeadlineError(TOO_LATE),
    )


def find_model(repository: Repository, task: Task, value: Any) -> Model:
    """Return the model that a body names, by default that of a task; log lines of the request have it from now on.

    Raises:
        ModelNotFoundError, ModelRefusedError: there is no such model, or it cannot be served.
    """
    model = repository.find_for(task, _find_name(value), _find_version(value))
    annotate_request(model=model.manifest.name, version=model.manifest.version)
    return model


def _find_name(value: Any) -> str | None:
    """Return the name of the model in a body; None if it has none, or if the schema will reject it."""
    name = value.get("model") if isinstance(value, dict) else None
    return name if isinstance(name, str) and len(name) <= NAME_CHARACTERS else None


def _find_version(value: Any) -> Selector:
    """Return the version of the model in a body; None if it has none, or if the schema will reject it."""
    version = value.get("version") if isinstance(value, dict) else None
    is_number = isinstance(version, int) and not isinstance(version, bool)
    return version if is_number or (isinstance(version, str) and len(version) <= NAME_CHARACTERS) else None


def _count_inputs(value: Any, field: str) -> int:
    """Return the number of inputs in a body; 1 if the schema will reject it."""
    inputs = value.get(field) if isinstance(value, dict) else None
    return max(1, len(inputs)) if isinstance(inputs, list) else 1


def locate(field: str, inputs: str | list[str], settings: Settings) -> dict[Location, str]:
    """Return the inputs of a request by their places in the body.

    Raises:
        InvalidInputError: there are too many, or some are too long; it names every field past a limit.
    """
    if isinstance(inputs, str):
        located: dict[Location, str] = {("body", field): inputs}
    else:
        check_batch(len(inputs), ("body", field), settings)
        located = {("body", field, index): text for index, text in enumerate(inputs)}
    check_texts(located, settings)
    return located


def check_batch(items: int, location: Location, settings: Settings) -> None:
    """Return if a batch, which is at this place of the body, has no more items than the limit.

    Raises:
        InvalidInputError: it has more.
    """
    if items > settings.max_batch:
        message = f"the batch has {items} items, the limit is {settings.max_batch}; send it in parts"
        raise InvalidInputError([FieldProblem(type="batch_too_large", loc=list(location), msg=message)])


def check_texts(located: Mapping[Location, str], settings: Settings) -> None:
    """Return if no text is too long.

    Raises:
        InvalidInputError: some are; it names all of them.
    """
    limit = settings.max_text_characters
    problems = [
        FieldProblem(
            type="text_too_long",
            loc=list(location),
            msg=TEXT_TOO_LONG.format(len(text), limit),
        )
        for location, text in located.items()
        if len(text) > limit
    ]
    if problems:
        raise InvalidInputError(problems)


async def unless_client_leaves(receive: Receive, prediction: Coroutine[Any, Any, Predicted]) -> Predicted:
    """Return a prediction; cancel it when the client leaves, so that it gives its place in the queue back."""
    loop = asyncio.get_running_loop()
    handler = asyncio.current_task(loop)
    assert handler is not None
    leaving: asyncio.Future[Message] | None = None
    is_predicting = True

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.ensure_future(receive())  # the body has been read, so this returns when the client leaves
        leaving.add_done_callback(lambda _: is_predicting and handler.cancel())

    timer = loop.call_later(UNWATCHED_SECONDS, watch)
    try:
        return await prediction
    except asyncio.CancelledError as error:
        if leaving and leaving.done():
            raise ClientLeftError from error
        raise
    finally:
        is_predicting = False
        timer.cancel()
        if leaving:
            leaving.cancel()
