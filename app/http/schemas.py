"""Answers of the paths about models and health. The schemas of predictions are in `app.tasks`."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from app.tasks.base import with_example
from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset, TaskName


class VersionSummary(BaseModel):
    """A version of a model and whether it answers."""

    version: int
    status: Literal["ready", "refused", "not loaded"]
    detail: str | None = Field(default=None, description="Why the version was refused.")
    labels: list[str] = Field(description="Names by which requests can choose the version.")
    default: bool = Field(description="Whether it answers requests that name no version.")
    loaded_processes: int = Field(
        description="Processes of the service in which it was loaded, half a second ago or less.",
    )
    default_processes: int = Field(
        description="Of these, the processes in which it answered requests that name no version."
    )


class ModelSummary(BaseModel):
    """A model and whether it answers."""

    name: str
    status: Literal["ready", "refused", "unloaded"]
    detail: str | None = Field(default=None, description="Why the model was refused.")
    task: TaskName | None = Field(default=None, description="Known once the model is ready.")
    version: int | None = Field(default=None, description="The version that answers requests that name none.")
    default: bool = Field(default=False, description="Whether it answers requests of its task that name no model.")
    alphabet: str | None = Field(
        default=None, description="The characters that a ready model of the task next-letter reads and answers with."
    )
    problems: list[str] = Field(
        default=[],
        description="Why a version is refused, a folder is ignored, or the policy is not followed, also if another "
        "version answers.",
    )


class ServiceLimits(BaseModel):
    """What the service accepts in one request: its settings."""

    max_batch: int = Field(description="Texts or sequences in one batch request.")
    max_text_characters: int = Field(description="Characters in one text or sequence.")
    max_body_bytes: int = Field(description="Bytes in the body of a request.")
    deadline_ms: int = Field(description="Milliseconds in which a request must be answered.")


class ModelList(BaseModel):
    """The models of this service, and its limits."""

    model_config = with_example(
        {
            "models": [
                {
                    "name": "sentiment",
                    "status": "ready",
                    "task": "sentiment",
                    "version": 1,
                    "default": True,
                    "problems": ["version 2 is refused: its manifest was edited"],
                },
                {
                    "name": "my-sentiment",
                    "status": "refused",
                    "detail": "its manifest was edited",
                    "problems": ["version 1 is refused: its manifest was edited"],
                },
            ],
            "limits": {
                "max_batch": 128,
                "max_text_characters": 100_000,
                "max_body_bytes": 4_194_304,
                "deadline_ms": 5000,
            },
        }
    )

    models: list[ModelSummary]
    limits: ServiceLimits


class VersionList(BaseModel):
    """The versions of a model, the newest first, as the process that answers has them, and in how many others."""

    model_config = with_example(
        {
            "name": "sentiment",
            "versions": [
                {
                    "version": 3,
                    "status": "refused",
                    "detail": "its manifest was edited",
                    "labels": [],
                    "default": False,
                    "loaded_processes": 0,
                    "default_processes": 0,
                },
                {
                    "version": 2,
                    "status": "ready",
                    "labels": ["candidate"],
                    "default": False,
                    "loaded_processes": 2,
                    "default_processes": 0,
                },
                {
                    "version": 1,
                    "status": "ready",
                    "labels": ["stable"],
                    "default": True,
                    "loaded_processes": 2,
                    "default_processes": 2,
                },
            ],
            "shadow_share": 0.1,
            "processes": 2,
        }
    )

    name: str
    versions: list[VersionSummary]
    shadow_share: float = Field(description="Share of the requests that the candidate answers too, unseen by clients.")
    processes: int = Field(description="Processes that the service should have.")


class ModelDetails(BaseModel):
    """The manifest of a model that is ready."""

    model_config = with_example(
        {
            "name": "next-letter",
            "task": "next-letter",
            "version": 1,
            "created": "2026-11-20T12:00:00Z",
            "labels": list(ALPHABET),
            "metrics": {"accuracy": 1.0, "loss": 0.0008},
            "preprocessing": LetterCodec(length=26, first_code=1).model_dump(),
            "recipe": {"name": "next-letter", "settings": {"units": 64, "seed": 7}},
            "dataset": {
                "name": "alphabet patterns (all)",
                "sha256": "ef71045161fb49d891f5405b5014ba994a092efc74cfac2b76f34d0409d5733c",
                "training_examples": 2366,
                "test_examples": 676,
            },
            "frameworks": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"},
        }
    )

    name: str
    task: TaskName
    version: int
    created: datetime
    labels: list[str]
    metrics: dict[str, float]
    preprocessing: dict[str, JsonValue] = Field(description="How inputs become rows; `kind` decides the other fields.")
    recipe: dict[str, JsonValue]
    dataset: Dataset
    frameworks: dict[str, str]


class Status(BaseModel):
    """The answer of a health check that succeeds."""

    model_config = with_example({"status": "ready"})

    status: Literal["alive", "ready"]
