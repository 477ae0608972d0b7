import pytest

from app import errors
from app.errors import OverloadedError, RequestError

KINDS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, RequestError) and error is not RequestError
]


def test_every_error_that_a_client_is_told_has_a_type_of_its_own() -> None:
    assert len({error.kind for error in KINDS}) == len(KINDS)
    assert all(400 <= error.status < 600 for error in KINDS)


@pytest.mark.parametrize(("seconds", "after"), [(0, 1), (0.2, 1), (1, 1), (1.1, 2), (80, 80)])
def test_who_is_refused_for_load_is_told_when_to_come_again(seconds: float, after: int) -> None:
    error = OverloadedError("9 texts are waiting", seconds)
    assert error.headers == {"retry-after": str(after)}
    assert error.detail == f"9 texts are waiting; try again in {after} s"
