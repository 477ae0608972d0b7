"""`POST /next-letter` and its batch."""

from fastapi import APIRouter, Request

from app.errors import invalid_input
from app.predictors import check_limits, locate
from app.routes import describe_prediction_errors, get_repository
from app.routes.prediction import DeadlineHeader, PredictionRoute, get_deadline, get_settings
from app.schemas import (
    FieldProblem,
    NextLetterAnswer,
    NextLetterBatchAnswer,
    NextLetterBatchRequest,
    NextLetterRequest,
)

router = APIRouter(route_class=PredictionRoute, tags=["next letter"])

_DIGIT = "'1' (U+0031) at position 2 (the first is 0) is not a letter; send letters A-Z or a-z only"


@router.post(
    "/next-letter",
    summary="Continue a sequence of letters",
    responses=describe_prediction_errors(
        "/next-letter",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequence"], msg=_DIGIT, input="1")]),
    ),
)
async def predict(body: NextLetterRequest, request: Request, deadline_ms: DeadlineHeader = None) -> NextLetterAnswer:
    """Answer which letter comes next, with its probability and those of the `top_k` likeliest."""
    sequences = locate("sequence", body.sequence)
    check_limits(sequences, get_settings(request))
    prediction = (
        get_repository(request)
        .next_letter(body.model)
        .predict(sequences, body.top_k, get_deadline(request, deadline_ms))
    )
    return (await prediction)[0]


@router.post(
    "/next-letter/batch",
    summary="Continue several sequences",
    responses=describe_prediction_errors(
        "/next-letter/batch",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequences", 4], msg=_DIGIT, input="1")]),
    ),
)
async def predict_batch(
    body: NextLetterBatchRequest, request: Request, deadline_ms: DeadlineHeader = None
) -> NextLetterBatchAnswer:
    """Answer several sequences in their order, each as if it had been sent alone."""
    sequences = locate("sequences", body.sequences)
    check_limits(sequences, get_settings(request))
    prediction = (
        get_repository(request)
        .next_letter(body.model)
        .predict(sequences, body.top_k, get_deadline(request, deadline_ms))
    )
    return NextLetterBatchAnswer(answers=await prediction)
