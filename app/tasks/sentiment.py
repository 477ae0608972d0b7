"""The sentiment of a film review."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, FailFast, Field
from pydantic.config import JsonDict

from app.errors import FieldProblem
from app.runtime.queue import Output
from app.runtime.repository import Model
from app.tasks.base import (
    Encoded,
    Form,
    PredictionRequest,
    Probability,
    ServedTask,
    round_probability,
    with_example,
)
from bundle.manifest import Manifest
from bundle.reviews import ReviewCodec
from bundle.tasks import SENTIMENT

Text = Annotated[str, Field(description="An English film review, of any length up to the service's limit.")]

_ANSWER: JsonDict = {
    "sentiment": "positive",
    "probability_positive": 0.9862,
    "words_used": 4,
    "words_cut": 0,
    "model": "sentiment",
    "version": 1,
}
_TOO_LONG = "the text has 120000 characters, the limit is 100000; shorten it"


class SentimentRequest(PredictionRequest):
    """One review to judge."""

    model_config = with_example({"text": "A tender, wonderful film."})

    text: Text


class SentimentBatchRequest(PredictionRequest):
    """Several reviews to judge."""

    model_config = with_example({"texts": ["A tender, wonderful film.", "Two hours I will never get back."]})

    texts: Annotated[list[Text], Field(min_length=1), FailFast()]


class SentimentAnswer(BaseModel):
    """The sentiment of one review, and how many of its words the model read."""

    model_config = with_example(_ANSWER)

    sentiment: Literal["negative", "positive"]
    probability_positive: Probability
    words_used: int = Field(description="Words the model read, unknown ones included; 0 for a text without words.")
    words_cut: int = Field(description="Words at the start of the text that the model did not read, due to its limit.")
    model: str
    version: int


class SentimentBatchAnswer(BaseModel):
    """The answers, in the order of the texts."""

    model_config = with_example({"answers": [_ANSWER]})

    answers: list[SentimentAnswer]


class Sentiment(ServedTask):
    """Judges reviews."""

    task = SENTIMENT
    single = Form(
        path="/sentiment",
        field="text",
        request=SentimentRequest,
        answer=SentimentAnswer,
        summary="Judge a film review",
        description="Answer whether a review is positive or negative, and how many of its words were read.",
        problem=FieldProblem(type="text_too_long", loc=["body", "text"], msg=_TOO_LONG),
    )
    batch = Form(
        path="/sentiment/batch",
        field="texts",
        request=SentimentBatchRequest,
        answer=SentimentBatchAnswer,
        summary="Judge several film reviews",
        description="Answer several reviews in their order, each as if it had been sent alone.",
        problem=FieldProblem(type="text_too_long", loc=["body", "texts", 4], msg=_TOO_LONG),
    )

    def encode(self, model: Model, text: str) -> Encoded:
        """Return one review as word ids: see `ServedTask.encode`."""
        codec = model.bundle.codec
        assert isinstance(codec, ReviewCodec)
        review = codec.encode(text)
        return Encoded(review.ids, {"words_used": review.words_used, "words_cut": review.words_cut})

    def answer(self, manifest: Manifest, output: Output, encoded: Encoded, request: Any) -> SentimentAnswer:  # noqa: ARG002
        """Return the sentiment of one review: see `ServedTask.answer`."""
        (probability,) = output
        return SentimentAnswer(
            sentiment="positive" if probability >= 0.5 else "negative",
            probability_positive=round_probability(probability),
            **encoded.facts,
            model=manifest.name,
            version=manifest.version,
        )
