"""`POST /sentiment` and its batch."""

from fastapi import APIRouter

from app.errors import invalid_input
from app.predictors import check_limits, locate
from app.routes import RepositoryDependency, SettingsDependency, describe_prediction_errors
from app.schemas import FieldProblem, SentimentAnswer, SentimentBatchAnswer, SentimentBatchRequest, SentimentRequest

router = APIRouter(tags=["sentiment"])

_LONG = "the text has 120000 characters, the limit is 100000; shorten it"


@router.post(
    "/sentiment",
    summary="Judge a film review",
    responses=describe_prediction_errors(
        "/sentiment",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "text"], msg=_LONG)]),
    ),
)
def predict(
    request: SentimentRequest, repository: RepositoryDependency, settings: SettingsDependency
) -> SentimentAnswer:
    """Answer whether a review is positive or negative, and how many of its words were read."""
    texts = locate("text", request.text)
    check_limits(texts, settings)
    return repository.sentiment(request.model).predict(texts)[0]


@router.post(
    "/sentiment/batch",
    summary="Judge several film reviews",
    responses=describe_prediction_errors(
        "/sentiment/batch",
        invalid_input([FieldProblem(type="text_too_long", loc=["body", "texts", 4], msg=_LONG)]),
    ),
)
def predict_batch(
    request: SentimentBatchRequest, repository: RepositoryDependency, settings: SettingsDependency
) -> SentimentBatchAnswer:
    """Answer several reviews in their order, each as if it had been sent alone."""
    texts = locate("texts", request.texts)
    check_limits(texts, settings)
    return SentimentBatchAnswer(answers=repository.sentiment(request.model).predict(texts))
