import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from pydantic import ValidationError

from bundle.errors import ManifestError
from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import MANIFEST_FILE, Description, Manifest, check_name
from bundle.reviews import ReviewPreprocessing
from bundle.store import Store
from bundle.symbols import SymbolCodec
from bundle.tokenisers import KerasTokeniser
from tests.bundle.samples import EXPORTED, LETTERS, REVIEWS, publish

FILES = {"model.keras": "c" * 64, "README.md": "d" * 64}
REMOVED = object()

KERAS = REVIEWS.model_copy(
    update={"preprocessing": ReviewPreprocessing(tokeniser=KerasTokeniser(), vocabulary_size=7, length=6)}
)


def write(folder: Path, description: Description) -> Manifest:
    manifest = Manifest.seal(description, version=3, files=FILES)
    manifest.write(folder)
    return manifest


def edit(folder: Path, field: str, value: object) -> None:
    """Set a field, given as in `dataset.sha256`, in the file of a manifest; REMOVED takes it away."""
    path = folder / MANIFEST_FILE
    fields = json.loads(path.read_text(encoding="utf-8"))
    *parents, last = field.split(".")
    section = reduce(getitem, parents, fields)
    section[last] = value
    if value is REMOVED:
        del section[last]
    path.write_text(json.dumps(fields), encoding="utf-8")


def digest(folder: Path) -> str:
    """Return the checksum that the manifest in a folder has to have."""
    fields = json.loads((folder / MANIFEST_FILE).read_bytes())
    del fields["checksum"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("description", [LETTERS, REVIEWS, KERAS, EXPORTED])
def test_what_was_written_is_read(tmp_path: Path, description: Description) -> None:
    written = write(tmp_path, description)
    read = Manifest.read(tmp_path)
    assert read == written
    assert Description.model_validate(read.model_dump(include=set(Description.model_fields))) == description
    assert (read.manifest_version, read.version, read.files) == (2, 3, FILES)
    assert abs((datetime.now(UTC) - read.created).total_seconds()) < 600


def test_the_layout_and_order_of_the_file_do_not_matter(tmp_path: Path) -> None:
    written = write(tmp_path, LETTERS)
    path = tmp_path / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7, sort_keys=True))
    assert Manifest.read(tmp_path) == written


def test_odd_characters_survive(tmp_path: Path) -> None:
    odd = LETTERS.model_copy(update={"recipe": {"note": 'é\u2028"\\\N{GRINNING FACE}'}})
    written = write(tmp_path, odd)
    assert Manifest.read(tmp_path) == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read .it is not JSON at line 1, column 1.; publish"),
        (b"weights", "cannot be read"),
        (b'{"manifest_version": 1', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read .byte 2 .* is not UTF-8.;"),
        (b"[" * 100_000, "cannot be read .its lists or objects are nested too deeply.;"),
        (b"[1]", "manifest version null, this release reads 1 and 2"),
        (b"1", "manifest version null, this release reads 1 and 2"),
        (b"{}", "manifest version null, this release reads 1 and 2"),
    ],
    ids=["empty", "text", "cut", "bytes", "deep", "list", "number", "object"],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ManifestError, match=f"{re.escape(str(tmp_path / MANIFEST_FILE))}.* {message}"):
        Manifest.read(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"cannot be read \(No such file or directory\)"):
        Manifest.read(tmp_path)


