import json
import shutil
from pathlib import Path

from bundle.store import Store
from tests.bundle.samples import REVIEWS, publish
from tests.training.general.conftest import write_treebank
from tests.training.main.command import check_error, copy, one_line, reseal, run
from training.comparison import read_recorded
from training.wild.figures import NARRATION
from training.wild.report import FIGURES


def test_wild_finds_the_figures_that_a_bundle_was_published_with(
    small_store: Store, reviews: Path, tmp_path: Path
) -> None:
    bundle = small_store.open("sentiment")
    texts = tmp_path / "tweets.tsv"
    texts.write_text("wonderful\t1\nawful\t0\n")
    phrases = write_treebank(tmp_path / "trees.zip")
    added = ("--data", reviews, "--tfidf", "--texts", texts, "--phrases", phrases)
    result = run("wild", bundle.folder, *added, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "The figures are those of the bundle." in result.stdout
    assert "| | sentiment 1 | TF-IDF |" in result.stdout
    for head in (
        "Pairs of opinions",
        "Composed sentences",
        f"The file `{texts}`",
        "Sentences of the Stanford",
        "300 words",
    ):
        assert head in result.stdout
    assert (tmp_path / "out" / "wild.md").read_text("utf-8").strip() in result.stdout
    assert (tmp_path / "out" / "wild.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_has_the_figures_and_the_plot(small_store: Store) -> None:
    bundle = small_store.open("sentiment")
    card = (bundle.folder / "README.md").read_text("utf-8")
    figures = read_recorded(bundle)
    assert f"| both of a pair | {figures['pairs, both of a pair']:.1%} |" in card
    assert "![other texts](wild.png)" in card
    assert {FIGURES, "wild.png"} <= bundle.manifest.files.keys()


def test_wild_fails_where_the_bundle_says_other_figures(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("imdb-500"), tmp_path / "copy")
    path = folder / FIGURES
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"pairs": 0.99}))
    reseal(folder)
    result = run("wild", folder)
    assert result.exit_code == 1
    assert "These figures differ from those of the bundle: pairs" in one_line(result.stdout)


def test_figures_of_other_reviews_and_of_another_treebank_are_not_compared(
    small_store: Store, reviews: Path, tmp_path: Path
) -> None:
    bundle = small_store.open("sentiment")
    folder = copy(bundle, tmp_path / "copy")
    path = folder / FIGURES
    path.write_text(json.dumps(read_recorded(bundle) | {"treebank": 0.123, NARRATION: 0.123}))
    reseal(folder)
    others = shutil.copytree(reviews, tmp_path / "others")
    next((others / "test" / "pos").iterdir()).write_text("Another review.")
    result = run("wild", folder, "--data", others, "--phrases", write_treebank(tmp_path / "trees.zip"))
    assert result.exit_code == 0
    result = run("wild", folder, "--data", reviews)
    assert result.exit_code == 1 and NARRATION in one_line(result.stdout)


def test_a_bundle_of_an_earlier_release_has_no_figures(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("imdb-500"), tmp_path / "copy")
    (folder / FIGURES).unlink()
    reseal(folder)
    result = run("wild", folder)
    assert result.exit_code == 0
    assert "The bundle has no recorded figures." in result.stdout


def test_what_cannot_be_measured_is_refused(small_store: Store, tmp_path: Path) -> None:
    check_error(run("wild", small_store.open("next-letter").folder), "is of the task next-letter; name a bundle")
    folder = small_store.open("imdb-500").folder
    check_error(run("wild", folder, "--texts", tmp_path / "missing.tsv"), "missing.tsv cannot be read")
    check_error(run("wild", folder, "--vader"), "VADER is not installed")
    check_error(run("wild", folder, "--tfidf"), "--tfidf trains on reviews; name them with --data")


def test_wild_refuses_a_bundle_of_other_labels(tmp_path: Path) -> None:
    bundle = publish(Store(tmp_path), REVIEWS.model_copy(update={"labels": ("ham", "spam")}))
    check_error(
        run("wild", bundle.folder), "has the labels ham, spam; the other texts are labelled negative or positive"
    )
