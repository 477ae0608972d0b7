import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.editing import PLAIN, Editor, Trace
from bundle.imported_tokenisers import FilterTokeniser, VectorizationTokeniser, WhitespaceTokeniser
from bundle.readable import ReadableTokeniser
from bundle.splitting import TokeniserBase
from bundle.text import show
from bundle.tokenisers import KerasTokeniser, Tokeniser, TokenTokeniser, WordTokeniser
from tests.bundle.test_readable import PIECES

TOKENISERS = [KerasTokeniser(), WordTokeniser(), TokenTokeniser(), ReadableTokeniser()]
IMPORTED = [
    FilterTokeniser(lower=True, filters="!.,\n", separator=" "),
    FilterTokeniser(lower=False, filters="", separator=" "),
    FilterTokeniser(lower=True, filters=".", separator="lm"),
    VectorizationTokeniser(),
    VectorizationTokeniser(standardise="none"),
    WhitespaceTokeniser(lower=True),
    WhitespaceTokeniser(lower=False),
]
# A joiner ends with the emoji before it, a skin tone and a variation selector with theirs.
FAMILY = ["\U0001f468\u200d", "\U0001f469", "\U0001f44d\U0001f3fd", "\u2764\ufe0f"]
ANY_TEXT = st.text(st.characters()) | st.lists(st.sampled_from(PIECES)).map("".join)
ORDINARY = st.lists(
    st.sampled_from(
        (
            "A",
            "film",
            "don't",
            "caf\u00e9",
            "na\u0131ve",
            "7/10",
            "GREAT",
            "\u6771\u4eac",
            "Stra\u00dfe",
            "it\u2019s",
            "3.5/5",
            "no",
        )
    )
).map(" ".join)


@pytest.mark.parametrize("tokeniser", [*TOKENISERS, *IMPORTED], ids=lambda one: one.kind)
@given(text=ANY_TEXT)
def test_words_with_places_are_the_same_words(tokeniser: TokeniserBase, text: str) -> None:
    assert [token.word for token in tokeniser.split_with_places(text)] == tokeniser.split(text)


@pytest.mark.parametrize("tokeniser", [*TOKENISERS, *IMPORTED], ids=lambda one: one.kind)
@given(text=ANY_TEXT)
def test_places_rise_and_do_not_overlap(tokeniser: TokeniserBase, text: str) -> None:
    ends = 0
    for token in tokeniser.split_with_places(text):
        assert ends <= token.start <= token.end <= len(text)
        ends = token.end


@pytest.mark.parametrize("tokeniser", TOKENISERS, ids=lambda one: one.kind)
@given(text=ORDINARY)
def test_the_place_of_a_word_in_ordinary_text_has_this_word(tokeniser: Tokeniser, text: str) -> None:
    tokens = tokeniser.split_with_places(text)
    assert [tokeniser.fold(token.word).lower() for token in tokens] == [
        tokeniser.fold(word).lower() for token in tokens for word in tokeniser.split(text[token.start : token.end])
    ]
    between = [text[one.end : other.start] for one, other in zip(tokens, tokens[1:], strict=False)]
    assert set("".join(between)) <= {" ", "/", ".", "\u2019", "'"}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("<p>Not bad</p>", ["Not", "bad"]),
        ("won<i>der</i>ful!", ["won<i>der</i>ful", "!"]),
        ("caf&eacute; &amp;lt;3 R&B good&bad.", ["caf&eacute;", "&amp;lt;3", "R", "B", "good", "bad", "."]),
        ("see https://a.bc/d?e now, a@b.cd", ["see", "https://a.bc/d?e", "now", ",", "a@b.cd"]),
        ("#AVeryGoodFilm #x", ["AVery", "Good", "Film", "x"]),
        ("No!!!!! No", ["No", "!!!", "!", "!", "No"]),
        ("4 stars out of 5, 7 out of 10", ["4 stars out of 5", ",", "7 out of 10"]),
        ("8\u00bd/10 \u2605\u2605\u2605 \u00bd", ["8\u00bd/10", "\u2605\u2605\u2605 \u00bd"]),
        ("\u201cfine\u201d\u2026", ["\u201c", "fine", "\u201d", "\u2026"]),
        ("\U0001f525\U0001f525 \u0130YI", ["\U0001f525", "\U0001f525", "\u0130YI"]),
        ("no\u203c no", ["no", "\u203c", "", "no"]),
        ("e\u0301t\u00e9", ["e\u0301t\u00e9"]),
        ("e\u0301te\u0301 was \u0301", ["e\u0301te\u0301", "was"]),
        ("\u00e9\u0301\u0301. e&#769; &eacute;&#x301;", ["\u00e9\u0301\u0301", ".", "e&#769;", "&eacute;&#x301;"]),
        ("\U0001f468\u200d\U0001f469 \U0001f44d\U0001f3fd \u2764\ufe0f", FAMILY),
        ("\u0301\u0301a bc", ["a", "bc"]),
        ("\uff21\uff22\uff01 <b>e</b>\u0301 so\u00adft\u00ad", ["\uff21\uff22", "\uff01", "e</b>\u0301", "so\u00adft"]),
        ("dot&semi;com", ["dot", "&semi;", "com"]),
    ],
)
def test_places_in_the_original_of_readable_text(text: str, places: list[str]) -> None:
    assert [text[start:end] for _, start, end in ReadableTokeniser().split_with_places(text)] == places


