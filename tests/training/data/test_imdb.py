import gzip
import hashlib
import io
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from training.data import imdb
from training.data.imdb import ARCHIVE, Review
from training.errors import DataError, RecipeError

FILES = {
    "train/pos/0_9.txt": "wonderful",
    "train/pos/10_7.txt": "très bon",
    "train/pos/2_10.txt": "tender",
    "train/neg/0_3.txt": "boring",
    "train/neg/1_1.txt": "",
    "test/pos/0_10.txt": "moving\r\n<br />again",
    "test/neg/7_4.txt": "lazy",
    "train/unsup/10_0.txt": "a film",
    "train/unsup/9_0.txt": "who knows",
}
IGNORED = {
    "README": "read me",
    "imdb.vocab": "the",
    "train/urls_pos.txt": "http://localhost/",
    "train/labeledBow.feat": "9 0:1",
    "test/unsup/0_0.txt": "not in the original",
    "train/pos/notes.md": "mine",
    "train/pos/deeper/3_9.txt": "too deep",
    "other/pos/3_9.txt": "no split",
}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def pack(files: dict[str, bytes]) -> bytes:
    """Return a tar.gz archive of these files, with their folders as members, as the published one has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for folder in sorted({parent for name in files for parent in Path("aclImdb", name).parents}):
            member = tarfile.TarInfo(str(folder))
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def encode(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "aclImdb", encode(FILES | IGNORED))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / ARCHIVE
    path.write_bytes(pack(encode(dict(reversed((FILES | IGNORED).items())))))
    return path


def test_reviews_are_read_in_the_order_of_label_and_number(folder: Path) -> None:
    data = imdb.load(folder)
    assert data.train == (
        Review(0, 0, 3, "boring"),
        Review(0, 1, 1, ""),
        Review(1, 0, 9, "wonderful"),
        Review(1, 2, 10, "tender"),
        Review(1, 10, 7, "très bon"),
    )
    assert data.test == (Review(0, 7, 4, "lazy"), Review(1, 0, 10, "moving\r\n<br />again"))
    assert data.unlabelled == ("who knows", "a film")


def test_folder_and_archive_are_the_same_data(folder: Path, archive: Path) -> None:
    assert imdb.load(archive) == imdb.load(folder)


def test_the_hash_is_over_the_names_and_contents_of_the_reviews(tmp_path: Path, folder: Path) -> None:
    lines = sorted(f"{name} {hashlib.sha256(text.encode()).hexdigest()}\n" for name, text in FILES.items())
    assert imdb.load(folder).sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    other = write_folder(tmp_path / "other", encode(FILES | {"test/neg/7_4.txt": "lazy!"}))
    assert imdb.load(other).sha256 != imdb.load(folder).sha256


def test_only_the_published_reviews_have_the_name_of_the_dataset(
    folder: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imdb.load(folder).name == "aclImdb"
    assert imdb.load(archive).name == ARCHIVE
    monkeypatch.chdir(folder)
    assert imdb.load(Path(".")).name == "aclImdb"
    monkeypatch.setattr(imdb, "SHA256", imdb.load(folder).sha256)
    assert imdb.load(folder).name == imdb.NAME


@pytest.mark.parametrize("name", ["review.txt", "1.txt", "1_.txt", "_9.txt", "1_2_3.txt", "one_9.txt", "-1_9.txt"])
@pytest.mark.parametrize(("folder", "packed"), [("train/pos", False), ("test/neg", True), ("train/unsup", False)])
def test_a_review_with_a_bad_name_is_refused(tmp_path: Path, name: str, folder: str, packed: bool) -> None:
    files = encode(FILES | {f"{folder}/{name}": "what"})
    source = write_folder(tmp_path / "data", files)
    if packed:
        source = tmp_path / ARCHIVE
        source.write_bytes(pack(files))
    with pytest.raises(DataError, match=f"^{name} in .* is not named <number>_<stars>.txt"):
        imdb.load(source)


@pytest.mark.parametrize("missing", ["train/pos", "train/neg", "test/pos", "test/neg"])
def test_a_dataset_without_one_of_the_classes_is_refused(tmp_path: Path, missing: str) -> None:
    files = {name: text for name, text in FILES.items() if not name.startswith(missing)}
    split = missing.partition("/")[0]
    with pytest.raises(DataError, match=f"has no reviews in {split}/pos or in {split}/neg"):
        imdb.load(write_folder(tmp_path / "data", encode(files)))


def test_a_dataset_without_unlabelled_reviews_is_taken(tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if "unsup" not in name}
    assert imdb.load(write_folder(tmp_path / "data", encode(files))).unlabelled == ()


def test_the_folder_above_the_dataset_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="has no reviews in train/pos"):
        imdb.load(folder.parent)


def test_a_review_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    files = encode(FILES) | {"train/pos/0_9.txt": "café".encode("latin-1")}
    with pytest.raises(DataError, match="train/pos/0_9.txt in .* is not UTF-8"):
        imdb.load(write_folder(tmp_path / "data", files))


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=f"there is no {tmp_path / 'nothing'}; --data takes {ARCHIVE} or the folder .*; without --data, ",
    ):
        imdb.load(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"not a tar file" * 100, mtime=0)])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ARCHIVE
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} cannot be read as a tar.gz archive"):
        imdb.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_archive_is_refused(archive: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="cannot be read as a tar.gz archive .*get it again"):
        imdb.load(archive)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    stored = gzip.compress(gzip.decompress(pack(encode(FILES))), compresslevel=0)
    path = tmp_path / ARCHIVE
    path.write_bytes(stored.replace(b"wonderful", b"wonderfux"))
    with pytest.raises(DataError, match="cannot be read as a tar.gz archive"):
        imdb.load(path)


@pytest.mark.parametrize("place", [-1, -8])
def test_an_archive_whose_own_checksum_is_wrong_is_refused(archive: Path, place: int) -> None:
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a tar.gz archive"):
        imdb.load(archive)


def test_an_archive_without_its_last_byte_is_refused(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match="cannot be read as a tar.gz archive"):
        imdb.load(archive)


def test_a_link_in_an_archive_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        for name, content in encode(FILES).items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("aclImdb/latest")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        archive.addfile(link)
    assert len(imdb.load(path).train) == 5


CONTENT = pack(encode(FILES))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any address but /missing, is no proxy, and remembers what was asked for."""

    def __init__(self) -> None:
        self.requested: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requested.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def do_CONNECT(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requested.append(self.path)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Keep silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that downloads go to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "lstm-serve"


def test_a_download_lands_in_the_cache_of_the_user(server: Server, cache: Path) -> None:
    path = imdb.download(server.url("archive"), SHA256)
    assert path == cache / ARCHIVE
    assert path.read_bytes() == CONTENT
    assert len(imdb.load(path).train) == 5


def test_without_a_variable_the_cache_is_in_the_home_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert imdb.download(server.url("archive"), SHA256) == tmp_path / ".cache" / "lstm-serve" / ARCHIVE


@pytest.mark.usefixtures("cache")
def test_the_archive_is_downloaded_once(server: Server) -> None:
    first = imdb.download(server.url("archive"), SHA256)
    assert imdb.download(server.url("archive"), SHA256) == first
    assert server.requested == ["/archive"]


def test_a_damaged_archive_in_the_cache_is_downloaded_again(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / ARCHIVE).write_bytes(CONTENT[:100])
    assert imdb.download(server.url("archive"), SHA256).read_bytes() == CONTENT


def test_a_download_with_another_checksum_is_refused(server: Server, cache: Path) -> None:
    with pytest.raises(DataError, match=f"archive cannot be downloaded to {cache} .*hash.*pass it as --data"):
        imdb.download(server.url("archive"), "0" * 64)


def test_an_address_that_is_not_there_is_refused(server: Server, cache: Path) -> None:
    with pytest.raises(DataError, match=f"missing cannot be downloaded to {cache} .*404.*pass it as --data"):
        imdb.download(server.url("missing"), SHA256)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_a_server_that_is_not_there_is_refused(server: Server) -> None:
    url = server.url("archive")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="cannot be downloaded"):
        imdb.download(url, SHA256)


