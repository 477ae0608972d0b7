import hashlib
from pathlib import Path

import pytest

from tables.table import BadRow
from tests.training.data.test_imdb import FILES, encode, pack, write_folder
from training.data.labelled.formats import open_source
from training.data.labelled.source import Columns, Row
from training.errors import DataError

TEXTS = {
    "good/b.txt": "fine",
    "good/a.txt": "\ufeffgreat",
    "bad/1.txt": "awful",
    "unlabelled/x.txt": "who knows",
}
OTHERS = {"README.txt": "read me", "good/notes.md": "mine", "good/deeper/c.txt": "deep", "empty.d/x.csv": ""}


def test_a_folder_has_one_subfolder_for_each_label(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my", encode(TEXTS | OTHERS))
    source = open_source(folder)
    assert list(source.read()) == [
        Row(1, "awful", "bad"),
        Row(2, "great", "good"),
        Row(3, "fine", "good"),
        Row(4, "who knows", None),
    ]
    assert source.locate(2) == str(folder / "good" / "a.txt")
    assert source.notes == ("the subfolder 'empty.d' has no .txt files, so it is no label",)
    assert source.name == "my" and source.columns == Columns() and source.test is None
    assert source.count_bytes() == sum(len(text.encode()) for text in TEXTS.values())


def test_the_hash_is_over_names_and_contents(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    for name in ("bad/1.txt", "good/a.txt", "good/b.txt", "unlabelled/x.txt"):
        digest.update(f"{name} {hashlib.sha256(TEXTS[name].encode()).hexdigest()}\n".encode())
    assert open_source(write_folder(tmp_path / "my", encode(TEXTS))).hash() == digest.hexdigest()


def test_encodings_are_those_of_each_file(tmp_path: Path) -> None:
    files = {"a/1.txt": "раз".encode("utf-16"), "a/2.txt": "caf\xe9".encode("cp1252"), "b/1.txt": "два".encode()}
    folder = write_folder(tmp_path / "my", files)
    first, bad, last = open_source(folder).read()
    assert (first, last) == (Row(1, "раз", "a"), Row(3, "два", "b"))
    assert isinstance(bad, BadRow) and bad.position == 2
    assert bad.reason.startswith("is not UTF-8: byte E9 at 4. It would be 'café' in cp1252, ")
    assert [row.text for row in open_source(folder, encoding="cp1252").read() if isinstance(row, Row)][1] == "café"


def test_a_text_that_goes_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my", encode(TEXTS))
    source = open_source(folder)
    (folder / "good" / "b.txt").unlink()
    with pytest.raises(DataError, match="b.txt cannot be read"):
        list(source.read())


@pytest.mark.parametrize("files", [{}, {"a.txt": "text"}, {"train/good/1.txt": "a", "test/good/1.txt": "b"}])
def test_a_folder_without_texts_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "my").mkdir()
    with pytest.raises(DataError, match="has no subfolders with .txt files; .*test as --test"):
        open_source(write_folder(tmp_path / "my", encode(files)))


def test_folders_have_no_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no columns .*; leave the options for columns out"):
        open_source(write_folder(tmp_path / "my", encode(TEXTS)), Columns(label="label"))


@pytest.mark.parametrize("packed", [False, True])
def test_the_layout_of_imdb_has_test_texts_and_unlabelled_ones(tmp_path: Path, packed: bool) -> None:
    source = tmp_path / "reviews"
    if packed:
        source.write_bytes(pack(encode(FILES)))
    else:
        write_folder(source, encode(FILES))
    data = open_source(source)
    assert list(data.read()) == [
        Row(1, "boring", "negative"),
        Row(2, "", "negative"),
        Row(3, "wonderful", "positive"),
        Row(4, "tender", "positive"),
        Row(5, "très bon", "positive"),
        Row(6, "who knows"),
        Row(7, "a film"),
    ]
    assert data.test is not None and data.test.test is None
    assert [row.position for row in data.test.read()] == [1, 2]
    assert data.test.locate(2) == f"{source}, test, review 2"
    assert data.name == "reviews"
    assert data.hash() == data.test.hash()
    assert data.count_bytes() + data.test.count_bytes() == sum(len(text.encode()) for text in FILES.values())
