from collections import Counter
from pathlib import Path

from benchmarks.transfer import PRODUCTS, SIDES, list_rows, write
from training.data import pairs
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.source import Columns


def test_the_reviews_have_their_labels_and_authors() -> None:
    two, three = ([*list_rows(labels)] for labels in (2, 3))
    authors = Counter(author for _, _, author in three)
    assert [*authors] == sorted(path.stem for path in PRODUCTS.glob("*.tsv")) and len(authors) == 11
    assert {label for _, label, _ in three} == {*SIDES[3]} and two == [row for row in three if row[1] != "neutral"]
    assert len(two) > 3900 and min(authors.values()) > 400


def test_no_review_occurs_twice_or_in_the_pairs_that_networks_learn_from() -> None:
    folders = (PRODUCTS, PRODUCTS / "development")
    texts = [text.casefold() for folder in folders for text, _, _ in list_rows(3, folder)]
    assert len(texts) > 7600
    groups = [*pairs.load("train"), *pairs.load("development"), *pairs.load("report")]
    known = {text.casefold() for group in groups for text in (group.positive, group.negative, group.neutral) if text}
    assert len({*texts}) == len(texts) and not known & {*texts}


def test_no_author_is_in_both_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.csv", list_rows(2))
    data = read(path, DataOptions(Columns(group="author")), 1)
    assert not {*data.train.units.tolist()} & {*data.test.units.tolist()}
    assert len(data.train) >= 3000 and len(data.test) > 600
