import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.editing import PLAIN
from bundle.ratings import edit, find_row, find_tenths, find_tenths_of_row, has_stars, join, needs_joining

TOKENS = ("4", "7.5", "10", "4/5", "4.5", "99", "out", "of", "5", "stars", "★", "⭐", "★★", "★☆", "★.5", "☆", "a")


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("8 / 10, 7.5 / 10", "8/10, 7.5/10"),
        ("10 / 10 / 2020, 24 / 7, 8 / 10.5, 1/2 / 5", "10 / 10 / 2020, 24 / 7, 8 / 10.5, 1/2 / 5"),
        ("3★/5, 3 ⭐ / 5", "3/5, 3/5"),
        ("4,5★ ★4,5 10,000 ★", "4.5★ 4.5/5 10,000 ★"),
        ("★4.5 ★7 a★4 ★★4", "4.5/5 ★7 a★4 ★★4"),
        ("4,5 / 5", "4,5/5"),
        ("no stars", "no stars"),
    ],
)
def test_the_marks_of_a_rating_stand_together(text: str, edited: str) -> None:
    assert edit(text, PLAIN) == edited


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("★ ★ ☆ a", "★★☆ a"),
        ("★ ★ ★.5 ☆ ★", "★★★.5☆ ★"),
        ("★★★ ☆ ☆ ★★ ★", "★★★☆☆ ★★ ★"),
        ("☆ ☆ ★", "☆ ☆ ★"),
        ("4 out of 5", "4/5"),
        ("4 stars out of 5 4 ★ out of 5 1 star out of 10", "4/5 4/5 1/10"),
        ("2 out of 3 out of 5 a out of 5", "2 out of 3/5 a out of 5"),
        ("5 ★ 4.5 ⭐ 8 ★ 99 ★ a ★", "5/5 4.5/5 8/10 99 ★ a ★"),
        ("★ 4.5 ★ 4 ★ 7.5", "4.5/5 4/5 7.5"),
        ("4/5 ★ ★★ 4/5 a ★ 4/5", "4/5 ★★ 4/5 a 4/5"),
        ("24/7 ★", "24/7 ★"),
        ("5 ★★", "5 ★★"),
        ("", ""),
    ],
)
def test_tokens_of_one_rating_become_one_word(tokens: str, words: str) -> None:
    joined = join(tokens.split())
    assert [word for word, _ in joined] == words.split()
    assert sum(count for _, count in joined) == len(tokens.split())


@given(st.lists(st.sampled_from(TOKENS)))
@settings(max_examples=1000, deadline=None)
def test_joined_words_are_not_joined_again(tokens: list[str]) -> None:
    words = [word for word, _ in join(tokens)]
    assert [word for word, _ in join(words)] == words
    text = " ".join(tokens)
    assert needs_joining(text) or words == tokens
    assert has_stars(text) == any(star in text for star in "★⭐")


@pytest.mark.parametrize(
    ("word", "tenths"),
    [
        ("8/10", "8/10"),
        ("8.5/10", "9/10"),
        ("7,5/10", "8/10"),
        ("0/5", "0/10"),
        ("2/4", "5/10"),
        ("3/4", None),
        ("1/4", None),
        ("87/100", "9/10"),
        ("11/10", "10/10"),
        ("24/7", None),
        ("50/50", None),
        ("20/20", None),
        ("1/2", None),
        ("a/10", None),
        ("10", None),
        ("★★", None),
    ],
)
def test_a_rating_in_figures_has_tenths(word: str, tenths: str | None) -> None:
    assert find_tenths(word) == tenths


@pytest.mark.parametrize(
    ("row", "form", "tenths"),
    [
        ("★★★☆☆", "★★★", "6/10"),
        ("⭐⭐⭐", "★★★", "6/10"),
        ("★★★.5☆", "★★★.5", "7/10"),
        ("★.25", "★.5", "3/10"),
        ("★★★★★★★★", "★★★★★", "10/10"),
        ("★☆☆☆☆☆☆☆☆☆", "★", "1/10"),
        ("☆", None, None),
        ("8/10", None, None),
    ],
)
def test_a_row_of_stars_has_whole_or_half_stars_of_five(row: str, form: str | None, tenths: str | None) -> None:
    assert (find_row(row), find_tenths_of_row(row)) == (form, tenths)
