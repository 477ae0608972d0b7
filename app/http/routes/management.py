"""Changes of the versions of a model by an operator; every process of the service follows them within a second."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict

from app.errors import (
    ConflictError,
    DeadlineError,
    EngineError,
    FieldProblem,
    InvalidInputError,
    ModelNotFoundError,
    PolicyError,
    escape_surrogates,
)
from app.http.body import parse_json
from app.http.routes import RepositoryDependency, Responses, describe_errors
from app.http.routes.models import ModelPath, to_version_list
from app.http.schemas import VersionList
from app.runtime.changes import Changes
from app.runtime.policy import Label, Policy, Share, VersionNumber
from app.runtime.repository import Repository
from app.runtime.versions import Versions
from bundle.errors import BundleError, BundleNotFoundError

router = APIRouter(prefix="/models/{name}", tags=["management"])
# Of the Open Inference Protocol.
protocol = APIRouter(prefix="/v2/repository/models/{name}", tags=["management"])

LabelPath = Annotated[Label, Path(description="`stable`, `candidate`, or a label of your own.")]

_LABEL = FieldProblem(type="string_pattern_mismatch", loc=["path", "label"], msg="String should match pattern '^[a-z]")
# Of a request to load a model, with its parameters.
MOST_PARAMETERS = 100
_PARAMETERS = FieldProblem(
    type="parameters",
    loc=["body", "parameters"],
    msg="a model is loaded as it is in the folder of the service, without a configuration or files of the request; "
    "leave parameters out",
)


class LabelledVersion(BaseModel):
    """The version that gets a label."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 1}]})

    version: VersionNumber


class ModelName(BaseModel):
    """The model that was loaded or unloaded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "sentiment"}]})

    name: str


class Shadow(BaseModel):
    """The share of the requests that the candidate answers too."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"share": 0.1}]})

    share: Share


def _describe_errors(path: str) -> Responses:
    return describe_errors(
        path,
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        InvalidInputError([_LABEL]),
        ConflictError("sentiment/3/model.onnx has SHA-256 2c26..., its manifest says fcde...; restore the file"),
        DeadlineError("the change is written, but this process has not followed it yet; look at its versions"),
    )


@router.put(
    "/labels/{label}",
    summary="Give a version a label",
    operation_id="set_label",
    responses=_describe_errors("/models/sentimental/labels/stable"),
)
async def set_label(
    name: ModelPath, label: LabelPath, body: LabelledVersion, repository: RepositoryDependency, request: Request
) -> VersionList:
    """Verify a version, run it, and then move a label onto it; the version with the label `stable` answers.

    A roll back is one call: give `stable` to an earlier version.
    """
    if repository.find_versions(name).is_unloaded:
        raise ConflictError(f"the model {name!r} is not loaded, and labels are for loaded versions; load it first")
    await _change(repository, lambda changes: changes.set_label(name, label, body.version))
    return await _follow(repository, name, lambda versions: versions.labels.get(label) == body.version, request)


@router.delete(
    "/labels/{label}",
    summary="Remove a label",
    operation_id="remove_label",
    responses=_describe_errors("/models/sentimental/labels/stable"),
)
async def remove_label(
    name: ModelPath, label: LabelPath, repository: RepositoryDependency, request: Request
) -> VersionList:
    """Remove a label from the version that has it; without the label `stable` the newest version answers."""
    await _change(repository, lambda changes: changes.remove_label(name, label))
    return await _follow(repository, name, lambda versions: label not in versions.labels, request)


@router.put(
    "/shadow",
    summary="Set the share of shadow requests",
    operation_id="set_shadow_share",
    responses=_describe_errors("/models/sentimental/shadow"),
)
async def set_shadow_share(
    name: ModelPath, body: Shadow, repository: RepositoryDependency, request: Request
) -> VersionList:
    """Let the version with the label `candidate` answer a share of the requests too; clients never see its answers."""
    await _change(repository, lambda changes: changes.set_shadow_share(name, body.share))
    return await _follow(repository, name, lambda versions: versions.shadow_share == body.share, request)


@protocol.post(
    "/load",
    summary="Load a model that was unloaded",
    operation_id="load_model",
    responses=_describe_errors("/v2/repository/models/sentimental/load"),
)
async def load(name: ModelPath, repository: RepositoryDependency, request: Request) -> ModelName:
    """Load the newest version of a model and its labelled ones; a model is loaded unless an operator unloaded it."""
    body = await request.body()
    value = parse_json(body, MOST_PARAMETERS) if body else {}
    if isinstance(value, dict) and value.get("parameters"):
        raise InvalidInputError([_PARAMETERS])

    def is_loaded(versions: Versions) -> bool:
        if why := versions.why_none:
            raise ConflictError(f"{name} is refused: {why}")
        return bool(versions.loaded)

    await _change(repository, lambda changes: changes.set_loaded(name, is_loaded=True))
    await _follow(repository, name, is_loaded, request)
    return ModelName(name=name)


@protocol.post(
    "/unload",
    summary="Unload a model",
    operation_id="unload_model",
    responses=_describe_errors("/v2/repository/models/sentimental/unload"),
)
async def unload(name: ModelPath, repository: RepositoryDependency, request: Request) -> ModelName:
    """Unload all versions of a model, until it is loaded again; a restart does not load it."""
    await _change(repository, lambda changes: changes.set_loaded(name, is_loaded=False))
    await _follow(repository, name, lambda versions: versions.is_unloaded, request)
    return ModelName(name=name)


async def _change(repository: Repository, change: Callable[[Changes], Policy]) -> None:
    """Make a change in a thread, because it reads and writes files.

    Raises:
        ModelNotFoundError: there is no such model or version.
        ConflictError: the version cannot be used, or the policy cannot be written.
    """
    root = repository.store.root
    try:
        await asyncio.to_thread(change, repository.changes)
    except (BundleError, EngineError, PolicyError) as error:
        # Clients may see the names of models and files, but not where they are on the server.
        message = escape_surrogates(str(error)).replace(f"{root}/", "").replace(f" in {root}", "")
        kind = ModelNotFoundError if isinstance(error, BundleNotFoundError) else ConflictError
        raise kind(message) from error


async def _follow(
    repository: Repository, name: str, has_changed: Callable[[Versions], bool], request: Request
) -> VersionList:
    """Wait until this process has followed a change, and return the versions.

    Raises:
        DeadlineError: it takes too long.
    """
    with repository.notice_changes() as changed:
        while not has_changed(versions := repository.find_versions(name)):
            left = request.state.deadline - time.monotonic()
            if left <= 0:
                raise DeadlineError(
                    "the change is written, but this process has not followed it yet; look at its versions"
                )
            changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
    return await to_version_list(versions, request.app.state.settings.workers)
