import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from pydantic import ValidationError

from bundle.errors import BundleError, BundleNotFoundError, ChecksumError, ManifestError, VersionExistsError
from bundle.files import hash_file
from bundle.letters import LetterCodec
from bundle.manifest import MANIFEST_FILE, Description, Manifest
from bundle.reference import REFERENCE_FILE, Reference
from bundle.reviews import ReviewCodec, read_vocabulary, write_vocabulary
from bundle.store import MODEL_FILE, Bundle, Store, open_bundle
from tests.bundle.samples import EXPORTED, LETTERS, REVIEWS, WORDS, publish
from tests.rights import modes_hold


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def usual_mask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def reseal(folder: Path, without: str) -> None:
    """Write a valid manifest that does not list one of the files."""
    manifest = Manifest.read(folder)
    description = Description(**manifest.model_dump(include=set(Description.model_fields)))
    files = {name: sha256 for name, sha256 in manifest.files.items() if name != without}
    Manifest.seal(description, manifest.version, files).write(folder)


def test_versions_count_from_one(store: Store) -> None:
    published = [publish(store, LETTERS) for _ in range(3)]
    assert [bundle.manifest.version for bundle in published] == [1, 2, 3]
    assert [bundle.folder for bundle in published] == [store.root / "letters" / str(n) for n in (1, 2, 3)]
    assert store.versions("letters") == [1, 2, 3]


def test_versions_are_numbers_not_texts(store: Store) -> None:
    for version in (10, 9):
        publish(store, LETTERS, version)
    assert publish(store, LETTERS).manifest.version == 11
    assert store.versions("letters") == [9, 10, 11]
    assert store.open("letters").manifest.version == 11


def test_a_published_bundle_holds_what_was_staged(store: Store) -> None:
    bundle = publish(store, LETTERS, weights=b"abc")
    assert bundle.codec.preprocessing == LETTERS.preprocessing
    assert bundle.model_path.read_bytes() == b"abc"
    assert bundle.manifest.files == {MODEL_FILE: hashlib.sha256(b"abc").hexdigest()}
    assert bundle == store.open("letters") == open_bundle(bundle.folder)


def test_a_bundle_of_reviews_comes_with_the_codec_of_its_vocabulary(store: Store) -> None:
    codec = publish(store, REVIEWS).codec
    assert isinstance(codec, ReviewCodec)
    assert codec.vocabulary == WORDS
    assert codec.encode("bad film").ids.tolist() == [1, 5, 6]


def test_a_bundle_may_have_a_reference_which_must_fit_this_release(store: Store) -> None:
    reference = Reference.count("texts", {"length": [3, 40]})
    with store.stage("reviews") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", WORDS)
        reference.write(folder)
        published = store.publish(folder, REVIEWS)
    assert published.reference == store.open("reviews").reference == reference
    assert publish(store, REVIEWS).reference is None
    with store.stage("reviews") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", WORDS)
        (folder / REFERENCE_FILE).write_text("{}")
        with pytest.raises(ManifestError, match="not a reference of this release"):
            store.publish(folder, REVIEWS)


def test_a_bundle_of_an_exported_network_knows_its_files(store: Store) -> None:
    bundle = publish(store, EXPORTED)
    assert bundle.onnx_path("float32") == bundle.folder / "model.onnx"
    assert bundle.onnx_path("int8") == bundle.folder / "model.int8.onnx"
    assert {"model.keras", "model.onnx", "model.int8.onnx", "vocabulary.txt"} == bundle.manifest.files.keys()
    assert bundle.manifest == open_bundle(bundle.folder).manifest


def test_names_are_those_with_a_published_version(store: Store) -> None:
    assert store.names() == []
    assert store.versions("letters") == []
    publish(store, REVIEWS)
    publish(store, LETTERS)
    (store.root / "empty").mkdir()
    (store.root / "file").write_text("")
    assert store.names() == ["letters", "reviews"]


@pytest.mark.parametrize("name", ["0", "01", "-1", "1.5", "two", ".staged-1", "1 ", "٣", "²"])
def test_a_folder_that_publish_would_not_make_is_no_version(store: Store, name: str) -> None:
    publish(store, LETTERS)
    (store.root / "letters" / name).mkdir()
    assert store.versions("letters") == [1]


