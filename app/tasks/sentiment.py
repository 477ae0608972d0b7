"""The sentiment of a text."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FailFast, Field
from pydantic.config import JsonDict

from app.errors import FieldProblem
from app.runtime.queue import Output
from app.runtime.versions import Model
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
from bundle.tasks import SENTIMENT

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
Confidence = Annotated[
    float | None,
    Field(
        ge=0.5,
        lt=1,
        description="Answer `uncertain` where the more probable sentiment is less probable than this; "
        "by default every text with a known word is positive or negative.",
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


class SentimentAnswer(BaseModel):
    """The sentiment of one text, and how many of its words the model read."""

    model_config = with_example(ANSWER)

    sentiment: Literal["negative", "positive", "uncertain"] | None = Field(
        description="`null` if the text has no word that the model knows."
    )
    probability_positive: Probability | None = Field(description="`null` together with the sentiment.")
    words_used: int = Field(description="Words the model read, unknown ones included; 0 for a text without words.")
    words_unknown: int = Field(description="Of the words used, those that the model does not know.")
    words_cut: int = Field(description="Words at the start of the text that the model did not read, due to its limit.")
    model: str
    version: int


class SentimentBatchAnswer(BaseModel):
    """The answers, in the order of the texts."""

    model_config = with_example({"answers": [ANSWER]})

    answers: list[SentimentAnswer]


def get_codec(model: Model) -> ReviewCodec:
    """Return the codec of a model of this task."""
    codec = model.bundle.codec
    assert isinstance(codec, ReviewCodec)
    return codec


def _read_ids(model: Model, ids: NDArray[np.integer[Any]]) -> Encoded:
    """Return one row of word ids without its padding; see `ReviewCodec.read`."""
    return _describe(get_codec(model).read(ids))


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
        answer=SentimentAnswer,
        summary="Judge a text",
        description="Answer whether a text is positive or negative, and how many of its words were read.",
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

    def encode(self, model: Model, text: str) -> Encoded:
        """Return one text as word ids: see `ServedTask.encode`."""
        return _describe(get_codec(model).encode(text))

    def answer(self, manifest: Manifest, output: Output, encoded: Encoded, request: Any) -> SentimentAnswer:
        """Return the sentiment of one text: see `ServedTask.answer`."""
        (probability,) = output
        return SentimentAnswer(
            sentiment=_judge(probability, request.min_confidence) if encoded.is_readable else None,
            probability_positive=round_probability(probability) if encoded.is_readable else None,
            **encoded.facts,
            model=manifest.name,
            version=manifest.version,
        )

    def label(self, answer: SentimentAnswer) -> str | None:
        """Return the sentiment: see `ServedTask.label`."""
        return answer.sentiment


def _judge(probability: float, min_confidence: float | None) -> Literal["negative", "positive", "uncertain"]:
    """Return the more probable sentiment, if it is probable enough."""
    if min_confidence is not None and max(probability, 1 - probability) < min_confidence:
        return "uncertain"
    return "positive" if probability >= 0.5 else "negative"
