import pytest

from app.errors import ModelNotFoundError
from app.runtime.defaults import choose_default_model, list_default_versions


@pytest.mark.parametrize(("stable", "expected"), [(None, [10, 3, 1]), (10, [10, 3, 1]), (3, [3, 1]), (2, [1]), (0, [])])
def test_newer_versions_than_the_stable_one_do_not_answer(stable: int | None, expected: list[int]) -> None:
    assert list_default_versions([3, 10, 1], stable) == expected


@pytest.mark.parametrize(
    ("named", "names", "models", "expected"),
    [
        ("films", ["sentiment", "films"], ["sentiment", "films"], "films"),
        ("missing", ["sentiment"], ["sentiment"], "missing"),
        (None, ["films", "sentiment"], ["films", "sentiment"], "sentiment"),
        (None, ["films", "letters"], ["films"], "films"),
        (None, ["letters"], [], "sentiment"),
    ],
)
def test_the_default_is_the_named_model_or_that_of_the_task_or_the_only_one(
    named: str | None, names: list[str], models: list[str], expected: str
) -> None:
    assert choose_default_model("sentiment", named, names, lambda: models) == expected


def test_several_models_without_a_default_are_named() -> None:
    with pytest.raises(ModelNotFoundError, match="several models answer sentiment: films, reviews; name one in the"):
        choose_default_model("sentiment", None, ["films", "reviews"], lambda: ["films", "reviews"])
