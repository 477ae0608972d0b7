import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.readable import ReadableTokeniser
from bundle.tokenisers import KerasTokeniser, Tokeniser, TokenTokeniser, WordTokeniser


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("This film was JUST brilliant", ["this", "film", "was", "just", "brilliant"]),
        ("well-made, isn't it?", ["well", "made", "isn't", "it"]),
        ('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', []),
        ("'quoted'", ["'quoted'"]),
        ("Bad.<br /><br />Really", ["bad", "br", "br", "really"]),
        ("one\r two\r\nthree", ["one\r", "two\r", "three"]),
        ("a\xa0b\u2028c", ["a\xa0b\u2028c"]),
        ("tab\tand\nline", ["tab", "and", "line"]),
        ("7/10 ...", ["7", "10"]),
        ("ÉTÉ ΣΑΣ", ["été", "σας"]),
        ("", []),
        ("   ", []),
    ],
)
def test_keras_words_are_what_remains_between_the_filtered_characters(text: str, words: list[str]) -> None:
    assert KerasTokeniser().split(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A GREAT film", ["a", "great", "film"]),
        ("Bad.<br /><br />Really", ["bad", "really"]),
        ("<i>so</i> <A HREF='x'>it</A> goes", ["so", "it", "goes"]),
        ("a < b and c > d", ["a", "b", "and", "c", "d"]),
        ("I <3 it", ["i", "3", "it"]),
        ("an <unclosed tag", ["an", "unclosed", "tag"]),
        ("7/10, or 10 / 10", ["7/10", "or", "10", "10"]),
        ("What?! No!!", ["what", "?", "!", "no", "!", "!"]),
        ("Well... and ..... or .", ["well", "...", "and", ".....", "or"]),
        (":) :-) :( :-( ;) ;-) ;(", [":)", ":-)", ":(", ":-(", ";)", ";-)", ";("]),
        ("don't rock'n'roll 'quoted'", ["don't", "rock'n'roll", "quoted"]),
        ("don’t", ["don't"]),
        ("snake_case", ["snake", "case"]),
        ("café 99", ["café", "99"]),
        ("", []),
        (" -- \r\n", []),
    ],
)
def test_words_and_marks_that_carry_sentiment_are_kept(text: str, words: list[str]) -> None:
    assert WordTokeniser().split(text) == words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A GREAT film, isn't it?", ["A", "GREAT", "film", ",", "isn't", "it", "?"]),
        ("Bad.<br /><BR>Really", ["Bad", ".", "Really"]),
        ("a < b", ["a", "b"]),
        ("7/10, 3.5/5 and 10", ["7/10", ",", "3.5/5", "and", "10"]),
        ("It's John's; rock'n'roll don’t", ["It", "'s", "John", "'s", ";", "rock'n'roll", "don't"]),
        ('*** of ****! (really) :) "so"', ["***", "of", "****", "!", "(", "really", ")", ":)", '"', "so", '"']),
        ("Well.... e.g.", ["Well", "....", "e", ".", "g", "."]),
        ("ALL OF IT IN CAPITALS!", ["all", "of", "it", "in", "capitals", "!"]),
        ("", []),
        (" -- \r\n", []),
    ],
)
def test_tokens_are_words_in_their_case_and_the_marks_between_them(text: str, tokens: list[str]) -> None:
    assert TokenTokeniser().split(text) == tokens


@pytest.mark.parametrize("tokeniser", [KerasTokeniser(), WordTokeniser(), TokenTokeniser(), ReadableTokeniser()])
def test_opening_brackets_that_nothing_closes_are_no_tags(tokeniser: Tokeniser) -> None:
    assert tokeniser.split("<a" * 200_000) == ["a"] * 200_000


@pytest.mark.parametrize("tokeniser", [WordTokeniser(), TokenTokeniser()], ids=["words", "tokens"])
@given(
    text=st.one_of(st.text("asS09'/.!?:;-()_, *\"", max_size=30), st.text(st.characters(codec="ascii"), max_size=30))
)
@settings(max_examples=500)
def test_ascii_is_split_as_the_pattern_of_the_manifest_says(
    tokeniser: WordTokeniser | TokenTokeniser, text: str
) -> None:
    if isinstance(tokeniser, WordTokeniser):
        text = text.lower()
    unmarked = re.sub(tokeniser.markup, " ", text)
    expected = re.findall(tokeniser.pattern, unmarked.lower() if unmarked.isupper() else unmarked)
    assert tokeniser.split(text) == expected


@pytest.mark.parametrize(
    ("token", "folded"), [("Great", "great"), ("GREAT", "GREAT"), ("I", "i"), ("great", "great"), ("!", "!")]
)
def test_a_word_in_capitals_keeps_them_in_a_vocabulary(token: str, folded: str) -> None:
    assert TokenTokeniser().fold(token) == folded


@pytest.mark.parametrize("tokeniser", [KerasTokeniser(), WordTokeniser()])
def test_words_in_lower_case_have_one_form(tokeniser: KerasTokeniser | WordTokeniser) -> None:
    assert [tokeniser.fold(word) for word in tokeniser.split("A GREAT film")] == ["a", "great", "film"]
