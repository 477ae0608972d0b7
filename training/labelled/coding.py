"""The user's texts as ids: words chosen by their counts, and rows in memory as int32, coded in one pass."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.reviews import RESERVED_IDS, ReviewCodec
from bundle.tokenisers import Tokeniser
from training.data import review_coding
from training.data.examples import Examples
from training.data.labelled.texts import Texts
from training.distillation.corpus import Corpus
from training.errors import DataError
from training.progress_bar import follow
from training.recipes.labelled import LabelledSettings

MOST_UNKNOWN = 1 / 3  # share of unknown words that is warned of


@dataclass(frozen=True)
class CodedTexts:
    """Rows of ids.

    Attributes:
        corpus: the ids of each text, cut to the network's length.
        labels: the label of each, -1 without one, int32 [texts].
        unknown_share: of all words, those that are not in the vocabulary.
    """

    corpus: Corpus
    labels: NDArray[np.int32]
    unknown_share: float

    def pad(self, codec: ReviewCodec) -> Examples:
        """Return them as examples, int32 [texts, length]."""
        constants = codec.preprocessing
        rows = np.arange(len(self.corpus))
        return Examples(self.corpus.pad(rows, constants.length, constants.padding_id), self.labels)


def code(codec: ReviewCodec, texts: Texts, what: str, console: Console) -> CodedTexts:
    """Return the ids of texts; `what` labels the progress bar."""
    ids, ends = array("i"), array("q")
    used = unknown = 0
    for text in follow(texts.read(), what, len(texts), console):
        row = codec.encode(text)
        ids.frombytes(row.ids.tobytes())
        ends.append(len(ids))
        used += row.words_used
        unknown += row.words_unknown
    corpus = Corpus(np.array(ids, np.int32), np.array(ends, np.int64))
    return CodedTexts(corpus, texts.labels, unknown / max(used, 1))


def count_words(tokeniser: Tokeniser, parts: Sequence[Texts], console: Console) -> Counter[str]:
    """Return the count of each word in parts of the data: see `review_coding.count_words`."""
    texts = (text for part in parts for text in part.read())
    total = sum(map(len, parts))
    return review_coding.count_words(tokeniser, follow(texts, "Counting words", total, console))


def learn_codec(settings: LabelledSettings, parts: Sequence[Texts], console: Console) -> ReviewCodec:
    """Return the codec for a network that begins with random weights, by the words of the data.

    Raises:
        DataError: the texts have no words.
    """
    tokeniser = review_coding.TOKENISERS[settings.tokeniser]
    counts = count_words(tokeniser, parts, console)
    # A word that occurs once is learnt from one text only: it is better read by its ending, or as unknown.
    repeated = sum(count > 1 for count in counts.values())
    if not repeated:
        raise DataError(f"{parts[0].source.path} has no word that occurs twice; check that its texts are texts")
    endings = settings.endings if tokeniser.keeps_case else 0
    size = min(settings.vocabulary_size - RESERVED_IDS, len(tokeniser.classes) + repeated + endings)
    words = review_coding.choose_words(tokeniser, counts, size, endings)
    network = settings.make_network(settings.scratch, len(words) + RESERVED_IDS, settings.embedding, settings.units)
    return review_coding.make_review_codec(network, words)
