from pathlib import Path

import pytest

from tests.training.films import QUIET, THREE, TWO, write
from training.data import imdb, own_texts
from training.data.own_texts import OwnTexts
from training.errors import DataError


def test_the_users_texts_have_the_form_of_the_reviews(tmp_path: Path) -> None:
    rows = [*((text, label[:3]) for text, label in TWO), ("who knows", "")]
    data = own_texts.load(write(tmp_path / "my.csv", rows), 1, QUIET)
    assert isinstance(data, OwnTexts)
    assert (data.labels, data.name, len(data.train), len(data.test)) == (("neg", "pos"), "my.csv", 64, 16)
    assert data.unlabelled == ("who knows",) and data.sha256 == data.description.data.sha256
    known = dict(rows)
    assert all(known[review.text] == data.labels[review.label] for review in (*data.train, *data.test))
    other = own_texts.load(tmp_path / "my.csv", 2, QUIET)
    assert {review.text for review in other.test} != {review.text for review in data.test}


def test_the_reviews_are_read_as_ever(reviews: Path) -> None:
    assert own_texts.load(reviews, 1, QUIET) == imdb.load(reviews)


def test_a_folder_of_labels_is_read(tmp_path: Path) -> None:
    for number, (text, label) in enumerate(TWO):
        (tmp_path / "my" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "my" / label / f"{number}.txt").write_text(text)
    data = own_texts.load(tmp_path / "my", 1, QUIET)
    assert isinstance(data, OwnTexts) and data.labels == ("negative", "positive")


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="labels negative, neutral, positive, and this recipe learns two; use the recipe"
    ):
        own_texts.load(write(tmp_path / "my.csv", THREE), 1, QUIET)
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8bno archive")
    with pytest.raises(DataError, match="broken.tar.gz cannot be read as a tar.gz archive .* use the recipe reviews"):
        own_texts.load(tmp_path / "broken.tar.gz", 1, QUIET)
    with pytest.raises(DataError, match="there is no .*none.csv"):
        own_texts.load(tmp_path / "none.csv", 1, QUIET)
