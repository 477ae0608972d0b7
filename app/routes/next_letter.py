"""`POST /next-letter` and its batch."""

from collections.abc import Awaitable

from fastapi import APIRouter, Request

from app.predictors import locate
from app.problems import invalid_input
from app.routes import describe_prediction_errors, get_repository, get_settings
from app.routes.prediction import PredictionRoute, describe_deadline, get_deadline
from app.schemas import (
    FieldProblem,
    NextLetterAnswer,
    NextLetterBatchAnswer,
    NextLetterBatchRequest,
    NextLetterRequest,
)


class _Route(PredictionRoute):
    task = "next-letter"


router = APIRouter(route_class=_Route, dependencies=[describe_deadline], tags=["next letter"])

_DIGIT = "'1' (U+0031) at position 2 (the first is 0) is not a letter; send letters A-Z or a-z only"


@router.post(
    "/next-letter",
    summary="Continue a sequence of letters",
    responses=describe_prediction_errors(
        "/next-letter",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequence"], msg=_DIGIT, input="1")]),
    ),
)
async def predict(body: NextLetterRequest, request: Request) -> NextLetterAnswer:
    """Answer which letter comes next, with its probability and those of the `top_k` likeliest."""
    return (await _predict("sequence", body.sequence, body, request))[0]


@router.post(
    "/next-letter/batch",
    summary="Continue several sequences",
    responses=describe_prediction_errors(
        "/next-letter/batch",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequences", 4], msg=_DIGIT, input="1")]),
    ),
)
async def predict_batch(body: NextLetterBatchRequest, request: Request) -> NextLetterBatchAnswer:
    """Answer several sequences in their order, each as if it had been sent alone."""
    answers = await _predict("sequences", body.sequences, body, request)
    return NextLetterBatchAnswer(answers=answers)


def _predict(
    field: str,
    sequences: str | list[str],
    body: NextLetterRequest | NextLetterBatchRequest,
    request: Request,
) -> Awaitable[list[NextLetterAnswer]]:
    located = locate(field, sequences, get_settings(request))
    predictor = get_repository(request).next_letter(body.model)
    return predictor.predict(located, body.top_k, get_deadline(request))
