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
from training.wild.figures import measure
from training.wild.measured import Measured
from training.wild.report import FIGURES
from training.wild.suites import make_treebank, read_suite


@dataclass(frozen=True)
class Comparison:
    """What was measured, and how it compares with what the bundle was published with.

    Attributes:
        figures: by classifier, the bundle first.
        compared: the sections that the bundle has figures of, of the same texts.
        differing: the figures of these sections that are not as recorded.
    """

    figures: dict[str, Measured]
    compared: list[str]
    differing: list[str]


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
    own = f"{manifest.name} {manifest.version}"
    classifiers = {own: make_answer(codec, Served.open(bundle).predict_rows)}
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
    return Comparison(columns, *_find_differences(columns[own], read_recorded(bundle)))


def read_recorded(bundle: Bundle) -> Measured | None:
    """Return the figures that a bundle was published with; None for a bundle of an earlier release."""
    path = bundle.folder / FIGURES
    return Measured.read(path) if path.exists() else None


def _find_differences(measured: Measured, recorded: Measured | None) -> tuple[list[str], list[str]]:
    """Return the names of the sections whose texts have recorded figures, and those of the figures that differ."""
    known = {section.sha256: section for section in recorded.list_sections().values()} if recorded else {}
    compared, differing = [], []
    for name, section in measured.list_sections().items():
        if other := known.get(section.sha256):
            compared.append(name)
            for figure in section.figures.keys() & other.figures.keys():
                found, expected = section.figures[figure], other.figures[figure]
                if (f"{found.value:.4f}", found.texts) != (f"{expected.value:.4f}", expected.texts):
                    differing.append(f"{name}, {figure}")
    return compared, sorted(differing)
