"""Requests of the Open Inference Protocol: what the service does not do is refused, and not ignored silently."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.http.inference import InferenceRequest

TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}


def parse(**fields: Any) -> InferenceRequest:
    return InferenceRequest.model_validate({"inputs": [TENSOR]} | fields)


def test_an_id_that_cannot_be_repeated_is_refused() -> None:
    with pytest.raises(ValidationError, match="half of a surrogate pair, which is no character"):
        parse(id="\ud800")
    assert parse(id="\n\U0001f600").id == "\n\U0001f600"


def test_what_the_protocol_does_not_know_is_ignored() -> None:
    request = parse(
        model_name="sentiment", parameters={"tenant": 5}, outputs=[{"name": "label", "parameters": {"x": 1}}]
    )
    assert request.parameters.timeout == 0 and request.id is None


def test_parameters_that_mean_nothing_are_accepted() -> None:
    for parameters in ({"sequence_id": 0}, {"sequence_id": ""}, {"sequence_start": False, "priority": 3}):
        assert parse(parameters=parameters)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": {"sequence_id": 5}}, "keeps no state"),
        ({"parameters": {"sequence_id": "a"}}, "keeps no state"),
        ({"parameters": {"sequence_start": True}}, "keeps no state"),
        ({"parameters": {"sequence_end": True}}, "keeps no state"),
        ({"inputs": [TENSOR | {"parameters": {"shared_memory_region": "r"}}]}, "shares no memory"),
        ({"outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]}, "shares no memory"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 2}}]}, "does not rank classes"),
        ({"parameters": {"timeout": -1}}, "greater than or equal to 0"),
        ({"parameters": {"timeout": 10**30}}, "less than or equal to"),
        ({"parameters": {"timeout": "5"}}, "valid integer"),
        ({"parameters": {"binary_data_output": 1}}, "valid boolean"),
        ({"inputs": [TENSOR, TENSOR]}, "at most 1 item"),
        ({"inputs": [TENSOR | {"shape": []}]}, "at least 1 item"),
        ({"inputs": [TENSOR | {"shape": [0]}]}, "greater than or equal to 1"),
        ({"inputs": [TENSOR | {"shape": [True]}]}, "valid integer"),
        ({"inputs": [TENSOR | {"shape": [1, 1, 1]}]}, "at most 2 items"),
        ({"inputs": [TENSOR | {"data": "good"}]}, "valid list"),
        ({"id": 5}, "valid string"),
    ],
)
def test_what_the_service_does_not_do_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        parse(**fields)
    assert "Value error" not in str(raised.value)
