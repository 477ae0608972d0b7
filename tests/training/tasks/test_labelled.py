import io
from pathlib import Path

import pytest
from rich.console import Console

from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store
from tests.conftest import BAD
from tests.training.films import PLAIN, QUIET, THREE, TWO, find_recipe, find_settings, make_rows, write
from training import pipeline
from training.bundle_data import read_data, read_settings
from training.data.labelled.reading import DataOptions
from training.data.sources import Sources
from training.errors import DataError, RecipeError
from training.labelled.reading import read_texts
from training.tasks import TRAINED


def attempt(sources: Sources, *assignments: str) -> None:
    """Begin a training that ends with an error."""
    TRAINED["sentiment"].train(find_recipe(*assignments), sources, QUIET, None, Path("none"))


def read_card(bundle: Bundle) -> str:
    return (bundle.folder / "README.md").read_text("utf-8")


def test_two_labels_are_learnt_from_random_weights(from_scratch: Bundle, two: Path) -> None:
    manifest = from_scratch.manifest
    assert manifest.labels == ("negative", "positive") and manifest.metrics["accuracy"] == 1
    assert manifest.dataset.name == "films.csv" and manifest.dataset.files[0].bytes == two.stat().st_size
    assert manifest.dataset.files[0].sha256 == manifest.dataset.sha256
    assert [(label.label, label.train, label.test) for label in manifest.dataset.labels] == [
        ("negative", 32, 8),
        ("positive", 32, 8),
    ]
    assert (manifest.dataset.training_examples, manifest.dataset.held_out, manifest.dataset.test_examples) == (
        58,
        6,
        16,
    )
    assert manifest.dataset.language == "English" and "start" not in manifest.recipe
    assert manifest.onnx and from_scratch.reference


def test_the_card_names_data_baseline_and_limits(from_scratch: Bundle) -> None:
    card = read_card(from_scratch)
    for shown in (
        f"| `films.csv` | CSV with the delimiter comma | `{from_scratch.manifest.dataset.sha256}` |",
        "| negative | 32 | 8 |",
        "| TF-IDF with logistic regression | 100.00% |",
        "Answers by label",
        "The network and the baseline are equally good.",
        "train reviews --data FILE --from none --set ",
        "models/films/<version> --data FILE`",
        "for texts like those of films.csv",
        "6 of the training rows were held out",
    ):
        assert shown in card


def test_the_figures_are_reproduced_from_the_file_alone(from_scratch: Bundle, two: Path, tmp_path: Path) -> None:
    evaluation, sha256 = pipeline.evaluate_bundle(from_scratch, two, QUIET)
    assert sha256 == from_scratch.manifest.dataset.sha256
    assert evaluation.metrics == pytest.approx({k: from_scratch.manifest.metrics[k] for k in evaluation.metrics})
    _, other = pipeline.evaluate_bundle(from_scratch, write(tmp_path / "films.csv", TWO[:-1]), QUIET)
    assert other != sha256
    with pytest.raises(DataError, match="has the labels negative, neutral, positive, the bundle has negative, posit"):
        read_data(from_scratch, write(tmp_path / "three.csv", THREE), QUIET)
    with pytest.raises(DataError, match="name the data that the bundle was trained on: --data"):
        read_data(from_scratch, None, QUIET)
    with pytest.raises(RecipeError, match="chose by the data, so it cannot be converted"):
        read_settings(from_scratch)