@pytest.mark.parametrize("name", ["0", "01", "1.5", "1 ", "v1", "V2", "٣", "10000000000000000"])
def test_a_folder_that_is_named_like_a_version_is_misnamed(store: Store, name: str) -> None:
    publish(store, LETTERS)
    (store.root / "letters" / name).mkdir()
    (store.root / "letters" / "notes").mkdir()
    (store.root / "letters" / ".1").mkdir()
    (store.root / "letters" / "3").write_text("")
    assert store.misnamed("letters") == [name]
    assert store.names() == ["letters"]


def test_a_misnamed_bundle_has_a_name_and_is_not_opened(store: Store) -> None:
    publish(store, LETTERS).folder.rename(store.root / "letters" / "latest")
    assert (store.names(), store.versions("letters"), store.misnamed("letters")) == (["letters"], [], ["latest"])
    with pytest.raises(BundleNotFoundError, match="no bundle letters .*; latest is ignored, because .*: rename it"):
        store.open("letters")
    assert publish(store, LETTERS).manifest.version == 1


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (".", "models/letters/1/manifest.json cannot be read .Permission denied.; make it readable"),
        ("..", "models/letters cannot be read .Permission denied.; make it readable"),
        ("manifest.json", "models/letters/1/manifest.json cannot be read .Permission denied.; make it readable"),
        (MODEL_FILE, "model.keras cannot be read .Permission denied.; restore it"),
    ],
)
def test_what_may_not_be_read_is_named(store: Store, place: str, message: str) -> None:
    unreadable = (publish(store, LETTERS).folder / place).resolve()
    mode = unreadable.stat().st_mode
    unreadable.chmod(0)
    with modes_hold(), pytest.raises(BundleError, match=message):
        store.open("letters")
    unreadable.chmod(mode)


def test_a_file_is_no_version(store: Store) -> None:
    publish(store, LETTERS)
    (store.root / "letters" / "2").write_text("")
    assert store.versions("letters") == [1]


def test_a_published_version_is_never_written_over(store: Store) -> None:
    publish(store, LETTERS, weights=b"first")
    with pytest.raises(VersionExistsError, match="letters/1 is published already"):
        publish(store, LETTERS, version=1, weights=b"second")
    assert store.open("letters", 1).model_path.read_bytes() == b"first"
    assert [path.name for path in (store.root / "letters").iterdir()] == ["1"]


@pytest.mark.parametrize("version", [-1, 0])
def test_versions_below_one_are_refused(store: Store, version: int) -> None:
    with pytest.raises(ValidationError, match="version"):
        publish(store, LETTERS, version)
    assert store.names() == []


def test_an_older_version_can_be_opened(store: Store) -> None:
    publish(store, LETTERS, weights=b"first")
    publish(store, LETTERS, weights=b"second")
    assert store.open("letters", 1).model_path.read_bytes() == b"first"
    assert store.open("letters").model_path.read_bytes() == b"second"


def test_a_missing_bundle_is_refused_and_the_others_named(store: Store) -> None:
    with pytest.raises(BundleNotFoundError, match="no bundle letters in .*models; the names are none"):
        store.open("letters")
    publish(store, REVIEWS)
    with pytest.raises(BundleNotFoundError, match="no bundle letters in .*models; the names are reviews"):
        store.open("letters")


@pytest.mark.parametrize("version", [0, 2, 4, -1])
def test_a_missing_version_is_refused_and_the_others_named(store: Store, version: int) -> None:
    for published in (1, 3):
        publish(store, LETTERS, published)
    with pytest.raises(BundleNotFoundError, match=f"letters version {version} in .*; its versions are 1, 3"):
        store.open("letters", version)


def test_a_staged_folder_is_invisible(store: Store) -> None:
    with store.stage("letters") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        Manifest.seal(LETTERS, 1, {MODEL_FILE: hash_file(folder / MODEL_FILE)}).write(folder)
        assert store.names() == []
        assert store.versions("letters") == []
        with pytest.raises(BundleNotFoundError):
            store.open("letters")


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_staged_folder_is_removed_when_the_block_ends(store: Store, error: type[BaseException] | None) -> None:
    def stop() -> None:
        with store.stage("letters") as folder:
            (folder / "nested").mkdir()
            (folder / "nested" / MODEL_FILE).write_bytes(b"weights")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            stop()
    else:
        stop()
    assert not store.root.exists()  # it was made for the folder


def test_folders_that_were_there_before_stay(store: Store) -> None:
    (store.root / "letters").mkdir(parents=True)
    with store.stage("letters"):
        pass
    assert [*store.root.rglob("*")] == [store.root / "letters"]


