"""The page takes and adds the same columns as `python -m app score`."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import Page

from app.scoring.answers import Columns
from app.scoring.figures import Counter, Figures
from bundle.tasks import SENTIMENT
from tables.columns import LABEL_NAMES, TEXT_NAMES
from tests.labelled import THREE

LABELS = [("negative", "positive"), ("no", "yes"), THREE]
SPELLINGS = [
    "positive",
    "Positive",
    " POSITIVE ",
    "pos",
    "NEG",
    "1",
    "0",
    "2",
    "true",
    "False",
    "yes",
    "no",
    "1.0",
    "p",
]


def import_columns(page: Page, expression: str, *values: object) -> object:
    return page.evaluate(f'async (values) => {{ const it = await import("/page/columns.js"); {expression} }}', values)


def test_the_usual_names_are_the_same(page: Page) -> None:
    assert import_columns(page, "return [it.TEXT_NAMES, it.LABEL_NAMES]") == [[*TEXT_NAMES], [*LABEL_NAMES]]


@pytest.mark.parametrize(
    ("columns", "places"),
    [(["id", "Review_Text", "x"], [1]), (["text", "tweet-text"], [0, 1]), (["texts"], []), ([" BODY "], [0])],
)
def test_usual_names_are_found_in_any_spelling(page: Page, columns: Sequence[str], places: list[int]) -> None:
    assert import_columns(page, "return it.findColumns(values[0], it.TEXT_NAMES)", columns) == places


@pytest.mark.parametrize("labels", LABELS)
def test_the_added_columns_are_the_same(page: Page, labels: Sequence[str]) -> None:
    added = [column.name for column in Columns(SENTIMENT.name, labels).added]
    assert import_columns(page, "return it.nameColumns(values[0])", labels) == added


@pytest.mark.parametrize("labels", LABELS)
def test_labels_have_the_same_spellings(page: Page, labels: Sequence[str]) -> None:
    answer = {"sentiment": labels[0], "probability_positive": 0.25, "probability": 0.75}
    for spelling in SPELLINGS:
        figures = Figures.make(labels)
        Counter(figures, Columns(SENTIMENT.name, labels)).add(spelling, answer, "line 1")
        meant = [label for label, row in zip(labels, figures.confusion, strict=True) if any(row)]
        found = import_columns(page, "return it.matchLabel(values[0], values[1])", spelling, labels)
        assert found == (meant[0] if meant else None), spelling