def test_a_pipe_in_place_of_a_manifest_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_FILE)
    with pytest.raises(ManifestError, match="cannot be read .*is not a regular file"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("version", [3, 0, "1", None])
def test_a_manifest_of_another_version_is_refused(tmp_path: Path, version: object) -> None:
    write(tmp_path, LETTERS)
    edit(tmp_path, "manifest_version", version)
    with pytest.raises(ManifestError, match=f"manifest version {json.dumps(version)}, this release reads 1 and 2"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("description", "field", "value", "problem"),
    [
        (LETTERS, "colour", "red", "colour: Extra inputs"),
        (LETTERS, "dataset.licence", "free", "dataset.licence: Extra inputs"),
        (LETTERS, "preprocessing.step", 1, "preprocessing.step: Extra inputs"),
        (LETTERS, "labels", REMOVED, "labels: Field required"),
        (LETTERS, "checksum", REMOVED, "checksum: Field required"),
        (
            LETTERS,
            "preprocessing.kind",
            REMOVED,
            "preprocessing: the kind is null, this release knows letters, symbols, reviews",
        ),
        (LETTERS, "preprocessing.kind", "numbers", 'preprocessing: the kind is "numbers",'),
        (LETTERS, "preprocessing.kind", ["letters"], 'preprocessing: the kind is ["letters"],'),
        (LETTERS, "preprocessing.divisor", 25, "divisor: Input should be 26"),
        (LETTERS, "preprocessing.padding_value", 1, "padding_value: Input should be 0"),
        (LETTERS, "preprocessing.padding_side", "right", "padding_side: Input should be 'left'"),
        (LETTERS, "preprocessing.alphabet", "ABC", "alphabet: Input should be 'ABC"),
        (LETTERS, "preprocessing.first_code", 2, "first_code: Input should be 0 or 1"),
        (LETTERS, "preprocessing.length", 0, "length: Input should be greater"),
        (
            LETTERS,
            "preprocessing",
            REVIEWS.preprocessing.model_dump(),
            "'reviews' is not that of the task 'next",
        ),
        (REVIEWS, "preprocessing", LETTERS.preprocessing.model_dump(), "'letters' is not that of the task 'sentiment'"),
        (KERAS, "preprocessing.tokeniser.filters", "!", "tokeniser.keras.filters: Input should be"),
        (KERAS, "preprocessing.tokeniser.markup", "removed", "tokeniser.keras.markup: Input should be"),
        (KERAS, "preprocessing.tokeniser.lower_case", False, "tokeniser.keras.lower_case: Input should be True"),
        (REVIEWS, "preprocessing.tokeniser.lower_case", False, "tokeniser.words.lower_case: Input should be True"),
        (REVIEWS, "preprocessing.tokeniser.apostrophe", "'", "tokeniser.words.apostrophe: Input should be"),
        (REVIEWS, "preprocessing.tokeniser.pattern", "[a-z]+", "tokeniser.words.pattern: Input should be"),
        (REVIEWS, "preprocessing.tokeniser.kind", "keras", "tokeniser.keras.pattern: Extra inputs"),
        (REVIEWS, "preprocessing.unknown_id", 3, "unknown_id: Input should be 2"),
        (REVIEWS, "preprocessing.truncation_side", "right", "truncation_side: Input should be 'left'"),
        (REVIEWS, "preprocessing.vocabulary_file", "../words", "vocabulary_file: Input should be 'vocabulary.txt'"),
        (EXPORTED, "onnx.forms.float32", REMOVED, "onnx: forms lack float32)"),
        (EXPORTED, "onnx.forms.int8", REMOVED, "onnx: forms lack int8)"),
        (EXPORTED, "onnx.forms.int4", {}, "onnx.forms.int4.[key]: Input should be 'float32' or 'int8'"),
        (EXPORTED, "onnx.forms.int8.file", "../model.onnx", "onnx.forms.int8.file: String should match"),
        (EXPORTED, "onnx.forms.int8.batch_rows", 0, "onnx.forms.int8.batch_rows: Input should be greater"),
        (EXPORTED, "onnx.forms.int8.difference", -1, "onnx.forms.int8.difference: Input should be greater"),
        (EXPORTED, "onnx.forms.int8.difference", float("nan"), "onnx.forms.int8.difference: Input should be a finite"),
        (EXPORTED, "onnx.every_step", REMOVED, "onnx.every_step: Field required"),
        (EXPORTED, "onnx.threads", 2, "onnx.threads: Extra inputs"),
        (LETTERS, "files", {"../model.keras": "c" * 64}, "files.../model.keras"),
        (LETTERS, "files", {"a/b": "c" * 64}, "files.a/b"),
        (LETTERS, "files", {"a\\b": "c" * 64}, "files.a\\b"),
        (LETTERS, "files", {".hidden": "c" * 64}, "files..hidden"),
        (LETTERS, "files", {"name\n": "c" * 64}, "files.name\n"),
        (LETTERS, "files", {"model.keras": "C" * 64}, "files.model.keras: String should match"),
        (LETTERS, "name", "../letters", "name: String should match"),
        (LETTERS, "task", "next-word", "task: the tasks of this release are next-letter, sentiment"),
        (LETTERS, "version", 0, "version: Input should be greater"),
        (LETTERS, "created", "yesterday", "created: Input should be a valid datetime"),
        (LETTERS, "metrics.accuracy", "high", "metrics.accuracy: Input should be a valid number"),
        (LETTERS, "metrics.loss", float("nan"), "metrics.loss: Input should be a finite number"),
        (LETTERS, "metrics.loss", float("inf"), "metrics.loss: Input should be a finite number"),
        (LETTERS, "labels", ["A"], "labels A are not those of the task 'next-letter'"),
        (REVIEWS, "labels", ["positive", "negative"], "of two labels 'positive' is the second"),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused_and_the_field_named(
    tmp_path: Path, description: Description, field: str, value: object, problem: str
) -> None:
    write(tmp_path, description)
    edit(tmp_path, field, value)
    with pytest.raises(ManifestError, match=f"does not describe a bundle .*{re.escape(problem)}"):
        Manifest.read(tmp_path)


def test_a_manifest_of_version_1_is_read_and_has_no_onnx(tmp_path: Path) -> None:
    write(tmp_path, LETTERS)
    edit(tmp_path, "onnx", REMOVED)
    edit(tmp_path, "manifest_version", 1)
    edit(tmp_path, "checksum", digest(tmp_path))
    read = Manifest.read(tmp_path)
    assert (read.manifest_version, read.version, read.onnx) == (1, 3, None)
    assert read.model_dump(include=set(Description.model_fields)) == LETTERS.model_dump()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("onnx.default", "float32"),
        ("onnx.forms.int8.batch_rows", 16),
        ("onnx.forms.int8.held_out.accuracy", 0.99),
        ("onnx", None),
        ("metrics.accuracy", 0.99),
        ("metrics.loss", REMOVED),
        ("preprocessing.first_code", 0),
        ("preprocessing.length", 6),
        ("files", {"model.keras": "e" * 64}),
        ("files", {}),
        ("recipe.settings.seed", 8),
        ("dataset.sha256", "f" * 64),
        ("frameworks.keras", "2.0"),
        ("name", "digits"),
        ("version", 4),
        ("created", "2020-01-01T00:00:00Z"),
        ("checksum", "0" * 64),
    ],
)
def test_an_edited_manifest_is_refused(tmp_path: Path, field: str, value: object) -> None:
    write(tmp_path, EXPORTED if field.startswith("onnx") else LETTERS)
    edit(tmp_path, field, value)
    with pytest.raises(ManifestError, match=f"{re.escape(str(tmp_path / MANIFEST_FILE))} was edited: its checksum"):
        Manifest.read(tmp_path)


# Each is equal to what was written once it is read into the field's type.
@pytest.mark.parametrize(
    ("written", "edited"),
    [
        ('"version": 3', '"version": "3"'),
        ('"version": 3', '"version": 3.0'),
        ('"manifest_version": 2', '"manifest_version": 2.0'),
        ('"divisor": 26', '"divisor": 26.0'),
        ('"training_examples": 26', '"training_examples": 26.0'),
        ('"accuracy": 0.75', '"accuracy": "0.75"'),
    ],
)
def test_a_value_written_otherwise_is_an_edit(tmp_path: Path, written: str, edited: str) -> None:
    write(tmp_path, LETTERS)
    path = tmp_path / MANIFEST_FILE
    text = path.read_text(encoding="utf-8")
    assert text.count(written) == 1
    path.write_text(text.replace(written, edited), encoding="utf-8")
    with pytest.raises(ManifestError, match=f"{re.escape(str(path))} was edited: its checksum"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("description", [LETTERS, REVIEWS, KERAS, EXPORTED])
def test_the_checksum_is_that_of_the_json_in_the_file(tmp_path: Path, description: Description) -> None:
    manifest = write(tmp_path, description)
    assert json.loads((tmp_path / MANIFEST_FILE).read_bytes())["checksum"] == manifest.checksum
    assert digest(tmp_path) == Manifest.read(tmp_path).checksum == manifest.checksum


def test_the_checksum_covers_everything_but_itself(tmp_path: Path) -> None:
    manifest = write(tmp_path, LETTERS)
    assert manifest.checksum == Manifest.read(tmp_path).checksum
    others = [
        Manifest.seal(LETTERS, version=4, files=FILES),
        Manifest.seal(LETTERS, version=3, files={}),
        Manifest.seal(LETTERS.model_copy(update={"metrics": {}}), version=3, files=FILES),
    ]
    assert len({manifest.checksum, *(other.checksum for other in others)}) == 4


def test_a_description_needs_the_preprocessing_of_its_task() -> None:
    codec = LetterCodec(length=5, first_code=1)
    with pytest.raises(ValidationError, match="'letters' is not that of the task 'sentiment'"):
        Description(**{**REVIEWS.model_dump(), "preprocessing": codec})


@pytest.mark.parametrize("alphabet", ["01", "ACGT", "αβγ -"])
def test_the_labels_of_a_bundle_of_any_alphabet_are_its_characters(tmp_path: Path, alphabet: str) -> None:
    fields = LETTERS.model_dump() | {"preprocessing": SymbolCodec(alphabet=alphabet, length=5)}
    description = Description(**fields | {"labels": tuple(alphabet)})
    assert description.outputs == (1 if len(alphabet) == 2 else len(alphabet))
    publish(Store(tmp_path), description)
    bundle = Store(tmp_path).open("letters")
    assert bundle.codec.preprocessing == description.preprocessing
    with pytest.raises(ValidationError, match=f"are not those of the alphabet: {', '.join(alphabet)}"):
        Description(**fields)


@pytest.mark.parametrize(
    ("description", "labels"),
    [
        (LETTERS, ()),
        (LETTERS, ALPHABET[:-1]),
        (LETTERS, ALPHABET.lower()),
        (LETTERS, ALPHABET[::-1]),
        (LETTERS, ("negative", "positive")),
    ],
)
def test_a_description_needs_the_labels_of_its_task(description: Description, labels: Sequence[str]) -> None:
    with pytest.raises(ValidationError, match=f"are not those of the task '{description.task}'"):
        Description(**{**description.model_dump(), "labels": tuple(labels)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Description(**{**LETTERS.model_dump(), "metrics": {"accuracy": value}})


NO_NAMES = ["", "Upper", "-dash", "a/b", "..", ".", "a" * 64, "new\n", "two words", "dot.ted", "é"]
NAMES = ["a", "0", "my-sentiment-2", "a" * 63]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Description(**{**LETTERS.model_dump(), "name": name})
    with pytest.raises(ManifestError, match=f"^{re.escape(repr(name))} cannot name a bundle; use up to 63 of a-z"):
        check_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_small_letters_digits_and_dashes_is_taken(name: str) -> None:
    assert check_name(name) == Description(**{**LETTERS.model_dump(), "name": name}).name == name
