"""The page about what is read of a text: every row of its tables is so."""

import re
from pathlib import Path

import pytest

from bundle.readable import CLASSES, ReadableTokeniser
from bundle.reviews import ReviewCodec, ReviewPreprocessing

PAGE = (Path(__file__).parent.parent / "docs" / "reading.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")}
TOKENISER = ReadableTokeniser()


def list_rows(section: str) -> list[tuple[list[str], str]]:
    """Return the rows of a table: what is quoted in the first cell, and the second cell."""
    rows = re.findall(r"^\| (`.*`) \| (.*?) \|$", SECTIONS[section], re.MULTILINE)
    assert rows
    return [(re.findall("`(.*?)`", text), found) for text, found in rows]


@pytest.mark.parametrize(("texts", "words"), list_rows("Words"))
def test_a_text_is_split_as_the_page_says(texts: list[str], words: str) -> None:
    (text,) = texts
    assert TOKENISER.split(text) == re.findall("`(.*?)`", words)


@pytest.mark.parametrize(("texts", "rating"), list_rows("Ratings"))
def test_a_rating_is_read_as_the_page_says(texts: list[str], rating: str) -> None:
    assert {f"`{TOKENISER.fold(word)}`" for text in texts for word in TOKENISER.split(text)} == {rating}


@pytest.mark.parametrize(("texts", "verdict"), list_rows("Verdicts"))
def test_a_text_has_a_verdict_as_the_page_says(texts: list[str], verdict: str) -> None:
    words = (*CLASSES, "good", "5", "stars", *(f"{tenths}/10" for tenths in range(11)), "★★★", "★★★.5", "★★★★★", ":d")
    preprocessing = ReviewPreprocessing(tokeniser=TOKENISER, vocabulary_size=len(words) + 4, length=20)
    codec = ReviewCodec(preprocessing, words)
    assert {codec.encode(text).is_readable for text in texts} == {verdict == "yes"}
