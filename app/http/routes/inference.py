"""`POST /v2/models/{name}/infer`: predictions by the Open Inference Protocol; see docs/inference-protocol.md."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.types import Receive, Scope

from app.errors import FieldProblem, InvalidInputError, Location
from app.http.access import find_caller
from app.http.inference import MOST_VALUES, InferenceRequest, InferenceResponse, RequestInput
from app.http.problems import Answer
from app.http.routes.prediction import (
    DEADLINE_PARAMETER,
    OTHER_VALUES,
    DirectRoute,
    check_batch,
    check_texts,
    describe_prediction_errors,
    unless_client_leaves,
)
from app.http.tensors import JSON_SIZE_HEADER, choose_outputs, parse_request, read_ids, read_texts, write_answer
from app.runtime.queue import Permit
from app.runtime.repository import Repository
from app.runtime.versions import Model
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.base import NAME_CHARACTERS, VERSION_PATTERN, Column, ServedTask
from app.tasks.outputs import Arrays, list_outputs
from app.telemetry.logs import annotate_request

MODEL_PATH = "/v2/models/{name}"
VERSION_PATH = "/v2/models/{name}/versions/{version}"
NAME_PARAMETER = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A model that `GET /models` lists.",
    "schema": {"type": "string", "maxLength": NAME_CHARACTERS},
    "example": "sentiment",
}
VERSION_PARAMETER = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "A loaded version of the model, or a label that a version has.",
    "schema": {"type": "string", "pattern": VERSION_PATTERN},
    "example": "1",
}

_JSON_SIZE_PARAMETER = {
    "name": JSON_SIZE_HEADER,
    "in": "header",
    "required": False,
    "description": "Bytes of the JSON, if a binary tensor follows it; 0 if the body is one text without JSON.",
    "schema": {"type": "integer", "minimum": 0},
}
Element = TypeVar("Element")

_JSON_SIZE = {
    "description": "Bytes of the JSON, if binary tensors follow it.",
    "schema": {"type": "integer", "minimum": 1},
}
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_PROBLEM = FieldProblem(
    type="datatype", loc=["body", "inputs", 0, "datatype"], msg="the datatype is 'FP32'; send BYTES"
)


class InferenceRoute(DirectRoute):
    """The path for inference with a model, or with one version of it."""

    async def answer(self, scope: Scope, receive: Receive, read: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return the outputs of a model: see `DirectRoute.answer`."""
        state: Mapping[str, Any] = scope["state"]
        settings: Settings = scope["app"].state.settings
        repository: Repository = scope["app"].state.repository
        model = find_model(repository, scope["path_params"])
        manifest = model.manifest
        annotate_request(model=manifest.name, version=manifest.version)
        served = SERVED[manifest.task]
        columns = served.columns
        most_values = min(settings.max_batch * (model.bundle.codec.length + 1) + OTHER_VALUES, MOST_VALUES)
        json_size = state["headers"].get(JSON_SIZE_HEADER.encode())
        request, binary = parse_request(await read(), json_size, columns[0].name, most_values)
        (tensor,) = request.inputs
        outputs = choose_outputs(request, list_outputs(manifest.labels))
        deadline: float = state["deadline"]
        if request.parameters.timeout:
            deadline = min(deadline, time.monotonic() + request.parameters.timeout / 1_000_000)
        # As for other predictions: overload is rejected before anything that takes longer.
        with model.batcher.admit(min(tensor.shape[0], settings.max_batch), deadline, find_caller(scope)) as permit:
            arrays = await unless_client_leaves(receive, _infer(served, model, tensor, binary, permit, settings))
        candidate = repository.draw_candidate(model)
        if candidate and tensor.name == columns[0].name:  # versions may have other words, so not for ids

            async def label(model: Model, permit: Permit) -> list[str]:
                labels: list[str] = (await _infer(served, model, tensor, binary, permit, settings))["label"].tolist()
                return labels

            scope["app"].state.shadow.ask(candidate, label, arrays["label"].tolist())
        answer = InferenceResponse(
            model_name=manifest.name, model_version=str(manifest.version), id=request.id, outputs=[]
        )
        content, size = write_answer(answer, outputs, arrays)
        if size is None:
            return Answer.of_bytes(HTTPStatus.OK, "application/json", content)
        return Answer.of_bytes(HTTPStatus.OK, "application/octet-stream", content, **{JSON_SIZE_HEADER: str(size)})


def find_model(repository: Repository, path: Mapping[str, str]) -> Model:
    """Return the model that the parameters of a path name, perhaps with its version.

    Raises:
        ModelNotFoundError: there is none.
        ModelRefusedError: it cannot be served.
    """
    version = path.get("version")
    # Longer names cannot be known, and stay short in messages.
    return repository.find(path["name"][: NAME_CHARACTERS + 1], version and version[: NAME_CHARACTERS + 1])


def make_router() -> APIRouter:
    """Return the routes for inference."""
    router = APIRouter(route_class=InferenceRoute, tags=["open inference protocol"])
    for path, parameters, operation_id in (
        (MODEL_PATH, [NAME_PARAMETER], "infer"),
        (VERSION_PATH, [NAME_PARAMETER, VERSION_PARAMETER], "infer_with_version"),
    ):
        router.add_api_route(
            f"{path}/infer",
            _infer_documented,
            methods=["POST"],
            operation_id=operation_id,
            summary="Run a model on tensors",
            description="Answer the outputs of a model for a tensor of texts or ids. Tensors are JSON, or bytes after "
            f"the JSON, whose size is then in the header `{JSON_SIZE_HEADER}`.",
            responses={
                200: {"content": _BINARY, "headers": {JSON_SIZE_HEADER: _JSON_SIZE}},
                **describe_prediction_errors(f"{path}/infer".format(name="sentiment", version="6"), _PROBLEM),
            },
            openapi_extra={
                "parameters": [*parameters, DEADLINE_PARAMETER, _JSON_SIZE_PARAMETER],
                "requestBody": {"content": _BINARY},
            },
        )
    return router


async def _infer_documented(body: InferenceRequest) -> InferenceResponse:
    raise AssertionError(f"This is a bug: InferenceRoute answers this itself, not {body!r}")  # pragma: no cover


async def _infer(
    served: ServedTask, model: Model, tensor: RequestInput, binary: memoryview, permit: Permit, settings: Settings
) -> Arrays:
    """Return the outputs of a model for one tensor.

    Raises:
        InvalidInputError: the model has no such input, its elements do not fit, or it is past a limit.
        DeadlineError: the deadline passed before.
    """
    check_batch(tensor.shape[0], ("body", "inputs", 0, "shape"), settings)
    column = _find_column(served, tensor.name)
    if column.datatype == "BYTES":
        texts = _locate(read_texts(tensor, binary))
        check_texts(texts, settings)
        return await served.infer(model, column, texts, permit)
    return await served.infer(model, column, _locate(read_ids(tensor, binary)), permit)


def _find_column(served: ServedTask, name: str) -> Column:
    for column in served.columns:
        if column.name == name:
            return column
    names = " or ".join(column.name for column in served.columns)
    message = f"the input {name[:80]!r} is not one of this model; send {names}"
    raise InvalidInputError([FieldProblem(type="input", loc=["body", "inputs", 0, "name"], msg=message)])


def _locate(inputs: Iterable[Element]) -> dict[Location, Element]:
    """Return the elements of the input by their places in the body."""
    return {("body", "inputs", 0, "data", index): one for index, one in enumerate(inputs)}
