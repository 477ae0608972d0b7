"""The manifest: everything needed to verify, reproduce and serve a bundle."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bundle.codec import Preprocessing
from bundle.errors import ManifestError, explain
from bundle.files import read_file
from bundle.tasks import TASKS, check_labels, count_outputs

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION: Literal[2] = 2
READ_VERSIONS = (1, 2)  # version 1 has no `onnx`

Precision = Literal["float32", "int8"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]


def _check_task(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"the tasks of this release are {', '.join(TASKS)}")
    return name


def _read_preprocessing(section: object) -> object:
    """Return a section as an object of the class for its kind."""
    if not isinstance(section, dict):
        return section
    kinds = {each.model_fields["kind"].default: each for task in TASKS.values() for each in task.sections}
    kind = section.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"the kind is {json.dumps(kind)[:80]}, this release knows {', '.join(kinds)}")
    return kinds[kind].model_validate(section)


TaskName = Annotated[str, AfterValidator(_check_task)]
AnyPreprocessing = Annotated[SerializeAsAny[Preprocessing], BeforeValidator(_read_preprocessing)]


class DatasetFile(BaseModel):
    """A file or folder of the user's own data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: Sha256
    bytes: int = Field(ge=0)
    rows: int = Field(ge=0, description="All rows, those that were left out too.")


class DatasetLabel(BaseModel):
    """The rows of one label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    train: int = Field(ge=0)
    test: int = Field(ge=0)


class Dataset(BaseModel):
    """The data that a model was trained and tested on; `sha256` is over the contents, not over an archive of them.

    The fields with defaults are for the user's own data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: Sha256 | None = Field(description="None if the data are unknown.")
    training_examples: int = Field(ge=0, description="0 if the weights were trained elsewhere.")
    test_examples: int = Field(ge=0, description="0 if the data are unknown.")
    files: tuple[DatasetFile, ...] = Field(default=(), description="The data, and the test data if they are apart.")
    language: str | None = Field(default=None, description="Of the texts, or `unknown`.")
    script: str | None = Field(default=None, description="Of most letters, such as Latin.")
    labels: tuple[DatasetLabel, ...] = Field(default=(), description="The labelled rows.")
    unlabelled: int = Field(default=0, ge=0, description="Training rows without a label.")
    split: str | None = Field(default=None, description="How the test rows were chosen.")
    held_out: int = Field(default=0, ge=0, description="Training rows that decided when to stop.")


class OnnxForm(BaseModel):
    """One ONNX file of a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName
    batch_rows: int = Field(ge=1, description="Best number of rows in a batch, as measured at publication.")
    difference: FiniteFloat = Field(ge=0, description="Largest difference from Keras among the compared rows.")
    held_out: dict[str, FiniteFloat] = Field(
        default={}, description="Metrics on held-out examples, if there is more than one form to choose from."
    )


class Onnx(BaseModel):
    """The network of a bundle as ONNX, in one or two forms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opset: int = Field(ge=1)
    every_step: bool = Field(description="Whether every row, even a short one, takes all steps of the network.")
    compared_rows: int = Field(ge=1, description="Rows whose answers were compared with those of Keras.")
    forms: dict[Precision, OnnxForm] = Field(description="`float32` answers as Keras does.")
    default: Precision = Field(description="The form for serving; the metrics are measured on it.")

    @model_validator(mode="after")
    def _forms_are_there(self) -> Self:
        if missing := {"float32", self.default} - self.forms.keys():
            raise ValueError(f"forms lack {', '.join(sorted(missing))}")
        return self


class Description(BaseModel):
    """The part of a manifest that is known before publication."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    task: TaskName
    recipe: dict[str, JsonValue] = Field(description="Every hyperparameter of the training run, including the seed.")
    preprocessing: AnyPreprocessing
    labels: tuple[str, ...] = Field(description="Classes by network output: see `count_outputs`.")
    metrics: dict[str, FiniteFloat]
    dataset: Dataset
    frameworks: dict[str, str] = Field(description="Versions of Python and the libraries in the publishing process.")
    onnx: Onnx | None = Field(default=None, description="None if the network cannot be exported.")

    @model_validator(mode="after")
    def _preprocessing_and_labels_fit_task(self) -> Self:
        task = TASKS[self.task]
        if not isinstance(self.preprocessing, task.sections):
            raise ValueError(f"preprocessing {self.preprocessing.kind!r} is not that of the task {task.name!r}")
        expected = self.preprocessing.labels or task.labels
        if task.has_free_labels:
            check_labels(self.labels)
        elif self.labels != expected:
            whose = f"the task {task.name!r}" if expected is task.labels else "the alphabet"
            raise ValueError(f"labels {', '.join(self.labels)} are not those of {whose}: {', '.join(expected)}")
        return self

    @property
    def outputs(self) -> int:
        """Number of outputs of the network for one row."""
        return count_outputs(self.labels)


class Manifest(Description):
    """The description of a published bundle, with the checksums that tie it to its files and to itself."""

    manifest_version: Literal[1, 2] = MANIFEST_VERSION
    version: int = Field(ge=1)
    created: datetime
    files: dict[FileName, Sha256]
    checksum: Sha256 = Field(description="SHA-256 of this manifest without this field: see `seal`.")

    @classmethod
    def seal(cls, description: Description, version: int, files: dict[str, str]) -> Self:
        """Make the manifest of one version; `files` maps each file's name to its SHA-256."""
        fields = description.model_dump() | {"version": version, "created": datetime.now(UTC), "files": files}
        unsealed = cls(**fields, checksum="0" * 64)
        return unsealed.model_copy(update={"checksum": _digest(unsealed.model_dump(mode="json"))})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a bundle's folder.

        Raises:
            ManifestError: it is missing, unreadable, of another version, invalid, or was edited.
            SizeError: it is too large.
        """
        path = folder / MANIFEST_FILE
        try:
            fields = json.loads(read_file(path))
        except (OSError, ValueError, RecursionError) as error:
            remedy = "make it readable" if isinstance(error, PermissionError) else "publish the bundle again"
            raise ManifestError(f"{path} cannot be read ({explain(error)}); {remedy}") from error
        found = fields.get("manifest_version") if isinstance(fields, dict) else None
        if found not in READ_VERSIONS:
            reads = " and ".join(map(str, READ_VERSIONS))
            raise ManifestError(
                f"{path} has manifest version {json.dumps(found)[:80]}, this release reads {reads}; "
                "train the bundle again or use the release that wrote it"
            )
        try:
            manifest = cls.model_validate(fields)
        except ValidationError as error:
            raise ManifestError(
                f"{path} does not describe a bundle this release can serve ({explain(error)}); "
                "train the bundle again or use the release that wrote it"
            ) from error
        if manifest.checksum != _digest(fields):
            raise ManifestError(
                f"{path} was edited: its checksum field is {manifest.checksum}, its contents give "
                f"{_digest(fields)}; restore it or train the bundle again"
            )
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def check_name(name: str) -> str:
    """Return the name if it is a valid name for a bundle.

    Raises:
        ManifestError: it is not valid.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ManifestError(f"{name!r} cannot name a bundle; use up to 63 of a-z, 0-9 and -, as in my-sentiment-2")
    return name


def _digest(fields: dict[str, JsonValue]) -> str:
    """Return the SHA-256 of a manifest's JSON without its checksum, in one canonical form."""
    content = {name: value for name, value in fields.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
