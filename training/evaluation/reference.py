"""The reference of a review network: its measures on the test reviews, which the service compares with live texts."""

from collections.abc import Sequence

from bundle.reference import Reference
from bundle.reviews import ReviewCodec
from training.data.imdb import Review
from training.evaluation.evaluate import Evaluation


def count_reviews(codec: ReviewCodec, reviews: Sequence[Review], evaluation: Evaluation) -> Reference:
    """Return the reference of reviews that were evaluated, with the measures of the service: see `bundle.reference`."""
    encoded = [codec.encode(review.text) for review in reviews]
    answers = zip(evaluation.probabilities[:, 1], encoded, strict=True)
    return Reference.count(
        "the test reviews",
        {
            "length": [review.words for review in encoded],
            "unknown_share": [review.unknown_share for review in encoded if review.unknown_share is not None],
            "probability": [probability for probability, review in answers if review.is_readable],
        },
    )
