"""The path that explains the sentiment of a text."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.types import Receive, Scope

from app.errors import FieldProblem, InvalidInputError
from app.http.access import find_caller
from app.http.body import check_media_type, parse_json, validate
from app.http.problems import Answer
from app.http.routes.prediction import (
    DEADLINE_PARAMETER,
    OTHER_VALUES,
    DirectRoute,
    describe_prediction_errors,
    find_model,
    locate,
    unless_client_leaves,
)
from app.runtime.queue import Permit
from app.runtime.repository import Repository
from app.runtime.versions import Model
from app.settings import Settings
from app.tasks.explanation import DEFAULT_BUDGET, AnyExplanationAnswer, ExplanationRequest, explain
from bundle.tasks import SENTIMENT

_PATH = "/sentiment/explain"
_PROBLEM = FieldProblem(
    type="budget_too_large", loc=["body", "budget"], msg="the budget is 100000, the limit is 4096; send a smaller one"
)


class ExplanationRoute(DirectRoute):
    """The path that explains the sentiment of a text."""

    async def answer(self, scope: Scope, receive: Receive, read: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return an explanation: see `DirectRoute.answer`."""
        check_media_type(scope["state"]["headers"])
        repository: Repository = scope["app"].state.repository
        settings: Settings = scope["app"].state.settings
        value = parse_json(await read(), OTHER_VALUES)
        model = find_model(repository, SENTIMENT, value)
        # Overload is rejected before anything that takes longer.
        with model.batcher.admit(1, scope["state"]["deadline"], find_caller(scope)) as permit:
            answer = await unless_client_leaves(receive, _explain(value, model, permit, settings))
        return Answer.of_json(HTTPStatus.OK, "application/json", answer.model_dump_json())


async def _explain(value: Any, model: Model, permit: Permit, settings: Settings) -> AnyExplanationAnswer:
    """Return the explanation for a JSON value.

    Raises:
        RequestError: see `explain`.
        InvalidInputError: the value does not fit the schema, or it is past a limit.
    """
    request = validate(ExplanationRequest, value, model.manifest.labels)
    text = locate("text", request.text, settings)
    budget = request.budget or min(DEFAULT_BUDGET, settings.max_explanation)
    if budget > settings.max_explanation:
        message = f"the budget is {budget}, the limit is {settings.max_explanation}; send a smaller one"
        raise InvalidInputError([FieldProblem(type="budget_too_large", loc=["body", "budget"], msg=message)])
    # A batch may always wait, so so many texts may.
    return await explain(model, text, request, permit, budget, settings.max_batch)


def make_router() -> APIRouter:
    """Return the route."""
    router = APIRouter(route_class=ExplanationRoute)

    @router.post(
        _PATH,
        summary="Explain the judgement of a text",
        description="Answer as `/sentiment` does, and how much each word moves the answer: the contributions of all "
        "words add up to the difference from a text without words.",
        tags=[SENTIMENT.name],
        responses=describe_prediction_errors(_PATH, _PROBLEM),
        openapi_extra={"parameters": [DEADLINE_PARAMETER]},
        operation_id="sentiment_explain",
    )
    async def _explain_text(body: ExplanationRequest) -> AnyExplanationAnswer:
        raise AssertionError(f"This is a bug: ExplanationRoute answers this itself, not {body!r}")  # pragma: no cover

    return router
