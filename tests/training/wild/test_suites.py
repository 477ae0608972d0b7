from pathlib import Path

import pytest

from tests.training.general.conftest import write_pairs, write_treebank
from training.data import composed, treebank
from training.data.pairs import load
from training.errors import DataError
from training.wild.suites import Example, make_composed, make_pairs, make_treebank, read_suite


def test_pairs_are_those_of_one_part_with_their_groups(tmp_path: Path) -> None:
    suite = make_pairs("report", write_pairs(tmp_path))
    groups = ("kind: negation", "domain: film", "words: 1 to 5")
    assert suite.examples == (Example("No flaw, 34.", True, groups), Example("No merit, 34.", False, groups))
    assert suite.pairs == ((0, 1),)


def test_every_pair_has_a_positive_and_a_negative_text() -> None:
    suite = make_pairs("report")
    assert len(suite.pairs) == sum(group.is_pair for group in load("report"))
    for positive, negative in suite.pairs:
        assert suite.examples[positive].is_positive
        assert not suite.examples[negative].is_positive
        assert suite.examples[positive].groups[:2] == suite.examples[negative].groups[:2]


def test_composed_sentences_are_the_same_every_time_and_none_is_plain() -> None:
    suite = make_composed()
    assert suite == make_composed()
    assert len(suite.pairs) >= 600
    assert {group for example in suite.examples for group in example.groups} == {
        f"kind: {kind}" for kind in composed.TARGETS.keys() - {"plain", "wish", "neutral"}
    }
    assert sum(example.is_positive for example in suite.examples) == len(suite.pairs)


def test_sentences_of_the_treebank_are_those_for_development_with_a_verdict(tmp_path: Path) -> None:
    suite = make_treebank(treebank.load(write_treebank(tmp_path / "trees.zip")))
    assert [(example.text, example.is_positive) for example in suite.examples] == [
        ("Wonderful.", True),
        ("Dreadful.", False),
    ]


@pytest.mark.parametrize("start", ["", "text\tlabel\n", "\ufeff"])
def test_a_file_of_texts_is_read(tmp_path: Path, start: str) -> None:
    path = tmp_path / "tweets.tsv"
    path.write_text(f'{start}So "good"\tpositive\n\nbad\t0\nworse\tNEG\n', "utf-8")
    suite = read_suite(path)
    assert (suite.kind, suite.name) == ("file", str(path))
    assert [(example.text, example.is_positive) for example in suite.examples] == [
        ('So "good"', True),
        ("bad", False),
        ("worse", False),
    ]


def test_the_checksum_of_a_suite_is_of_its_texts_and_labels(tmp_path: Path) -> None:
    made = []
    for name, lines in (("a", "good\t1\n"), ("b", "good\tpos\n"), ("c", "good\t0\n"), ("d", "fine\t1\n")):
        path = tmp_path / name
        path.write_text(lines)
        made.append(read_suite(path).sha256)
    assert made[0] == made[1]
    assert len({*made}) == 3


def test_a_file_with_the_name_of_a_suite_is_still_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs").write_text("good\t1\n")
    suite = read_suite(Path("pairs"))
    assert (suite.kind, suite.name) == ("file", str(tmp_path / "pairs"))


@pytest.mark.parametrize("line", ["no label", "text\t2", "text\tpos\tmore", "text\t"])
def test_another_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tweets.tsv"
    path.write_text(f"good\t1\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=r"tweets\.tsv, line 2 is .*; write text<TAB>label"):
        read_suite(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_suite(tmp_path / "missing.tsv")
    (tmp_path / "latin.tsv").write_bytes(b"caf\xe9\t1\n")
    with pytest.raises(DataError, match="cannot be read: .*give a UTF-8 file"):
        read_suite(tmp_path / "latin.tsv")
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(DataError, match="has no texts"):
        read_suite(tmp_path / "empty.tsv")
