from pathlib import Path

from benchmarks.transfer import list_rows, write
from training.data import pairs
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.source import Columns

TREES = "(4 (2 A) (3 gem))\n(2 (2 A) (2 film))\n(0 (2 A) (1 bore))\n"


def test_texts_of_the_labels_are_listed_with_their_authors(tmp_path: Path) -> None:
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text(TREES)
    two, three = ([*list_rows(tmp_path, labels)] for labels in (2, 3))
    assert two[:2] == [("A gem", "positive", "sentence 0"), ("A bore", "negative", "sentence 2")]
    assert three[1] == ("A film", "neutral", "sentence 1") and len(three) > len(two) > 1000
    authors = {author for _, _, author in two if author.startswith("author")}
    assert authors == {f"author {number}" for number in pairs.DEVELOPMENT | pairs.REPORT}


def test_no_author_is_in_both_parts(tmp_path: Path) -> None:
    for name in ("train.txt", "dev.txt"):
        (tmp_path / name).write_text(TREES)
    path = write(tmp_path / "texts.csv", list_rows(tmp_path, 2))
    data = read(path, DataOptions(Columns(group="author")), 1)
    assert not {*data.train.units.tolist()} & {*data.test.units.tolist()} and len(data.test) > 100
