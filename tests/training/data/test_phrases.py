from pathlib import Path

import pytest

from tests.training.general.conftest import write_treebank
from training.data import phrases, treebank
from training.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_whole_numbers_are_labels_of_the_treebank_and_decimal_ones_probabilities(tmp_path: Path) -> None:
    lines = 'text\tlabel\nnot bad\t3\nawful "mess"\t0\n\nso so\t0.45\nfine\t1.0\nno\t1\n'
    found = phrases.load([write(tmp_path / "own.tsv", lines), write(tmp_path / "more.tsv", "great\t4\n")])
    assert found.judged == (
        ("not bad", treebank.TARGETS[3]),
        ('awful "mess"', treebank.TARGETS[0]),
        ("so so", 0.45),
        ("fine", 1.0),
        ("no", treebank.TARGETS[1]),
        ("great", treebank.TARGETS[4]),
    )


def test_the_checksum_depends_on_texts_and_probabilities(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.tsv", text) for number, text in enumerate(("a\t2\n", "b\t2\n", "a\t0.6\n"))]
    assert len({phrases.load([path]).sha256 for path in files}) == 3
    assert phrases.load([files[0]]).sha256 == phrases.load([write(tmp_path / "3.tsv", "a\t0.5\n")]).sha256
    assert phrases.load([]).sha256 is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no texts"),
        ("text\tlabel\n", "has no texts"),
        ("good\t5\n", "line 1 is 'good.*5'; write text<TAB>label, with a label of 0 "),
        ("fine\t4\ngood\t1.5\n", "line 2 is"),
        ("good\t.x\n", "line 1 is"),
        ("good\tpositive\n", "line 1 is"),
        ("good\n", "line 1 is"),
        ("a\tb\t1\n", "line 1 is"),
        ("\t4\n", "line 1 is"),
        ("good\t1\nbad\t0\n", "no labels but 0 and 1, .*; write 0 and 4, or 0.0 and 1.0"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        phrases.load([write(tmp_path / "own.tsv", text)])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_bytes(b"\xff\t4\n")
    with pytest.raises(DataError, match=r"own\.tsv cannot be read"):
        phrases.load([tmp_path / "own.tsv"])
    with pytest.raises(DataError, match=r"none\.tsv cannot be read"):
        phrases.load([tmp_path / "none.tsv"])


def test_the_treebank_is_the_archive_or_the_folder(tmp_path: Path) -> None:
    own, archive = write(tmp_path / "own.tsv", "a\t2\n"), write_treebank(tmp_path / "trees.zip")
    folder = tmp_path / "trees"
    folder.mkdir()
    assert phrases.divide([own, archive]) == (archive, (own,))
    assert phrases.divide([folder]) == (folder, ())
    assert phrases.divide([own]) == (None, (own,))
    assert phrases.divide([]) == (None, ())
    with pytest.raises(DataError, match="are both a treebank's archive or folder; name one of them"):
        phrases.divide([archive, folder])
