"""The data of review networks: the codec of a recipe, and reviews coded by it."""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from bundle.manifest import Dataset
from bundle.readable import ReadableTokeniser
from bundle.reviews import RESERVED_IDS, ReviewCodec, ReviewPreprocessing, read_vocabulary
from bundle.tokenisers import KerasTokeniser, Tokeniser, TokenTokeniser, WordTokeniser
from training.data import imdb
from training.data.examples import Examples
from training.progress_bar import follow
from training.recipes.reviews import ReviewSettings

KERAS_WORDS = Path(__file__).parent / "keras_words.txt"

TOKENISERS: dict[str, Tokeniser] = {
    "keras": KerasTokeniser(),
    "words": WordTokeniser(),
    "tokens": TokenTokeniser(),
    "readable": ReadableTokeniser(),
}


@lru_cache(maxsize=1)  # the report trains several recipes on it
def load_reviews(source: Path | None, console: Console) -> imdb.Imdb:
    """Return the dataset: see `imdb.load`."""
    with console.status(escape(f"Reading {source or imdb.ARCHIVE}")):
        return imdb.load(source)


def learn_review_codec(settings: ReviewSettings, texts: list[str], console: Console) -> ReviewCodec:
    """Return the codec of a recipe that is trained on these texts."""
    if settings.ranks == "keras":
        return make_review_codec(settings, read_vocabulary(KERAS_WORDS))
    tokeniser = TOKENISERS[settings.tokeniser]
    counts = count_words(tokeniser, follow(texts, "Counting words", len(texts), console))
    return make_review_codec(
        settings, choose_words(tokeniser, counts, settings.vocabulary_size - RESERVED_IDS, settings.endings)
    )


def fold_classes(tokeniser: ReadableTokeniser, counts: Counter[str], least: int) -> Counter[str]:
    """Return the counts with each emoji, mention or censored word that occurs less often as its class."""
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        folded[(tokeniser.find_class(word) or word) if count < least else word] += count
    return folded


def count_words(tokeniser: Tokeniser, texts: Iterable[str]) -> Counter[str]:
    """Return the count of each word in the texts, in the form that a vocabulary has, in order of first appearance."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokeniser.split(text))
    if not tokeniser.keeps_case:
        return counts
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        folded[tokeniser.fold(word)] += count
    return folded


def choose_words(tokeniser: Tokeniser, counts: Counter[str], size: int, endings: int) -> list[str]:
    """Return the tokeniser's classes, the most frequent words, and the most frequent endings of the others; `size`."""
    classes = tokeniser.classes
    ranked = [*classes, *(word for word, _ in counts.most_common() if word not in classes)]
    if not tokeniser.keeps_case:
        return ranked[:size]
    ended: Counter[str] = Counter()
    for word in ranked[size - endings :]:
        for ending in tokeniser.find_endings(word):
            ended[ending] += counts[word]
    return ranked[: size - endings] + [ending for ending, _ in ended.most_common(endings)]


def make_review_codec(settings: ReviewSettings, ranked: list[str]) -> ReviewCodec:
    """Return the codec of a recipe, for words by their rank."""
    words = ranked[: settings.vocabulary_size - RESERVED_IDS]
    preprocessing = ReviewPreprocessing(
        tokeniser=TOKENISERS[settings.tokeniser],
        vocabulary_size=len(words) + RESERVED_IDS,
        length=settings.length,
    )
    return ReviewCodec(preprocessing, words)


def describe_reviews(
    codec: ReviewCodec, data: imdb.Imdb, training_examples: int, console: Console
) -> tuple[Examples, Dataset]:
    """Return the test data of a review network: the test reviews."""
    dataset = Dataset(
        name=data.name, sha256=data.sha256, training_examples=training_examples, test_examples=len(data.test)
    )
    return code_reviews(codec, data.test, "Coding the test reviews", console), dataset


def code_reviews(codec: ReviewCodec, reviews: tuple[imdb.Review, ...], what: str, console: Console) -> Examples:
    """Return the ids, int32 [reviews, length], and the labels, int32 [reviews]; `what` labels the progress bar."""
    inputs = code_texts(codec, [review.text for review in reviews], what, console)
    return Examples(inputs, np.array([review.label for review in reviews], np.int32))


def code_texts(codec: ReviewCodec, texts: list[str], what: str, console: Console) -> NDArray[np.int32]:
    """Return the ids of texts, int32 [texts, length]; `what` labels the progress bar."""
    return codec.pad(code_each(codec, texts, what, console))


def code_each(codec: ReviewCodec, texts: list[str], what: str, console: Console) -> list[NDArray[np.int32]]:
    """Return the ids of each text, int32 [ids]; `what` labels the progress bar."""
    return [codec.encode(text).ids for text in follow(texts, what, len(texts), console)]
