import pytest

from training.data.labelled.labels import clean_label, find_spellings, is_missing, order_labels, parse_label_map
from training.errors import DataError


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (" good ", "good"),
        ("1.0", "1"),
        ("-1.00", "-1"),
        ("1", "1"),
        ("1.5", "1.5"),
        ("v1.0", "v1.0"),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_label_has_one_form(label: str | None, expected: str | None) -> None:
    assert clean_label(label) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"positive", "negative"}, ("negative", "positive")),
        ({"Pos", "NEG"}, ("NEG", "Pos")),
        ({"1", "0"}, ("0", "1")),
        ({"true", "false"}, ("false", "true")),
        ({"Yes", "No"}, ("No", "Yes")),
        ({"1", "-1"}, ("-1", "1")),
        ({"10", "2", "1.5"}, ("1.5", "2", "10")),
        ({"10", "2", "b"}, ("10", "2", "b")),
        ({"positive", "neutral", "negative"}, ("negative", "neutral", "positive")),
        ({"spam", "ham"}, ("ham", "spam")),
        ({"negative", "Negative"}, ("Negative", "negative")),
    ],
)
def test_labels_have_an_order(labels: set[str], expected: tuple[str, ...]) -> None:
    assert order_labels(labels) == expected


def test_labels_have_the_order_of_the_map() -> None:
    label_map = {"5": "good", "4": "good", "3": "so-so", "1": "bad", "0": "awful"}
    assert order_labels({"bad", "good", "so-so"}, label_map) == ("good", "so-so", "bad")
    assert order_labels({"1", "2", "10"}, {"a": "10", "b": "1", "c": "2"}) == ("10", "1", "2")
    assert order_labels({"positive", "negative"}, {"5": "positive", "1": "negative"}) == ("negative", "positive")


@pytest.mark.parametrize("value", ["nan", "NaN", "None", "null", "NULL", "N/A", "NA", "<NA>"])
def test_words_for_missing_values_are_known(value: str) -> None:
    assert is_missing(value)
    assert not is_missing(f"{value}s")


def test_a_map_joins_labels() -> None:
    assert parse_label_map(" 1 , 2.0=negative; 4,5 = positive;") == {
        "1": "negative",
        "2": "negative",
        "4": "positive",
        "5": "positive",
    }
    assert parse_label_map("a=b=x;c=y") == {"a=b": "x", "c": "y"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2", "'1,2' maps no labels; write it as in 1,2=negative;4,5=positive"),
        ("1=;2=b", "'1=' maps no labels"),
        ("=a;2=b", "'=a' maps no labels"),
        ("1,=a;2=b", "'1,=a' maps no labels"),
        ("1=a;1.0=b", "the label '1' is mapped twice"),
        ("1,2=a", "leaves fewer than two labels"),
        ("", "leaves fewer than two labels"),
    ],
)
def test_another_form_of_a_map_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_label_map(text)


def test_labels_that_differ_only_in_case_are_found() -> None:
    assert find_spellings(["Good", "bad", "good", "ok"]) == [["Good", "good"]]
