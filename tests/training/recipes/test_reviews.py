from bundle.reviews import read_vocabulary
from training.data.review_coding import KERAS_WORDS
from training.recipes.reviews import KERAS_RANKS


def test_the_keras_ranks_are_as_many_as_stated() -> None:
    words = read_vocabulary(KERAS_WORDS)
    assert len(words) == len(set(words)) == KERAS_RANKS
