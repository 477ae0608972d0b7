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
