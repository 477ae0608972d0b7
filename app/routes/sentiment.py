"""`POST /sentiment` and its batch."""

from collections.abc import Awaitable

from fastapi import APIRouter, Request

from app.predictors import locate
from app.problems import invalid_input
from app.routes import describe_prediction_errors, get_repository, get_settings
from app.routes.prediction import PredictionRoute, describe_deadline, get_deadline
from app.schemas import FieldProblem, SentimentAnswer, SentimentBatchAnswer, SentimentBatchRequest, SentimentRequest


class _Route(PredictionRoute):
    task = "sentiment"


router = APIRouter(route_class=_Route, dependencies=[describe_deadline], tags=["sentiment"])

_LONG = "the text has 120000 characters, the limit is 100000; shorten it"


@router.post(
    "/sentiment",
    summary="Judge a film review",
    responses=describe_prediction_errors(
        "/sentiment",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "text"], msg=_LONG)]),
    ),
)
async def predict(body: SentimentRequest, request: Request) -> SentimentAnswer:
    """Answer whether a review is positive or negative, and how many of its words were read."""
    return (await _predict("text", body.text, body, request))[0]


@router.post(
    "/sentiment/batch",
    summary="Judge several film reviews",
    responses=describe_prediction_errors(
        "/sentiment/batch",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "texts", 4], msg=_LONG)]),
    ),
)
async def predict_batch(body: SentimentBatchRequest, request: Request) -> SentimentBatchAnswer:
    """Answer several reviews in their order, each as if it had been sent alone."""
    return SentimentBatchAnswer(answers=await _predict("texts", body.texts, body, request))


def _predict(
    field: str,
    texts: str | list[str],
    body: SentimentRequest | SentimentBatchRequest,
    request: Request,
) -> Awaitable[list[SentimentAnswer]]:
    located = locate(field, texts, get_settings(request))
    predictor = get_repository(request).sentiment(body.model)
    return predictor.predict(located, get_deadline(request))
