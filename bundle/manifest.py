"""The manifest: all that has to be known about a bundle to trust, reproduce and serve it."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError, model_validator

from bundle.errors import ManifestError
from bundle.letters import LetterCodec
from bundle.reviews import ReviewPreprocessing

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION: Literal[1] = 1

Task = Literal["next-letter", "sentiment"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Preprocessing = Annotated[LetterCodec | ReviewPreprocessing, Field(discriminator="kind")]

_PREPROCESSING_OF_TASK = {"next-letter": LetterCodec, "sentiment": ReviewPreprocessing}


class Dataset(BaseModel):
    """What a model was trained and tested on; `sha256` is over the contents, not over an archive of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: Sha256
    training_examples: int = Field(ge=1)
    test_examples: int = Field(ge=1)


class Description(BaseModel):
    """What training knows of a model before it is published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    task: Task
    recipe: dict[str, JsonValue] = Field(description="Every hyperparameter of the training run, the seed included.")
    preprocessing: Preprocessing
    labels: tuple[str, ...] = Field(description="Classes by network output; the last one where there is one output.")
    metrics: dict[str, float]
    dataset: Dataset
    frameworks: dict[str, str] = Field(description="Version of everything that made the weights.")

    @model_validator(mode="after")
    def _preprocessing_fits_task(self) -> Self:
        if not isinstance(self.preprocessing, _PREPROCESSING_OF_TASK[self.task]):
            raise ValueError(f"preprocessing {self.preprocessing.kind!r} is not that of the task {self.task!r}")
        return self


class Manifest(Description):
    """The description of a published bundle, with the checksums that tie it to its files and to itself."""

    manifest_version: Literal[1] = MANIFEST_VERSION
    version: int = Field(ge=1)
    created: datetime
    files: dict[FileName, Sha256]
    checksum: Sha256 = Field(description="SHA-256 of this manifest without this field: see `seal`.")

    @classmethod
    def seal(cls, description: Description, version: int, files: dict[str, str]) -> Self:
        """Make the manifest of one version, its files given as name -> SHA-256."""
        fields = description.model_dump() | {"version": version, "created": datetime.now(UTC), "files": files}
        unsealed = cls(**fields, checksum="0" * 64)
        return unsealed.model_copy(update={"checksum": unsealed._digest()})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a bundle's folder.

        Raises:
            ManifestError: it is missing, unreadable, of another version, not valid, or was edited.
        """
        path = folder / MANIFEST_FILE
        try:
            fields = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path} cannot be read ({error}); publish the bundle again") from error
        found = fields.get("manifest_version") if isinstance(fields, dict) else None
        if found != MANIFEST_VERSION:
            raise ManifestError(
                f"{path} has manifest version {found!r}, this release reads {MANIFEST_VERSION}; "
                "train the bundle again or use the release that wrote it"
            )
        try:
            manifest = cls.model_validate(fields)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ManifestError(
                f"{path} does not describe a bundle this release can serve ({problems}); "
                "train the bundle again or use the release that wrote it"
            ) from error
        if manifest.checksum != manifest._digest():
            raise ManifestError(
                f"{path} was edited: its checksum field is {manifest.checksum}, its contents give "
                f"{manifest._digest()}; restore it or train the bundle again"
            )
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")

    def _digest(self) -> str:
        """Return the SHA-256 of everything but the checksum, in one canonical JSON form."""
        fields = self.model_dump(mode="json", exclude={"checksum"})
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
