"""The models and their versions: `GET /models` and the paths below it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request

from app.errors import FieldProblem, InvalidInputError, ModelNotFoundError, ModelRefusedError
from app.http.routes import RepositoryDependency, Responses, describe_errors
from app.http.schemas import ModelDetails, ModelList, ModelSummary, ServiceLimits, VersionList, VersionSummary
from app.runtime.repository import Repository
from app.runtime.versions import Versions
from app.tasks.base import NAME_CHARACTERS, VERSION_PATTERN
from app.telemetry import exposition, metrics
from bundle.tasks import NEXT_LETTER

router = APIRouter(tags=["models"])

ModelPath = Annotated[str, Path(max_length=NAME_CHARACTERS)]
VersionPath = Annotated[
    str,
    Path(
        max_length=NAME_CHARACTERS,
        description="A loaded version of the model, or a label that a version has.",
        json_schema_extra={"pattern": VERSION_PATTERN},
    ),
]

_TOO_LONG = FieldProblem(
    type="string_too_long", loc=["path", "name"], msg=f"String should have at most {NAME_CHARACTERS} characters"
)


def _describe_errors(path: str) -> Responses:
    return describe_errors(
        path,
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        InvalidInputError([_TOO_LONG]),
        ModelRefusedError(
            "sentimental is refused: sentimental/1/model.onnx cannot be read (No such file or directory); restore it"
        ),
    )


@router.get("/models", summary="List the models", operation_id="list_models")
async def list_models(repository: RepositoryDependency, request: Request) -> ModelList:
    """Answer which models there are and whether they are ready, and the limits of a request."""
    models = [_summarise(repository, versions) for _, versions in sorted(repository.models.items())]
    limits = ServiceLimits.model_validate(request.app.state.settings, from_attributes=True)
    return ModelList(models=models, limits=limits)


@router.get(
    "/models/{name}",
    summary="Describe a model",
    operation_id="describe_model",
    responses=_describe_errors("/models/sentimental"),
)
async def describe_model(name: ModelPath, repository: RepositoryDependency) -> ModelDetails:
    """Answer the manifest of the version that answers: recipe, preprocessing, metrics, data and versions."""
    return ModelDetails.model_validate(repository.find(name).manifest.model_dump())


@router.get(
    "/models/{name}/versions",
    summary="List the versions of a model",
    operation_id="list_versions",
    responses=describe_errors(
        "/models/sentimental/versions",
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        InvalidInputError([_TOO_LONG]),
    ),
)
async def list_versions(name: ModelPath, repository: RepositoryDependency, request: Request) -> VersionList:
    """Answer which versions a model has, which are loaded in how many processes, and which one answers."""
    return await to_version_list(repository.find_versions(name), request.app.state.settings.workers)


@router.get(
    "/models/{name}/versions/{version}",
    summary="Describe a version of a model",
    operation_id="describe_version",
    responses=_describe_errors("/models/sentimental/versions/1"),
)
async def describe_version(name: ModelPath, version: VersionPath, repository: RepositoryDependency) -> ModelDetails:
    """Answer the manifest of a loaded version, by its number or a label that it has."""
    return ModelDetails.model_validate(repository.find(name, version).manifest.model_dump())


def _summarise(repository: Repository, versions: Versions) -> ModelSummary:
    if model := versions.default:
        manifest = model.manifest
        return ModelSummary(
            name=versions.name,
            status="ready",
            task=manifest.task,
            version=manifest.version,
            default=repository.is_default(model),
            alphabet="".join(manifest.labels) if manifest.task == NEXT_LETTER.name else None,
            problems=_list_problems(versions),
        )
    status = "unloaded" if versions.is_unloaded else "refused"
    return ModelSummary(name=versions.name, status=status, detail=versions.why_none, problems=_list_problems(versions))


def _list_problems(versions: Versions) -> list[str]:
    """Return what is wrong with a model, the newest version first."""
    refused = sorted(versions.refused.items(), reverse=True)
    problems = [f"version {number} is refused: {why}" for number, why in refused]
    return [problem for problem in (versions.problem, *problems, versions.misnamed) if problem]


async def to_version_list(versions: Versions, workers: int) -> VersionList:
    """Return the versions of a model as an answer, and in how many of the processes each is loaded."""
    metrics.write()
    counts = await asyncio.to_thread(exposition.count_processes, versions.name)
    summaries = [
        VersionSummary(
            version=number,
            status="ready" if number in versions.loaded else "refused" if number in versions.refused else "not loaded",
            detail=versions.refused.get(number),
            labels=sorted(label for label, labelled in versions.labels.items() if labelled == number),
            default=number == versions.answering,
            loaded_processes=counts.get((str(number), "ready"), 0),
            default_processes=counts.get((str(number), "default"), 0),
        )
        for number in reversed(versions.published)
    ]
    return VersionList(name=versions.name, versions=summaries, shadow_share=versions.shadow_share, processes=workers)