@pytest.mark.usefixtures("cache")
def test_the_dataset_is_downloaded_where_no_source_is_given(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url(""))
    monkeypatch.setattr(urllib.request, "_opener", None)  # it would know the proxies of the first request for good
    with pytest.raises(DataError, match=f"{imdb.ARCHIVE_URL} cannot be downloaded .*pass it as --data"):
        imdb.load(None)
    assert server.requested == ["ai.stanford.edu:443"]


# Sorted by label and number, as `load` gives them; the two labels are not equally many.
REVIEWS = tuple([Review(0, number, 2, "") for number in range(30)] + [Review(1, number, 9, "") for number in range(50)])


@pytest.mark.parametrize("way", ["random", "last"])
@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 8), (0.25, 20), (0.5, 40)])
def test_held_out_reviews_are_a_share_of_all_and_no_others_are_lost(
    way: Literal["random", "last"], share: float, count: int
) -> None:
    kept, held_out = imdb.hold_out(REVIEWS, share, way, seed=1)
    assert abs(len(held_out) - count) <= 1
    assert sorted([*kept, *held_out]) == list(range(80))
    assert kept.tolist() != sorted(kept)


@pytest.mark.parametrize("way", ["random", "last"])
def test_all_reviews_cannot_be_held_out(way: Literal["random", "last"]) -> None:
    with pytest.raises(RecipeError, match="validation_share=0.999 of (80|30|50) examples leaves none to train on"):
        imdb.hold_out(REVIEWS, 0.999, way, seed=1)


@pytest.mark.parametrize("way", ["random", "last"])
def test_the_seed_decides(way: Literal["random", "last"]) -> None:
    def draw(seed: int) -> list[list[int]]:
        return [indices.tolist() for indices in imdb.hold_out(REVIEWS, 0.2, way, seed)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_random_holds_out_others_with_another_seed() -> None:
    _, first = imdb.hold_out(REVIEWS, 0.2, "random", seed=1)
    _, second = imdb.hold_out(REVIEWS, 0.2, "random", seed=2)
    assert set(first) != set(second)


def test_last_holds_out_the_highest_numbers_of_either_label() -> None:
    shuffled = tuple(REVIEWS[index] for index in np.random.default_rng(3).permutation(80))
    _, held_out = imdb.hold_out(shuffled, 0.29, "last", seed=1)
    chosen = sorted((shuffled[index].label, shuffled[index].number) for index in held_out)
    assert chosen == [(0, number) for number in range(21, 30)] + [(1, number) for number in range(36, 50)]
