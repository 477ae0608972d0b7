import numpy as np

from bundle.reviews import ReviewCodec, ReviewPreprocessing
from bundle.tokenisers import WordTokeniser
from training.evaluation import reference
from training.evaluation.evaluate import Evaluation

WORDS = ("good", "bad", "film")
TEXTS = ("a good film", "bad", "so long that its start is cut good film", "what is it", "")


def test_test_reviews_are_counted_as_the_service_counts_texts() -> None:
    length = 6
    codec = ReviewCodec(
        ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=len(WORDS) + 4, length=length), WORDS
    )
    positive = np.array([0.95, 0.02, 0.7, 0.5, 0.5])
    labels = np.array([1, 0, 1, 0, 0], np.int32)
    evaluation = Evaluation(labels, labels.astype(int), np.stack([1 - positive, positive], axis=1), {})
    counted = reference.count_texts(codec, TEXTS, evaluation, "the test reviews")
    assert counted.data == "the test reviews"
    assert counted.counts["length"][:5] == (2, 0, 2, 0, 1)  # 0 and 1 words, 3 and 3, 9
    assert sum(counted.counts["unknown_share"]) == 4  # a text without words has no share
    assert counted.counts["unknown_share"][0] == 1 and counted.counts["unknown_share"][-1] == 2
    assert sum(counted.counts["probability"]) == 3  # texts without a known word have no verdict
    assert counted.counts["probability"][1] == counted.counts["probability"][8] == 1


def test_of_several_labels_the_probability_of_the_likeliest_is_counted() -> None:
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=len(WORDS) + 4, length=6)
    labels = np.array([0, 2], np.int32)
    probabilities = np.array([[0.95, 0.03, 0.02], [0.4, 0.25, 0.35]])
    evaluation = Evaluation(labels, probabilities.argmax(axis=1), probabilities, {})
    counted = reference.count_texts(ReviewCodec(preprocessing, WORDS), ("good", "bad"), evaluation, "texts")
    expected = np.zeros(14, int)
    expected[[5, 11]] = 1  # up to 0.4, and up to 0.95
    assert counted.counts["probability"] == tuple(expected)
