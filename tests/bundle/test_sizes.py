import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from bundle.errors import SizeError
from bundle.files import MOST_JSON_BYTES
from bundle.manifest import MANIFEST_FILE
from bundle.sizes import (
    MOST_BUNDLE_BYTES,
    MOST_DIRECTORY_BYTES,
    MOST_VOCABULARY_BYTES,
    check_size,
)
from bundle.store import MODEL_FILE, VECTORS_FILE, Store
from tests.bundle.samples import EXPORTED, LETTERS, REVIEWS, publish, publish_changed

LARGE = 1_200_000_000
ENTRY_BYTES = 46  # of the list of an archive, without the name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive of 1.2 MB that unpacks to 1.2 GB."""
    path = tmp_path_factory.mktemp("bomb") / MODEL_FILE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model.weights.h5", "w") as file:
        zeros = bytes(LARGE // 100)
        for _ in range(100):
            file.write(zeros)
    return path.read_bytes()


def make_archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return packed.getvalue()


def test_an_archive_counts_with_what_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / MODEL_FILE
    path.write_bytes(make_archive({"config.json": bytes(3000), "model.weights.h5": bytes(4000)}))
    assert path.stat().st_size < 1000
    assert check_size(path, 5) == 7005


def test_another_file_counts_with_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "notes.zip"
    path.write_bytes(make_archive({"notes": bytes(3000)}))
    assert check_size(path, 5) == 5 + path.stat().st_size


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"weights",
        make_archive({"a": b"b"})[:-1],
        make_archive({"\u00e9": b""}).replace("\u00e9".encode(), b"\xff\xff"),  # no UTF-8, though it says so
        make_archive({"a": b"b"}).replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\xff"),  # of a later format
    ],
    ids=["empty", "text", "cut", "name", "format"],
)
def test_what_is_no_archive_counts_with_its_own_size(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / MODEL_FILE
    path.write_bytes(contents)
    assert check_size(path, 5) == 5 + len(contents)


def test_a_small_archive_that_unpacks_to_much_is_refused(store: Store, bomb: bytes) -> None:
    assert len(bomb) < 1_300_000
    bundle = publish(store, LETTERS)
    expected = f"{MODEL_FILE} has 1,200,000,000 bytes unpacked, .* the limit is 1,073,741,824 .*: train a smaller"
    with pytest.raises(SizeError, match=expected):
        publish_changed(store, bundle, {MODEL_FILE: bomb})
    (bundle.folder / MODEL_FILE).write_bytes(bomb)
    with pytest.raises(SizeError, match=f"letters/1/{expected}"):
        store.open("letters")


def test_a_file_is_refused_before_it_is_read(store: Store) -> None:
    bundle = publish(store, EXPORTED)
    os.truncate(bundle.folder / "model.onnx", 1 << 40)  # without data: it takes no space, and an hour to read
    with pytest.raises(SizeError, match="model.onnx has 1,099,511,627,776 bytes unpacked"):
        store.open("exported")


def test_files_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    half = MOST_BUNDLE_BYTES // 2
    for name in (MODEL_FILE, VECTORS_FILE):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, half)
    assert check_size(tmp_path / VECTORS_FILE, check_size(tmp_path / MODEL_FILE, 0)) == MOST_BUNDLE_BYTES
    with pytest.raises(SizeError, match=f"{VECTORS_FILE} has 536,870,912 .* files before it have 536,870,913;"):
        check_size(tmp_path / VECTORS_FILE, half + 1)


def test_an_archive_with_a_long_list_of_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / MODEL_FILE
    path.write_bytes(make_archive({f"{number:06}": b"" for number in range(MOST_DIRECTORY_BYTES // ENTRY_BYTES)}))
    with pytest.raises(SizeError, match=f"{MODEL_FILE} lists its files in more than 1,048,576 bytes"):
        check_size(path, 0)


@pytest.mark.parametrize(
    ("name", "most"), [(MANIFEST_FILE, MOST_JSON_BYTES), ("vocabulary.txt", MOST_VOCABULARY_BYTES)]
)
def test_a_large_manifest_or_vocabulary_is_refused(store: Store, name: str, most: int) -> None:
    bundle = publish(store, REVIEWS)
    contents = (bundle.folder / name).read_bytes()
    with pytest.raises(SizeError, match=f"{name} has more than {most:,} bytes"):
        if name == MANIFEST_FILE:
            (bundle.folder / name).write_bytes(contents + b" " * most)
            store.open("reviews")
        else:
            publish_changed(store, bundle, {name: contents + b" " * most})
