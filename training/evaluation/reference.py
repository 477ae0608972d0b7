"""The reference of a network for texts: its measures on test texts, which the service compares with live texts."""

from collections.abc import Iterable

from bundle.reference import Reference
from bundle.reviews import ReviewCodec
from training.evaluation.evaluate import Evaluation


def count_texts(codec: ReviewCodec, texts: Iterable[str], evaluation: Evaluation, data: str) -> Reference:
    """Return the reference of texts that were evaluated, with the measures of the service: see `bundle.reference`.

    Args:
        codec: of the network.
        texts: as many as were evaluated.
        evaluation: of the network on them.
        data: what they are.
    """
    encoded = [codec.encode(text) for text in texts]
    probabilities = evaluation.probabilities
    compared = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.max(axis=1)
    answers = zip(compared, encoded, strict=True)
    return Reference.count(
        data,
        {
            "length": [review.words for review in encoded],
            "unknown_share": [review.unknown_share for review in encoded if review.unknown_share is not None],
            "probability": [probability for probability, review in answers if review.is_readable],
        },
    )
