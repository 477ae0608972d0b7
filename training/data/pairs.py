"""Short opinions in pairs, written for this project: see `pairs/README.md`."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from training.errors import DataError

FOLDER = Path(__file__).parent / "pairs"

Part = Literal["train", "development", "report"]

# Whole authors are held out: one author's habits must not help with the author's other texts.
DEVELOPMENT = frozenset({"31", "32", "33"})
REPORT = frozenset({"34", "35", "36"})

_FILES = "author-*.jsonl"


class Group(BaseModel):
    """Texts by one author that differ little and mean the opposite; a text that readers disagreed on is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    domain: str
    positive: str | None = None
    negative: str | None = None
    neutral: str | None = None

    @property
    def is_pair(self) -> bool:
        """Whether it has a positive and a negative text."""
        return self.positive is not None and self.negative is not None


def load(part: Part, folder: Path = FOLDER) -> tuple[Group, ...]:
    """Return the groups of the authors of one part.

    Raises:
        DataError: the folder has no such authors, or a line of a file is not a group.
    """
    return tuple(group for _, group in load_with_authors(part, folder))


def load_with_authors(part: Part, folder: Path = FOLDER) -> tuple[tuple[str, Group], ...]:
    """Return the groups of the authors of one part, each with the number of its author: see `load`."""
    authors = [(path.stem.removeprefix("author-"), path) for path in sorted(folder.glob(_FILES))]
    groups = tuple((author, group) for author, path in authors if _find_part(author) == part for group in _read(path))
    if not groups:
        raise DataError(f"{folder} has no texts of the part {part!r} ({_FILES}); name the folder of the pairs")
    return groups


def hash_files(folder: Path = FOLDER) -> str:
    """Return the SHA-256 of the names and contents of a folder's files of pairs."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob(_FILES)):
        contents = path.read_bytes()
        digest.update(f"{path.name} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()


def _find_part(author: str) -> Part:
    return "development" if author in DEVELOPMENT else "report" if author in REPORT else "train"


def _read(path: Path) -> Iterator[Group]:
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; restore it") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield Group.model_validate(json.loads(line))
            except (ValueError, ValidationError) as error:
                reason = str(error).splitlines()[0]
                raise DataError(f"{path}, line {number} is not a group of texts: {reason}; correct it") from error
