"""The sentiment of a text."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, FailFast, Field, ValidationInfo
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from app.errors import FieldProblem
from app.runtime.queue import Output
from app.tasks.base import (
    Column,
    Encoded,
    Form,
    PredictionRequest,
    Probability,
    ServedTask,
    round_probability,
    with_example,
)
from bundle.manifest import Manifest
from bundle.reviews import EncodedReview, ReviewCodec
from bundle.store import Bundle
from bundle.tasks import SENTIMENT, UNCERTAIN

Text = Annotated[str, Field(description="An English text, such as a review, of any length up to the service's limit.")]

ANSWER: JsonDict = {
    "sentiment": "positive",
    "probability_positive": 0.9862,
    "words_used": 4,
    "words_unknown": 0,
    "words_cut": 0,
    "model": "sentiment",
    "version": 1,
}
SEVERAL_ANSWER: JsonDict = {
    "sentiment": "neutral",
    "probability": 0.7311,
    "probabilities": {"negative": 0.0608, "neutral": 0.7311, "positive": 0.2081},
    "words_used": 4,
    "words_unknown": 0,
    "words_cut": 0,
    "model": "my-reviews",
    "version": 1,
}


def _check_confidence(value: float | None, info: ValidationInfo) -> float | None:
    """Return the value if it can make a difference: the likeliest of n labels has a probability of at least 1/n."""
    labels: Sequence[str] = (info.context or {}).get("labels", SENTIMENT.labels)
    if value is not None and not value >= 1 / len(labels):  # also NaN
        raise PydanticKnownError("greater_than_equal", {"ge": 1 / len(labels)})
    return value


Confidence = Annotated[
    Annotated[float, Field(lt=1, strict=True)] | None,
    AfterValidator(_check_confidence),
    Field(
        description="Answer `uncertain` where the likeliest label is less probable than this; by default every text "
        "with a known word gets a label. At least 1 / the number of labels, which is 0.5 for two.",
    ),
]

_TOO_LONG = "the text has 120000 characters, the limit is 100000; shorten it"


class SentimentRequest(PredictionRequest):
    """One text to judge."""

    model_config = with_example({"text": "A tender, wonderful film."})

    text: Text
    min_confidence: Confidence = None


class SentimentBatchRequest(PredictionRequest):
    """Several texts to judge."""

    model_config = with_example({"texts": ["A tender, wonderful film.", "Two hours I will never get back."]})

    texts: Annotated[list[Text], Field(min_length=1), FailFast()]
    min_confidence: Confidence = None


Verdict = Annotated[
    str | None,
    Field(
        description="A label of the model, such as `positive`; `uncertain` by `min_confidence`; `null` if the text has "
        "no word that the model knows."
    ),
]
WordsUsed = Annotated[
    int, Field(description="Words the model read, unknown ones included; 0 for a text without words.")
]
WordsUnknown = Annotated[int, Field(description="Of the words used, those that the model does not know.")]
WordsCut = Annotated[
    int,
    Field(
        description="Words that the model did not read, due to its limit: at the start of the text, or at its end with "
        "models that read the beginning."
    ),
]


class SentimentAnswer(BaseModel):
    """The answer of a model with two labels to one text, and how many of its words the model read."""

    model_config = with_example(ANSWER)

    sentiment: Verdict
    probability_positive: Probability | None = Field(
        description="The probability of the second label of the model, also if `sentiment` is the first one; that is "
        "`positive` for models of negative and positive texts. `null` together with the sentiment."
    )
    words_used: WordsUsed
    words_unknown: WordsUnknown
    words_cut: WordsCut
    model: str
    version: int


class SeveralLabelsAnswer(BaseModel):
    """The answer of a model with more than two labels to one text, and how many of its words the model read."""

    model_config = with_example(SEVERAL_ANSWER)

    sentiment: Verdict
    probability: Probability | None = Field(
        description="The probability of the likeliest label, which is `sentiment` unless that is `uncertain`; `null` "
        "together with the sentiment."
    )
    probabilities: dict[str, Probability] | None = Field(
        description="The probability of each label, in the order of the model's labels; `null` together with the "
        "sentiment."
    )
    words_used: WordsUsed
    words_unknown: WordsUnknown
    words_cut: WordsCut
    model: str
    version: int


class SentimentBatchAnswer(BaseModel):
    """The answers, in the order of the texts."""

    model_config = with_example({"answers": [ANSWER]})

    answers: list[SentimentAnswer | SeveralLabelsAnswer]


def get_codec(bundle: Bundle) -> ReviewCodec:
    """Return the codec of a bundle of this task."""
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    return codec


def _read_ids(bundle: Bundle, ids: NDArray[np.integer[Any]]) -> Encoded:
    """Return one row of word ids without its padding; see `ReviewCodec.read`."""
    return _describe(get_codec(bundle).read(ids))


def _describe(review: EncodedReview) -> Encoded:
    facts = {
        "words_used": review.words_used,
        "words_unknown": review.words_unknown,
        "words_cut": review.words_cut,
    }
    return Encoded(review.ids, facts, review.words, review.unknown_share, review.words_cut > 0, review.is_readable)


class Sentiment(ServedTask):
    """Judges texts."""

    task = SENTIMENT
    single = Form(
        path="/sentiment",
        field="text",
        request=SentimentRequest,
        answer=SentimentAnswer | SeveralLabelsAnswer,
        summary="Judge a text",
        description="Answer which label of the model fits a text, such as positive or negative, and how many of its "
        "words were read. `GET /models/{name}` has the labels of a model.",
        problem=FieldProblem(type="text_too_long", loc=["body", "text"], msg=_TOO_LONG),
    )
    batch = Form(
        path="/sentiment/batch",
        field="texts",
        request=SentimentBatchRequest,
        answer=SentimentBatchAnswer,
        summary="Judge several texts",
        description="Answer several texts in their order, each as if it had been sent alone.",
        problem=FieldProblem(type="text_too_long", loc=["body", "texts", 4], msg=_TOO_LONG),
    )
    further_columns = (Column("ids", "INT32", (-1, -1), _read_ids),)

    def encode(self, bundle: Bundle, text: str) -> Encoded:
        """Return one text as word ids: see `ServedTask.encode`."""
        return _describe(get_codec(bundle).encode(text))

    def answer(
        self, manifest: Manifest, output: Output, encoded: Encoded, request: Any
    ) -> SentimentAnswer | SeveralLabelsAnswer:
        """Return the sentiment of one text: see `ServedTask.answer`."""
        origin = {"model": manifest.name, "version": manifest.version}
        is_readable, labels = encoded.is_readable, manifest.labels
        if len(labels) == 2:
            (second,) = output
            confidence, label = max(second, 1 - second), labels[int(second >= 0.5)]
            return SentimentAnswer(
                sentiment=_judge(label, confidence, request.min_confidence) if is_readable else None,
                probability_positive=round_probability(second) if is_readable else None,
                **encoded.facts,
                **origin,
            )
        confidence, label = output.max(), labels[int(output.argmax())]
        rounded = dict(zip(labels, map(round_probability, output), strict=True))
        return SeveralLabelsAnswer(
            sentiment=_judge(label, confidence, request.min_confidence) if is_readable else None,
            probability=round_probability(confidence) if is_readable else None,
            probabilities=rounded if is_readable else None,
            **encoded.facts,
            **origin,
        )

    def label(self, answer: SentimentAnswer | SeveralLabelsAnswer) -> str | None:
        """Return the sentiment: see `ServedTask.label`."""
        return answer.sentiment


def _judge(label: str, confidence: float, min_confidence: float | None) -> str:
    """Return the likeliest label, if it is probable enough."""
    return UNCERTAIN if min_confidence is not None and confidence < min_confidence else label
