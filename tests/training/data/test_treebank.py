import zipfile
from pathlib import Path

import pytest

from training.data import treebank
from training.data.treebank import Phrase
from training.errors import DataError

TRAIN = "(3 (2 It) (4 (2 's) (3 (2 not) (1 bad))))\n\n(1 (2 \\/) (1 (2 ca) (2 n't)))\n"
DEV = "(2 (2 -LRB-) (2 (2 `` ) (2 a)))\n".replace("`` ", "``")


def write_archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"trees/{name}.txt", text)
    return path


def test_phrases_are_written_as_people_do_and_the_sentence_comes_last(tmp_path: Path) -> None:
    found = treebank.load(write_archive(tmp_path / "trees.zip", train=TRAIN, dev=DEV))
    assert found.train[0] == (
        Phrase("It", 2, 1),
        Phrase("'s", 2, 1),
        Phrase("not", 2, 1),
        Phrase("bad", 1, 1),
        Phrase("not bad", 3, 2),
        Phrase("'s not bad", 4, 3),
        Phrase("It's not bad", 3, 4),
    )
    assert [sentence[-1].text for sentence in found.train] == ["It's not bad", "/ can't"]
    assert found.development[0][-1] == Phrase('("a', 2, 3)


def test_an_unpacked_folder_is_read_like_the_archive(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "trees.zip", train=TRAIN, dev=DEV)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "unpacked")
    assert treebank.load(tmp_path / "unpacked") == treebank.load(archive)


@pytest.mark.parametrize("line", ["no tree", "(3 (2 a)", "(3 a))", "(7 a)", "(3 )"])
def test_a_line_that_is_no_tree_is_named(tmp_path: Path, line: str) -> None:
    archive = write_archive(tmp_path / "trees.zip", train=f"{TRAIN}{line}\n", dev=DEV)
    with pytest.raises(DataError, match="train.txt, line 4 is no tree"):
        treebank.load(archive)


def test_what_is_not_the_treebank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        treebank.load(tmp_path / "missing.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(DataError, match="cannot be read"):
        treebank.load(tmp_path / "text.zip")
    with pytest.raises(DataError, match=r"has no dev\.txt"):
        treebank.load(write_archive(tmp_path / "part.zip", train=TRAIN))
