"""Short texts of the user's own, labelled as the treebank's phrases are, or with probabilities."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data import treebank
from training.data.labelled_lines import read_labelled_lines
from training.errors import DataError

_LABELS = dict(zip(map(str, range(treebank.LABELS)), treebank.TARGETS, strict=True))
_FORM = (
    "write text<TAB>label, with a label of 0 (very negative), 1, 2 (neutral), 3 or 4 (very positive), or a probability "
    "of positive with a decimal point, 0.0 to 1.0"
)


@dataclass(frozen=True)
class Phrases:
    """Texts with their probabilities of positive.

    Attributes:
        judged: the texts and probabilities, in the order of the files.
    """

    judged: tuple[tuple[str, float], ...] = ()

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the texts and probabilities; None without any."""
        lines = "".join(f"{text}\t{target!r}\n" for text, target in self.judged)
        return hashlib.sha256(lines.encode("utf-8")).hexdigest() if lines else None


def divide(paths: Sequence[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the treebank among files and folders, if it is there, and the user's own files.

    The treebank is a folder or a zip archive.

    Raises:
        DataError: there are several treebanks.
    """
    found = [path for path in paths if path.is_dir() or zipfile.is_zipfile(path)]
    if len(found) > 1:
        raise DataError(f"{found[0]} and {found[1]} are both a treebank's archive or folder; name one of them")
    return (found[0] if found else None), tuple(path for path in paths if path not in found)


def load(paths: Sequence[Path]) -> Phrases:
    """Return the texts of files of lines `text<TAB>label`; a first line `text<TAB>label` is left out.

    A whole number is a label of the treebank, 0 to 4. A number with a decimal point is a probability.

    Raises:
        DataError: a file cannot be read, is empty, has another line, or has only the labels 0 and 1.
    """
    return Phrases(tuple(pair for path in paths for pair in _read(path)))


def _read(path: Path) -> list[tuple[str, float]]:
    rows = read_labelled_lines(path, _is_right, _FORM)
    if {label for _, label in rows} <= {"0", "1"}:
        raise DataError(
            f"{path} has no labels but 0 and 1, which are very negative and negative; write 0 and 4, or 0.0 and 1.0 "
            "for probabilities"
        )
    return [(text.strip(), _LABELS[label] if label in _LABELS else float(label)) for text, label in rows]


def _is_right(text: str, label: str) -> bool:
    return bool(text.strip()) and (label in _LABELS or _is_probability(label))


def _is_probability(label: str) -> bool:
    try:
        return "." in label and 0 <= float(label) <= 1
    except ValueError:
        return False
