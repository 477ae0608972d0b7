"""A sentiment bundle beside other classifiers, on other texts than reviews."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bundle.reviews import ReviewCodec
from bundle.store import Bundle
from training.data import review_coding, treebank
from training.data.sources import Sources
from training.errors import DataError
from training.evaluation.analysis import make_answer
from training.served import Served
from training.wild import baselines
from training.wild.figures import NARRATION, measure
from training.wild.report import FIGURES, read_figures
from training.wild.suites import TREEBANK, make_treebank, read_suite


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
        figures: by classifier, the bundle first.
        recorded: the figures that the bundle was published with, as far as they are of the same texts.
    """

    figures: dict[str, dict[str, float]]
    recorded: dict[str, float]


def compare(
    bundle: Bundle, sources: Sources, texts: Sequence[Path], tfidf: bool, vader: bool, console: Console
) -> Comparison:
    """Measure a bundle and other classifiers.

    Args:
        bundle: of the task sentiment.
        sources: the reviews and the treebank, as far as there are any.
        texts: further files, see `read_suite`.
        tfidf: whether to add TF-IDF, trained on the reviews.
        vader: whether to add VADER.
        console: shows the progress.

    Raises:
        DataError: data cannot be read, TF-IDF has no reviews, or VADER is not installed.
    """
    if tfidf and not sources.reviews:
        raise DataError("--tfidf trains on reviews; name them with --data, or leave it out")
    trees = treebank.load(sources.phrases) if sources.phrases else None
    suites = [*([make_treebank(trees)] if trees else []), *map(read_suite, texts)]
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    manifest = bundle.manifest
    classifiers = {f"{manifest.name} {manifest.version}": make_answer(codec, Served.open(bundle).predict_rows)}
    if vader:
        classifiers["VADER"] = baselines.load_vader()
    reviews = review_coding.load_reviews(sources.reviews, console) if sources.reviews else None
    if reviews and tfidf:
        with console.status("Training TF-IDF"):
            classifiers["TF-IDF"] = baselines.fit_tfidf(reviews.train)
    columns = {}
    for name, answer in classifiers.items():
        with console.status(f"Asking {name}"):
            columns[name] = measure(answer, reviews.test if reviews else (), suites)
    recorded = read_recorded(bundle)
    if reviews and reviews.sha256 != manifest.dataset.sha256:
        recorded.pop(NARRATION, None)
    if trees and trees.sha256 != treebank.SHA256:
        recorded = {name: figure for name, figure in recorded.items() if not name.startswith(TREEBANK)}
    return Comparison(columns, recorded)


def read_recorded(bundle: Bundle) -> dict[str, float]:
    """Return the figures that a bundle was published with; none for a bundle of an earlier release."""
    path = bundle.folder / FIGURES
    return read_figures(path) if path.exists() else {}