def test_three_labels_begin_with_another_bundle_and_are_tested_on_another_file(
    from_scratch: Bundle, tmp_path: Path
) -> None:
    data = write(tmp_path / "films.csv", THREE)
    test = write(tmp_path / "test.csv", [(f"Well, {text}", label) for text, label in THREE[::5]])
    sources = Sources(data, options=DataOptions(test=test))
    bundle = pipeline.train(
        find_recipe("test_share=0"), "three", Store(tmp_path / "models"), sources, QUIET, from_scratch
    )
    manifest = bundle.manifest
    assert manifest.labels == ("negative", "neutral", "positive") and manifest.outputs == 3
    assert isinstance(start := manifest.recipe["start"], dict) and start["name"] == "films"
    assert isinstance(bundle.codec, ReviewCodec) and isinstance(from_scratch.codec, ReviewCodec)
    known = from_scratch.codec.vocabulary
    assert bundle.codec.vocabulary[: len(known)] == known and {*PLAIN} <= {*bundle.codec.vocabulary[len(known) :]}
    assert manifest.dataset.name == "films.csv, tested on test.csv"
    assert manifest.dataset.sha256 == manifest.dataset.files[1].sha256
    assert " --data FILE --test FILE --set " in read_card(bundle)
    evaluation, sha256 = pipeline.evaluate_bundle(bundle, test, QUIET)
    assert sha256 == manifest.dataset.sha256
    assert evaluation.metrics == pytest.approx({k: manifest.metrics[k] for k in evaluation.metrics})
    with pytest.raises(DataError, match="name the data of the test texts: --data"):
        read_data(bundle, None, QUIET)


def test_the_first_network_is_asked_about_other_texts(from_scratch: Bundle, two: Path, tmp_path: Path) -> None:
    recipe, store = find_recipe(), Store(tmp_path)
    bundle = pipeline.train(recipe, "again", store, Sources(two), QUIET, from_scratch)
    assert "the first network's answers to 8 short texts" in read_card(bundle)
    assert bundle.manifest.metrics["accuracy"] == 1


def test_rows_with_and_without_a_label_are_labelled_by_n_grams(tmp_path: Path) -> None:
    unlabelled = [(text.replace("day", "night"), "") for text, _ in TWO]
    data = write(tmp_path / "films.csv", [*TWO, *unlabelled])
    recipe = find_recipe("least_taught=50", "label_weight=0.75")
    bundle = pipeline.train(recipe, "films", Store(tmp_path), Sources(data), QUIET)
    card = " ".join(read_card(bundle).split())
    assert "An n-gram model labelled 80 rows without a label" in card
    assert "the label with a weight of 0.75, and for the rest the answer of n-gram models which have not seen" in card
    assert bundle.manifest.dataset.unlabelled == 80


def test_unknown_words_are_warned_of(from_scratch: Bundle, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    other = make_rows(("negative", ("ужасный",)), ("positive", ("чудесный",)), count=20)
    rows = [(f"Это {text.split()[3]} фильм дня {number}", label) for number, (text, label) in enumerate(other)]
    data = write(tmp_path / "films.csv", rows)
    recipe = find_recipe("new_words=0")
    bundle = pipeline.train(recipe, "films", Store(tmp_path), Sources(data), console, from_scratch)
    assert isinstance(console.file, io.StringIO)
    warning = "of the words of the training texts are not in the vocabulary"
    assert warning in console.file.getvalue() and warning in read_card(bundle)


@pytest.mark.parametrize(
    ("test", "assignments", "message"),
    [(None, ["test_share=0"], "test_share is 0 if the test"), ("test.csv", [], "test_share is 0 if the test")],
)
def test_a_share_and_a_test_file_exclude_each_other(
    two: Path, test: str | None, assignments: list[str], message: str
) -> None:
    options = DataOptions(test=Path(test) if test else None)
    with pytest.raises(RecipeError, match=message):
        read_texts(find_settings(*assignments), Sources(two, options=options))


def test_data_that_cannot_be_learnt_from_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reviews learns from your own labelled texts; name their file or folder"):
        attempt(Sources())
    uncertain = write(tmp_path / "films.csv", make_rows(("uncertain", BAD), ("sure", PLAIN)))
    with pytest.raises(DataError, match="films.csv: the label 'uncertain' is what the service answers"):
        attempt(Sources(uncertain))