def test_a_folder_that_others_use_meanwhile_stays(store: Store) -> None:
    with store.stage("letters"):
        publish(store, REVIEWS)
    assert [path.name for path in store.root.iterdir()] == ["reviews"]


def test_staged_folders_of_one_name_do_not_meet(store: Store) -> None:
    with store.stage("letters") as first, store.stage("letters") as second:
        assert first != second


@pytest.mark.usefixtures("usual_mask")
def test_others_can_read_what_is_published(store: Store) -> None:
    folder = publish(store, LETTERS).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_a_bundle_without_its_network_is_not_published(store: Store) -> None:
    with pytest.raises(ManifestError, match="does not list model.keras;"), store.stage("letters") as folder:
        store.publish(folder, LETTERS)
    assert not store.root.exists()


def test_a_bundle_with_another_vocabulary_is_not_published(store: Store) -> None:
    with pytest.raises(ManifestError, match="the vocabulary has 1 words"), store.stage("reviews") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", WORDS[:1])
        store.publish(folder, REVIEWS)
    assert not store.root.exists()


def test_a_bundle_whose_vocabulary_is_no_text_is_not_published(store: Store) -> None:
    with (
        pytest.raises(ManifestError, match="vocabulary.txt cannot be read .byte 3 .* is not UTF-8"),
        store.stage("reviews") as folder,
    ):
        (folder / MODEL_FILE).write_bytes(b"weights")
        (folder / "vocabulary.txt").write_bytes("café\n".encode("latin-1"))
        store.publish(folder, REVIEWS)
    assert not store.root.exists()


def test_a_bundle_that_cannot_be_published_does_no_harm_to_those_that_are(store: Store) -> None:
    published = publish(store, REVIEWS)
    with pytest.raises(ManifestError), store.stage("reviews") as folder:
        store.publish(folder, REVIEWS)
    assert store.open("reviews").manifest == published.manifest
    assert store.versions("reviews") == [1]


def test_a_rename_that_fails_for_another_reason_is_not_tried_again(store: Store) -> None:
    with store.stage("elsewhere") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        with pytest.raises(FileNotFoundError):
            store.publish(folder, LETTERS)  # there is no folder of this name to publish into
    assert store.names() == []


@pytest.mark.parametrize("version", [None, 1])
def test_a_file_in_the_place_of_a_version_is_an_error_and_stays(store: Store, version: int | None) -> None:
    (store.root / "letters").mkdir(parents=True)
    (store.root / "letters" / "1").write_text("mine")
    with pytest.raises(NotADirectoryError):
        publish(store, LETTERS, version)
    assert (store.root / "letters" / "1").read_text() == "mine"
    assert [path.name for path in (store.root / "letters").iterdir()] == ["1"]


def test_the_slower_of_two_gets_the_next_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_late(folder: Path) -> Bundle:
        monkeypatch.undo()
        publish(store, LETTERS, weights=b"faster")
        return open_bundle(folder)

    monkeypatch.setattr("bundle.store.open_bundle", open_late)
    slower = publish(store, LETTERS, weights=b"slower")
    assert (slower.folder.name, slower.manifest.version) == ("2", 2)
    assert store.open("letters", 2) == slower
    assert [store.open("letters", version).model_path.read_bytes() for version in (1, 2)] == [b"faster", b"slower"]


def test_a_staged_folder_that_vanished_is_an_error(store: Store) -> None:
    with store.stage("letters") as folder:
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError):
            store.publish(folder, LETTERS)


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes().swapcase()),
            "has SHA-256 [0-9a-f]{64}, its manifest says [0-9a-f]{64}",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has SHA-256"),
        (lambda path: path.write_bytes(b""), "has SHA-256"),
        (lambda path: path.unlink(), "cannot be read .*No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read .*is not a regular file"),
        (put_pipe, "cannot be read .*is not a regular file"),
    ],
    ids=["tampered", "truncated", "emptied", "missing", "folder", "pipe"],
)
@pytest.mark.parametrize("name", [MODEL_FILE, "vocabulary.txt", "model.onnx", "model.int8.onnx"])
def test_a_damaged_file_is_refused(store: Store, name: str, damage: Callable[[Path], object], message: str) -> None:
    bundle = publish(store, EXPORTED)
    damage(bundle.folder / name)
    with pytest.raises(ChecksumError, match=f"exported/1/{name} {message}"):
        store.open("exported")


