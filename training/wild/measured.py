"""The figures of a classifier, with the number and the checksum of the texts that they are of."""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from bundle.manifest import Sha256

Kind = Literal["pairs", "frames", "treebank", "file", "changes", "narration", "fairness"]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Figure(BaseModel):
    """A share or a calibration error, and the number of texts that it is of."""

    model_config = _STRICT

    value: FiniteFloat
    texts: int = Field(ge=1)


class Section(BaseModel):
    """The figures of the same texts; `sha256` is that of the texts, and of their labels where they have any."""

    model_config = _STRICT

    kind: Kind
    sha256: Sha256
    texts: int = Field(ge=1)
    figures: dict[str, Figure]


class Measured(BaseModel):
    """All figures of a classifier.

    Attributes:
        suites: figures of texts with labels, by the name of the suite.
        changes: shares of texts whose verdict changes with a change of spelling or markup.
        narration: the same for narration behind reviews; None if there were no reviews.
        fairness: how far answers move with who a text is about.
    """

    model_config = _STRICT

    suites: dict[str, Section]
    changes: Section
    narration: Section | None
    fairness: Section

    def list_sections(self) -> dict[str, Section]:
        """Return all sections by name: that of the suite, or the kind."""
        others = (self.changes, self.narration, self.fairness)
        return self.suites | {section.kind: section for section in others if section}

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.write_text(json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the figures in a file; None for the file of an earlier release, which has another form."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError:
            return None


def hash_rows(rows: object) -> str:
    """Return the SHA-256 of texts, and of what belongs to them, as JSON."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
