"""`POST /sentiment` and its batch."""

from collections.abc import Awaitable

from fastapi import APIRouter, Request

from app.errors import Location, invalid_input
from app.predictors import check_limits, locate
from app.routes import describe_prediction_errors, get_repository, get_settings
from app.routes.prediction import DeadlineHeader, PredictionRoute, get_deadline
from app.schemas import FieldProblem, SentimentAnswer, SentimentBatchAnswer, SentimentBatchRequest, SentimentRequest


class _Route(PredictionRoute):
    task = "sentiment"


router = APIRouter(route_class=_Route, tags=["sentiment"])

_LONG = "the text has 120000 characters, the limit is 100000; shorten it"


@router.post(
    "/sentiment",
    summary="Judge a film review",
    responses=describe_prediction_errors(
        "/sentiment",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "text"], msg=_LONG)]),
    ),
)
async def predict(body: SentimentRequest, request: Request, deadline_ms: DeadlineHeader = None) -> SentimentAnswer:
    """Answer whether a review is positive or negative, and how many of its words were read."""
    return (await _predict(locate("text", body.text), body, request, deadline_ms))[0]


@router.post(
    "/sentiment/batch",
    summary="Judge several film reviews",
    responses=describe_prediction_errors(
        "/sentiment/batch",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "texts", 4], msg=_LONG)]),
    ),
)
async def predict_batch(
    body: SentimentBatchRequest, request: Request, deadline_ms: DeadlineHeader = None
) -> SentimentBatchAnswer:
    """Answer several reviews in their order, each as if it had been sent alone."""
    return SentimentBatchAnswer(answers=await _predict(locate("texts", body.texts), body, request, deadline_ms))


def _predict(
    texts: dict[Location, str],
    body: SentimentRequest | SentimentBatchRequest,
    request: Request,
    deadline_ms: int | None,
) -> Awaitable[list[SentimentAnswer]]:
    check_limits(texts, get_settings(request))
    predictor = get_repository(request).sentiment(body.model)
    return predictor.predict(texts, get_deadline(request, deadline_ms))
