"""`GET /livez` and `GET /readyz`."""

from fastapi import APIRouter, Request

from app.errors import ENDING, ModelRefusedError, NotReadyError
from app.http.routes import RepositoryDependency, describe_errors
from app.http.schemas import Status

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive?", operation_id="live")
async def live() -> Status:
    """Answer if the process is alive; restart it if there is no answer."""
    return Status(status="alive")


@router.get(
    "/readyz",
    summary="Can it answer?",
    operation_id="ready",
    responses=describe_errors(
        "/readyz",
        NotReadyError("there are no models; train or mount some"),
        ModelRefusedError(
            "sentiment is refused: sentiment/6/model.onnx cannot be read (No such file or directory); restore it"
        ),
    ),
)
async def ready(repository: RepositoryDependency, request: Request) -> Status:
    """Answer whether the default models are loaded and warm; send traffic only then."""
    if getattr(request.state, "is_ending", False):
        raise NotReadyError(ENDING)
    repository.check_ready()
    return Status(status="ready")
