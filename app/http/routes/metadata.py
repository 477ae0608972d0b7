"""The Open Inference Protocol besides inference: health, metadata, configuration, statistics, and the index."""

from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.types import Receive, Scope

from app import __version__
from app.errors import FieldProblem, InvalidInputError, ModelNotFoundError, ModelRefusedError, NotReadyError
from app.http.body import parse_json, validate
from app.http.metadata import (
    EXTENSIONS,
    ConfigInput,
    ConfigOutput,
    Duration,
    Index,
    IndexEntry,
    IndexRequest,
    InferenceStatistics,
    Live,
    ModelConfig,
    ModelMetadata,
    ModelReady,
    ModelStatistics,
    Ready,
    ServerMetadata,
    Statistics,
    TensorMetadata,
)
from app.http.problems import Answer
from app.http.routes import RepositoryDependency, describe_errors, health
from app.http.routes.inference import MODEL_PATH, NAME_PARAMETER, VERSION_PARAMETER, VERSION_PATH, find_model
from app.http.routes.prediction import OTHER_VALUES, DirectRoute
from app.runtime.repository import Repository
from app.runtime.tally import Times
from app.runtime.versions import Model, Versions
from app.tasks import SERVED
from app.tasks.outputs import TensorType, list_outputs

# The protocol's list has only this name for the networks of this service. Others run on TensorFlow.
_ONNX = "onnx_onnxv1"
_KERAS = "tensorflow_keras"
_CONFIG_TYPES = {"BOOL": "TYPE_BOOL", "BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "INT32": "TYPE_INT32"}

_NOT_FOUND = ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment")
_REFUSED = ModelRefusedError(
    "sentiment is refused: sentiment/6/model.onnx cannot be read (No such file or directory); restore it"
)
_NOT_READY = NotReadyError("there are no models; train or mount some")

_NOT_BOOLEAN = FieldProblem(type="bool_type", loc=["body", "ready"], msg="Input should be a valid boolean", input=5)


async def _get_model(request: Request) -> Model:
    return find_model(request.app.state.repository, request.path_params)


_ModelDependency = Annotated[Model, Depends(_get_model)]

router = APIRouter(tags=["open inference protocol"])


@router.get("/v2", summary="Describe the service", operation_id="server_metadata")
@router.get("/v2/", include_in_schema=False)
async def describe_server() -> ServerMetadata:
    """Answer the name and version of the service, and the extensions of the protocol that it knows."""
    return ServerMetadata(name="lstm-serve", version=__version__, extensions=[*EXTENSIONS])


@router.get("/v2/health/live", summary="Is the process alive?", operation_id="server_live")
async def live() -> Live:
    """Answer if the process is alive, as `GET /livez` does."""
    return Live()


@router.get(
    "/v2/health/ready",
    summary="Can the service answer?",
    operation_id="server_ready",
    responses=describe_errors("/v2/health/ready", _NOT_READY, _REFUSED),
)
async def ready(repository: RepositoryDependency, request: Request) -> Ready:
    """Answer whether the default models are loaded and warm, as `GET /readyz` does."""
    await health.ready(repository, request)
    return Ready()


class IndexRoute(DirectRoute):
    """The list of all models. Its request may have any content type and no body."""

    async def answer(self, scope: Scope, receive: Receive, read: Callable[[], Awaitable[bytes]]) -> Answer:  # noqa: ARG002
        """Return the models and whether they can answer: see `DirectRoute.answer`."""
        repository: Repository = scope["app"].state.repository
        body = await read()
        request = validate(IndexRequest, parse_json(body, OTHER_VALUES)) if body else IndexRequest()
        entries = [
            entry
            for _, versions in sorted(repository.models.items())
            for entry in _list_entries(versions)
            if entry.state == "READY" or not request.ready
        ]
        index = Index(entries)
        return Answer.of_json(HTTPStatus.OK, "application/json", index.model_dump_json())


def _list_entries(versions: Versions) -> Iterator[IndexEntry]:
    """Return the entries of a model, one for each version."""
    for number in versions.published:
        if number in versions.loaded:
            yield IndexEntry(name=versions.name, version=str(number), state="READY")
        else:
            reason = versions.refused.get(number, "not loaded")
            yield IndexEntry(name=versions.name, version=str(number), state="UNAVAILABLE", reason=reason)


async def _index_documented(body: IndexRequest) -> Index:
    raise AssertionError(f"This is a bug: IndexRoute answers this itself, not {body!r}")  # pragma: no cover


async def list_statistics(repository: RepositoryDependency) -> Statistics:
    """Answer what this process has done with each model."""
    models = (model for versions in repository.models.values() for model in versions.loaded.values())
    return Statistics(model_stats=[*map(_count, models)])


async def describe_model(model: _ModelDependency, repository: RepositoryDependency) -> ModelMetadata:
    """Answer the tensors of a model. A request has one of the inputs: texts, or ids if there are any."""
    served = SERVED[model.manifest.task]
    return ModelMetadata(
        name=model.manifest.name,
        versions=[*map(str, repository.find_versions(model.manifest.name).loaded)],
        platform=_find_platform(model),
        inputs=[*map(_describe_tensor, served.columns)],
        outputs=[*map(_describe_tensor, list_outputs(model.manifest.labels))],
    )


async def check_model(model: _ModelDependency) -> ModelReady:
    """Answer whether a model can answer."""
    return ModelReady(name=model.manifest.name)


async def describe_config(model: _ModelDependency, request: Request) -> ModelConfig:
    """Answer the part of Triton's configuration that applies here. `ids` is optional: it replaces the first input."""
    served = SERVED[model.manifest.task]
    inputs = [
        ConfigInput(name=kind.name, data_type=_CONFIG_TYPES[kind.datatype], dims=[*kind.shape], optional=place > 0)
        for place, kind in enumerate(served.columns)
    ]
    outputs = [
        ConfigOutput(name=kind.name, data_type=_CONFIG_TYPES[kind.datatype], dims=[*kind.shape])
        for kind in list_outputs(model.manifest.labels)
    ]
    limits = {"max_batch": request.app.state.settings.max_batch, "length": model.bundle.codec.length}
    return ModelConfig(
        name=model.manifest.name,
        platform=_find_platform(model),
        input=inputs,
        output=outputs,
        parameters={name: {"string_value": str(value)} for name, value in limits.items()},
    )


async def count_model(model: _ModelDependency) -> Statistics:
    """Answer what this process has done with a model since it was loaded."""
    return Statistics(model_stats=[_count(model)])


def _find_platform(model: Model) -> str:
    return _ONNX if model.manifest.onnx else _KERAS


def _describe_tensor(kind: TensorType) -> TensorMetadata:
    return TensorMetadata(name=kind.name, datatype=kind.datatype, shape=[*kind.shape])


def _count(model: Model) -> ModelStatistics:
    tally = model.batcher.tally
    return ModelStatistics(
        name=model.manifest.name,
        version=str(model.manifest.version),
        last_inference=round(1000 * tally.last),
        inference_count=tally.rows,
        execution_count=tally.batches.count,
        inference_stats=InferenceStatistics(
            success=_to_duration(tally.answered),
            fail=_to_duration(tally.failed),
            queue=_to_duration(tally.waits),
            compute_infer=_to_duration(tally.batches),
        ),
    )


def _to_duration(times: Times) -> Duration:
    return Duration(count=times.count, ns=round(1_000_000_000 * times.seconds))


def _add_routes() -> None:
    """Add the other routes. Those without a name come first, as `stats` would be taken for one."""
    router.add_api_route(
        "/v2/repository/index",
        _index_documented,
        methods=["POST"],
        route_class_override=IndexRoute,
        summary="List the models and their states",
        description="Answer the models and whether they can answer. The body may be empty.",
        operation_id="repository_index",
        responses=describe_errors("/v2/repository/index", InvalidInputError([_NOT_BOOLEAN])),
        openapi_extra={"requestBody": {"required": False}},
    )
    router.add_api_route(
        "/v2/models/stats", list_statistics, summary="Count what was done with all models", operation_id="statistics"
    )
    described: list[tuple[str, Callable[..., Any], str, str]] = [
        ("", describe_model, "Describe the tensors of a model", "model_metadata"),
        ("/ready", check_model, "Can a model answer?", "model_ready"),
        ("/config", describe_config, "Describe a model as Triton does", "model_config"),
        ("/stats", count_model, "Count what was done with a model", "model_statistics"),
    ]
    for suffix, answer, summary, operation_id in described:
        for path, parameters, ending in (
            (MODEL_PATH, [NAME_PARAMETER], ""),
            (VERSION_PATH, [NAME_PARAMETER, VERSION_PARAMETER], "_of_version"),
        ):
            router.add_api_route(
                path + suffix,
                answer,
                summary=summary,
                operation_id=operation_id + ending,
                responses=describe_errors((path + suffix).format(name="sentimental", version=1), _NOT_FOUND, _REFUSED),
                openapi_extra={"parameters": parameters},  # which the functions take from the request
            )


_add_routes()
