"""`GET /models` and `GET /models/{name}`."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.errors import FieldProblem, InvalidInputError, ModelNotFoundError, ModelRefusedError
from app.http.routes import RepositoryDependency, describe_errors
from app.http.schemas import ModelDetails, ModelList, ModelSummary
from app.tasks.base import NAME_CHARACTERS

router = APIRouter(tags=["models"])

_TOO_LONG = FieldProblem(
    type="string_too_long", loc=["path", "name"], msg=f"String should have at most {NAME_CHARACTERS} characters"
)


@router.get("/models", summary="List the models")
async def list_models(repository: RepositoryDependency) -> ModelList:
    """Answer which models there are, and whether they are ready."""
    refused = [ModelSummary(name=name, status="refused", detail=why) for name, why in repository.refused.items()]
    ready = [
        ModelSummary(
            name=name,
            status="ready",
            task=model.manifest.task,
            version=model.manifest.version,
            default=name == model.manifest.task,
        )
        for name, model in repository.models.items()
    ]
    return ModelList(models=sorted(refused + ready, key=lambda summary: summary.name))


@router.get(
    "/models/{name}",
    summary="Describe a model",
    responses=describe_errors(
        "/models/sentimental",
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        InvalidInputError([_TOO_LONG]),
        ModelRefusedError("sentimental is refused: sentimental/1/model.onnx cannot be read; restore it"),
    ),
)
async def describe_model(
    name: Annotated[str, Path(max_length=NAME_CHARACTERS)], repository: RepositoryDependency
) -> ModelDetails:
    """Answer the manifest of a model: recipe, preprocessing, metrics, data and versions."""
    return ModelDetails.model_validate(repository.find(name).manifest.model_dump())