@pytest.mark.parametrize(
    ("tokeniser", "text", "places"),
    [
        (KerasTokeniser(), "\u0130\u0130! \u0130x<br />no", ["\u0130\u0130", "\u0130x", "br", "no"]),
        (WordTokeniser(), "\u0130x<br />No", ["\u0130", "x", "No"]),
        (TokenTokeniser(), "\u0130X<BR />NO.", ["\u0130", "X", "NO", "."]),
        (TokenTokeniser(), "e\u0301te\u0301 was", ["e\u0301", "te\u0301", "was"]),
        (KerasTokeniser(), "e\u0301te\u0301 was\u0301", ["e\u0301te\u0301", "was\u0301"]),
    ],
)
def test_places_in_the_original_of_other_tokenisers(tokeniser: Tokeniser, text: str, places: list[str]) -> None:
    assert [text[start:end] for _, start, end in tokeniser.split_with_places(text)] == places


@given(ANY_TEXT)
def test_references_are_replaced_as_html_says(text: str) -> None:
    plain = text.replace("<", "").replace("`", "")
    if plain.isascii():
        assert show(plain) == html.unescape(html.unescape(plain)) or not html.unescape(html.unescape(plain)).isascii()


@pytest.mark.parametrize("before", ["", "ab"])
def test_what_is_added_where_nothing_was_has_an_empty_place(before: str) -> None:
    text = f"{before}cd"
    trace = Trace(text)
    edited = trace.replace(re.compile("(?=c)"), "x", text)
    assert edited == f"{before}xcd"
    assert trace.find(re.compile("x|cd"), edited) == [("x", len(before), len(before)), ("cd", len(before), len(text))]


@settings(max_examples=300)
@given(
    text=st.text("ab #!"),
    edits=st.lists(st.tuples(st.sampled_from(["a", "b+", "#\\w", "!!", " "]), st.text("ab !", max_size=3))),
)
def test_a_trace_edits_as_no_trace_does_and_keeps_a_place_of_every_character(
    text: str, edits: list[tuple[str, str]]
) -> None:
    def edit(editor: Editor) -> str:
        edited = text
        for pattern, by in edits:
            edited = editor.replace(re.compile(pattern), by, edited)
            edited = editor.translate(re.compile("[ab]+"), {ord("a"): "b", ord("b"): "aa"}, edited)
        return edited[:200]

    edits = edits[:4]
    trace = Trace(text)
    assert edit(trace) == edit(PLAIN)
    for _, start, end in trace.find(re.compile(".", re.DOTALL), edit(PLAIN)):
        assert 0 <= start <= end <= len(text)
