import pytest

from app import errors
from app.errors import ECHO_CHARACTERS, AccessError, FieldProblem, OverloadedError, RequestError

KINDS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, RequestError) and error not in (RequestError, AccessError)
]


def test_every_error_that_a_client_is_told_has_a_type_of_its_own() -> None:
    assert len({error.kind for error in KINDS}) == len(KINDS)
    assert all(400 <= error.status < 600 for error in KINDS)


@pytest.mark.parametrize(
    ("value", "echo"),
    [
        (10**79, 10**79),
        (10**80, "1" + "0" * 79),
        (-(10**200), "-1" + "0" * 78),
        (10**400, None),
        (1.5, 1.5),
        (True, True),
        ("x" * 200, "x" * ECHO_CHARACTERS),
        (float("nan"), None),
    ],
)
def test_a_wrong_value_is_repeated_up_to_a_length(value: object, echo: object) -> None:
    problem = FieldProblem.model_validate({"type": "wrong", "loc": ["body"], "msg": "wrong", "input": value})
    assert problem.input == echo


@pytest.mark.parametrize(("seconds", "after"), [(0, 1), (0.2, 1), (1, 1), (1.1, 2), (80, 80)])
def test_who_is_refused_for_load_is_told_when_to_come_again(seconds: float, after: int) -> None:
    error = OverloadedError("9 texts are waiting", seconds)
    assert error.headers == {"retry-after": str(after)}
    assert error.detail == f"9 texts are waiting; try again in {after} s"
