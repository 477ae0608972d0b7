"""`POST /next-letter` and its batch."""

from fastapi import APIRouter

from app.errors import invalid_input
from app.predictors import check_limits, locate
from app.routes import RepositoryDependency, SettingsDependency, describe_prediction_errors
from app.schemas import (
    FieldProblem,
    NextLetterAnswer,
    NextLetterBatchAnswer,
    NextLetterBatchRequest,
    NextLetterRequest,
)

router = APIRouter(tags=["next letter"])

_DIGIT = "'1' (U+0031) at position 2 (the first is 0) is not a letter; send letters A-Z or a-z only"


@router.post(
    "/next-letter",
    summary="Continue a sequence of letters",
    responses=describe_prediction_errors(
        "/next-letter",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequence"], msg=_DIGIT, input="1")]),
    ),
)
def predict(
    request: NextLetterRequest, repository: RepositoryDependency, settings: SettingsDependency
) -> NextLetterAnswer:
    """Answer which letter comes next, with its probability and those of the `top_k` likeliest."""
    sequences = locate("sequence", request.sequence)
    check_limits(sequences, settings)
    return repository.next_letter(request.model).predict(sequences, request.top_k)[0]


@router.post(
    "/next-letter/batch",
    summary="Continue several sequences",
    responses=describe_prediction_errors(
        "/next-letter/batch",
        invalid_input([FieldProblem(type="letters", loc=["body", "sequences", 4], msg=_DIGIT, input="1")]),
    ),
)
def predict_batch(
    request: NextLetterBatchRequest, repository: RepositoryDependency, settings: SettingsDependency
) -> NextLetterBatchAnswer:
    """Answer several sequences in their order, each as if it had been sent alone."""
    sequences = locate("sequences", request.sequences)
    check_limits(sequences, settings)
    return NextLetterBatchAnswer(answers=repository.next_letter(request.model).predict(sequences, request.top_k))
