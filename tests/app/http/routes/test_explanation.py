"""The path of explanations: what it refuses, and what it is described as. `tests/app/tasks` has the explanations."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.conftest import Blocked

PATH = "/sentiment/explain"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["body", "text"]),
        ({"text": 5}, ["body", "text"]),
        ({"text": "a", "budget": 127}, ["body", "budget"]),
        ({"text": "a", "budget": "200"}, ["body", "budget"]),
        ({"text": "a", "budget": 4097}, ["body", "budget"]),
        ({"text": "w" * 5001}, ["body", "text"]),
        ({"text": "a", "texts": ["a"]}, ["body", "texts"]),
    ],
)
def test_an_invalid_request_names_the_field(exact_client: httpx.Client, body: dict[str, Any], place: list[str]) -> None:
    response = exact_client.post(PATH, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [problem["loc"] for problem in response.json()["errors"]] == [place]


def test_what_is_no_json_or_no_model_of_the_task_is_refused(exact_client: httpx.Client) -> None:
    assert exact_client.post(PATH, content="text").status_code == 415
    assert exact_client.post(PATH, content="{", headers={"content-type": "application/json"}).status_code == 422
    assert exact_client.post(PATH, json={"text": "a", "model": "none"}).status_code == 404
    assert exact_client.post(PATH, json={"text": "a", "version": 9}).status_code == 404
    assert exact_client.get(PATH).status_code == 405


def test_a_budget_within_the_limit_of_the_service_is_kept(services: Callable[..., httpx.Client]) -> None:
    client = services(max_explanation=128)
    text = "film " * 12
    assert client.post(PATH, json={"text": text}).json()["evaluations"] <= 128
    assert client.post(PATH, json={"text": text, "budget": 129}).json()["errors"][0]["type"] == "budget_too_large"


def test_overload_is_rejected_before_the_fields_are_checked(blocked: Blocked) -> None:
    with blocked.full():
        response = blocked.client.post(PATH, json={"text": 5})
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
    assert blocked.client.post(PATH, json={"text": 5}).status_code == 422


def test_requests_are_counted_by_their_route_and_model(exact_client: httpx.Client) -> None:
    exact_client.post(PATH, json={"text": "film"})
    counted = 'route="/sentiment/explain",status="200",version="1"}'
    assert any(
        counted in line and 'model="sentiment"' in line for line in exact_client.get("/metrics").text.split("\n")
    )


def test_the_documentation_has_the_limits(exact_client: httpx.Client, settings: Settings) -> None:
    document = exact_client.get("/openapi.json").json()
    fields = document["components"]["schemas"]["ExplanationRequest"]["properties"]
    assert fields["text"]["maxLength"] == settings.max_text_characters
    assert fields["budget"]["anyOf"][0] == {"type": "integer", "minimum": 128, "maximum": settings.max_explanation}
    assert "budget_too_large" in str(document["paths"][PATH]["post"]["responses"]["422"])