def test_a_file_that_nobody_published_does_no_harm(store: Store) -> None:
    bundle = publish(store, LETTERS)
    (bundle.folder / "notes.txt").write_text("mine")
    assert store.open("letters") == bundle


@pytest.mark.parametrize("to", ["letters/2", "digits/1"])
def test_a_bundle_in_the_folder_of_another_is_refused(store: Store, to: str) -> None:
    folder = publish(store, LETTERS).folder
    (store.root / to).parent.mkdir(exist_ok=True)
    folder.rename(store.root / to)
    name = to.partition("/")[0]
    with pytest.raises(ManifestError, match=f"{to} holds letters version 1; move it to .*/letters/1"):
        store.open(name)


@pytest.mark.parametrize(
    ("description", "name"),
    [
        (LETTERS, MODEL_FILE),
        (REVIEWS, MODEL_FILE),
        (REVIEWS, "vocabulary.txt"),
        (EXPORTED, "model.onnx"),
        (EXPORTED, "model.int8.onnx"),
    ],
)
def test_a_manifest_that_does_not_list_what_its_task_and_its_forms_need_is_refused(
    store: Store, description: Description, name: str
) -> None:
    folder = publish(store, description).folder
    reseal(folder, without=name)
    with pytest.raises(ManifestError, match=f"{MANIFEST_FILE} does not list {name};"):
        open_bundle(folder)


def test_a_bundle_can_be_opened_wherever_it_lies(store: Store, tmp_path: Path) -> None:
    bundle = publish(store, LETTERS)
    copy = open_bundle(Path(shutil.copytree(bundle.folder, tmp_path / "copy")))
    assert copy.manifest == bundle.manifest
    assert isinstance(copy.codec, LetterCodec)


def test_threads_publish_distinct_complete_versions(store: Store) -> None:
    workers = 8
    barrier = threading.Barrier(workers)

    def publish_some(worker: int) -> dict[int, bytes]:
        barrier.wait()
        mine = [b"%d %d" % (worker, count) for count in range(3)]
        return {publish(store, LETTERS, weights=weights).manifest.version: weights for weights in mine}

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(publish_some, range(workers)))
    published = {version: weights for result in results for version, weights in result.items()}
    assert sorted(published) == list(range(1, workers * 3 + 1)) == store.versions("letters")
    for version, weights in published.items():
        assert store.open("letters", version).model_path.read_bytes() == weights


def test_one_of_many_threads_publishes_a_given_version(store: Store) -> None:
    workers = 8
    barrier = threading.Barrier(workers)

    def publish_one(worker: int) -> bytes | None:
        barrier.wait()
        try:
            return publish(store, LETTERS, 5, b"%d" % worker).model_path.read_bytes()
        except VersionExistsError:
            return None

    with ThreadPoolExecutor(workers) as pool:
        winners = [weights for weights in pool.map(publish_one, range(workers)) if weights is not None]
    assert winners == [store.open("letters", 5).model_path.read_bytes()]
    assert [path.name for path in (store.root / "letters").iterdir()] == ["5"]


def test_a_reader_never_sees_half_a_bundle_of_other_processes(store: Store) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(publish, store, description) for description in [LETTERS, REVIEWS] * 20]
        seen = 0
        while not all(future.done() for future in running):
            for name in store.names():
                for version in store.versions(name):
                    assert store.open(name, version).manifest.version == version
                    seen += 1
        versions = [future.result().manifest.version for future in running]
    assert seen
    assert sorted(versions) == sorted([*range(1, 21), *range(1, 21)])
    assert store.versions("letters") == store.versions("reviews") == list(range(1, 21))


@pytest.mark.parametrize(
    "words",
    [
        ["the", "film"],
        ["one"],
        ["in\rside", "end\r", "\r", "\x85", "a\u2028b", "a\x0bb", "\x1c", " ", "naïve", "\N{GRINNING FACE}", "\ufeff"],
    ],
)
def test_a_vocabulary_file_keeps_every_word(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "vocabulary.txt"
    write_vocabulary(path, words)
    assert read_vocabulary(path) == words
    assert path.read_bytes().decode().count("\n") == len(words)


@pytest.mark.parametrize("content", [b"\xff", b"good\ncaf\xe9\n", b"\xed\xa0\x80\n"])
def test_a_vocabulary_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=f"{path} cannot be read .*is not UTF-8.; train the bundle again"):
        read_vocabulary(path)
