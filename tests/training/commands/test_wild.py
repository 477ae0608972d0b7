import shutil
from pathlib import Path

import pytest

from bundle.store import Bundle, Store
from tests.bundle.samples import REVIEWS, publish
from tests.training.commands.command import check_error, check_usage, copy, one_line, reseal, run
from tests.training.general.conftest import write_treebank
from training.comparison import read_recorded
from training.data import treebank
from training.wild.measured import Figure, Measured, Section
from training.wild.report import FIGURES
from training.wild.suites import make_treebank


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
    assert "| figure | texts | sentiment 1 | TF-IDF |" in result.stdout
    assert f"The bundle has no recorded figures of these texts: {texts}, treebank" in one_line(result.stdout)
    for head in (
        "Pairs of opinions",
        "Composed sentences",
        f"The file `{texts}`",
        "Sentences of the Stanford",
        "300 words of narration",
    ):
        assert head in result.stdout
    assert (tmp_path / "out" / "wild.md").read_text("utf-8").strip() in result.stdout
    assert (tmp_path / "out" / "wild.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_has_the_figures_and_the_plot(small_store: Store) -> None:
    bundle = small_store.open("sentiment")
    card = (bundle.folder / "README.md").read_text("utf-8")
    both = get_recorded(bundle).suites["pairs"].figures["both of a pair"]
    assert f"| both of a pair | {both.texts} | {both.value:.1%} |" in card
    assert "![other texts](wild.png)" in card
    assert {FIGURES, "wild.png"} <= bundle.manifest.files.keys()


def test_wild_fails_where_the_bundle_says_other_figures(small_store: Store, tmp_path: Path) -> None:
    bundle = small_store.open("imdb-500")
    figures = get_recorded(bundle)
    folder = copy_with(bundle, change(figures, figures.suites["pairs"], "right"), tmp_path)
    result = run("wild", folder)
    assert result.exit_code == 1
    assert "These figures differ from those of the bundle: pairs, right" in one_line(result.stderr)


def test_narration_behind_other_reviews_is_not_compared(small_store: Store, reviews: Path, tmp_path: Path) -> None:
    bundle = small_store.open("sentiment")
    figures = get_recorded(bundle)
    assert figures.narration
    folder = copy_with(bundle, change(figures, figures.narration, "300 words of narration"), tmp_path)
    others = shutil.copytree(reviews, tmp_path / "others")
    next((others / "test" / "pos").iterdir()).write_text("Another review.")
    result = run("wild", folder, "--data", others)
    assert result.exit_code == 0
    assert "The bundle has no recorded figures of these texts: narration" in one_line(result.stdout)
    result = run("wild", folder, "--data", reviews)
    assert result.exit_code == 1
    assert "differ from those of the bundle: narration, 300 words of narration" in one_line(result.stderr)
    assert "TF-IDF" not in result.stdout  # reviews are for narration, unless it is asked for


def test_figures_of_a_suite_are_compared_by_its_texts_and_not_by_its_name(small_store: Store, tmp_path: Path) -> None:
    bundle = small_store.open("imdb-500")
    figures = get_recorded(bundle)
    phrases = write_treebank(tmp_path / "trees.zip")
    recorded = Section(
        kind="treebank",
        sha256=make_treebank(treebank.load(phrases)).sha256,
        texts=2,
        figures={"right": Figure(value=0.123, texts=2)},
    )
    folder = copy_with(bundle, figures.model_copy(update={"suites": {"treebank": recorded}}), tmp_path)
    (tmp_path / "treebank").write_text("wonderful\t1\nawful\t0\n")
    result = run("wild", folder, "--texts", tmp_path / "treebank")
    assert result.exit_code == 0
    assert f"The file `{tmp_path / 'treebank'}`:" in result.stdout
    result = run("wild", folder, "--phrases", phrases)
    assert result.exit_code == 1
    assert "differ from those of the bundle: treebank, right" in one_line(result.stderr)


def get_recorded(bundle: Bundle) -> Measured:
    figures = read_recorded(bundle)
    assert figures
    return figures


def change(figures: Measured, section: Section, name: str) -> Measured:
    """Return figures with another value of one of them."""
    section.figures[name] = Figure(value=0.123, texts=section.figures[name].texts)
    return figures


def copy_with(bundle: Bundle, figures: Measured, to: Path) -> Path:
    """Return a copy of a bundle that was published with other figures."""
    folder = copy(bundle, to / "copy")
    figures.write(folder / FIGURES)
    reseal(folder)
    return folder


@pytest.mark.parametrize("contents", [None, '{"pairs": 0.99}'], ids=["none", "another form"])
def test_a_bundle_of_an_earlier_release_has_no_figures(
    small_store: Store, tmp_path: Path, contents: str | None
) -> None:
    folder = copy(small_store.open("imdb-500"), tmp_path / "copy")
    if contents is None:
        (folder / FIGURES).unlink()
    else:
        (folder / FIGURES).write_text(contents)
    reseal(folder)
    result = run("wild", folder)
    assert result.exit_code == 0
    assert "The bundle has no recorded figures of these texts." in result.stdout


def test_what_cannot_be_measured_is_refused(small_store: Store, tmp_path: Path) -> None:
    check_error(run("wild", small_store.open("next-letter").folder), "is of the task next-letter; name a bundle")
    folder = small_store.open("imdb-500").folder
    check_error(run("wild", folder, "--texts", tmp_path / "missing.tsv"), "missing.tsv cannot be read")
    check_error(run("wild", folder, "--vader"), "VADER is not installed")
    check_usage(run("wild", folder, "--tfidf"), "--tfidf trains on reviews; name them with --data")


def test_wild_refuses_a_bundle_of_other_labels(tmp_path: Path) -> None:
    bundle = publish(Store(tmp_path), REVIEWS.model_copy(update={"labels": ("ham", "spam")}))
    check_error(
        run("wild", bundle.folder), "has the labels ham, spam; the other texts are labelled negative or positive"
    )
