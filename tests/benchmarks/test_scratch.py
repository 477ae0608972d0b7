import csv
from pathlib import Path

from pytest import CaptureFixture

from benchmarks import scratch
from tests.conftest import write_reviews
from training.data import imdb

SMALL = ["length=8", "units=2", "embedding=2", "scratch.epochs=1", "scratch.batch_size=8", "scratch.short_batch_size=8"]


def test_a_network_is_trained_on_a_file_and_measured(tmp_path: Path, capsys: CaptureFixture[str]) -> None:
    reviews = write_reviews(tmp_path / "reviews")
    for path in (reviews / "test").rglob("*.txt"):  # their words are also in training reviews, their texts are not
        path.write_text(f"{path.read_text(encoding='utf-8')} Today.", encoding="utf-8")
    scratch.main(reviews, SMALL, tmp_path)
    table = (tmp_path / "scratch.md").read_text()
    assert " 24 |" in table and table in capsys.readouterr().out


def test_reviews_are_written_with_the_names_of_their_labels(reviews: Path, tmp_path: Path) -> None:
    test = imdb.load(reviews).test
    with open(scratch.write(tmp_path / "test.csv", test), newline="") as file:
        found = [*csv.DictReader(file)]
    assert [row["review"] for row in found] == [review.text for review in test]
    assert [row["sentiment"] for row in found] == ["negative"] * 12 + ["positive"] * 12
