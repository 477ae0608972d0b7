"""`GET /models` and `GET /models/{name}`."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.errors import ModelNotFoundError, ModelRefusedError
from app.problems import invalid_input
from app.routes import RepositoryDependency, describe_errors
from app.schemas import NAME_CHARACTERS, FieldProblem, ModelDetails, ModelList

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models")
def list_models(repository: RepositoryDependency) -> ModelList:
    """Answer which models there are, and whether they are ready."""
    return ModelList(models=repository.summaries())


@router.get(
    "/models/{name}",
    summary="Describe a model",
    responses=describe_errors(
        "/models/sentimental",
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        invalid_input(
            [
                FieldProblem(
                    type="string_too_long",
                    loc=["path", "name"],
                    msg=f"String should have at most {NAME_CHARACTERS} characters",
                )
            ]
        ),
        ModelRefusedError("sentimental is refused: models/sentimental/1/model.onnx cannot be read; restore it"),
    ),
)
def describe_model(
    name: Annotated[str, Path(max_length=NAME_CHARACTERS)], repository: RepositoryDependency
) -> ModelDetails:
    """Answer what the manifest of a model says: recipe, preprocessing, metrics, data and versions."""
    return ModelDetails.model_validate(repository.find(name).bundle.manifest, from_attributes=True)
