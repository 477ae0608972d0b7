import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bundle.errors import LetterError
from bundle.symbols import MOST_SYMBOLS, SymbolCodec, describe_alphabet

GREEK = "αβγδ εζ-ς"
MANY = "".join(chr(0x4E00 + number) for number in range(MOST_SYMBOLS))


@pytest.fixture
def codec() -> SymbolCodec:
    return SymbolCodec(alphabet=GREEK, length=5)


def test_characters_are_coded_by_their_place_from_1_on(codec: SymbolCodec) -> None:
    ids = codec.encode("α ς-β")
    assert ids.dtype == np.int32
    assert ids.tolist() == [1, 5, 9, 8, 2]
    assert codec.padding == 0 and codec.padding.dtype == np.int32
    assert codec.labels == tuple(GREEK)
    assert codec.preprocessing is codec


def test_padding_goes_to_the_left(codec: SymbolCodec) -> None:
    padded = codec.pad([codec.encode("αβ"), codec.encode("γδ εζ")])
    assert padded.dtype == np.int32
    assert padded.tolist() == [[0, 0, 0, 1, 2], [3, 4, 5, 6, 7]]
    assert codec.pad([]).shape == (0, 5)


def test_case_is_kept_unless_folded() -> None:
    kept = SymbolCodec(alphabet="aAb", length=3)
    assert kept.encode("aAb").tolist() == [1, 2, 3]
    with pytest.raises(LetterError, match=r"'B' \(U\+0042\) at position 1 .* case counts: it has 'b'; send"):
        kept.encode("aB")
    folded = SymbolCodec(alphabet="AbΣ", length=4, fold_case=True)
    assert folded.encode("aABσ").tolist() == [1, 1, 2, 3]
    assert folded.labels == ("A", "b", "Σ")  # as they were given


def test_case_is_folded_for_each_character_alone() -> None:
    codec = SymbolCodec(alphabet="σςi", length=4, fold_case=True)
    assert codec.encode("ΣΣ").tolist() == [1, 1]  # the last one is no final sigma
    with pytest.raises(LetterError, match="'İ'"):  # its lower-case form has two characters
        codec.encode("İ")


def test_a_text_is_normalised_first() -> None:
    codec = SymbolCodec(alphabet="éx", length=3)
    assert codec.encode("e\u0301xe\u0301").tolist() == [1, 2, 1]
    with pytest.raises(LetterError, match="'b' .* at position 1 .the first is 0. of the text in form NFC") as caught:
        codec.encode("e\u0301b")
    assert (caught.value.position, caught.value.character) == (1, "b")


def test_a_mark_that_no_character_has_composed_stays_a_character() -> None:
    codec = SymbolCodec(alphabet="x\u0301", length=4)
    assert codec.encode("x\u0301x").tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("sequence", "position", "character", "named"),
    [
        ("αβ1", 2, "1", "'1' (U+0031)"),
        ("α\nβ", 1, "\n", r"'\n' (U+000A)"),
        ("\N{GRINNING FACE}", 0, "\N{GRINNING FACE}", "(U+1F600)"),
        ("α\ud800", 1, "\ud800", r"'\ud800' (U+D800)"),
    ],
)
def test_a_character_outside_the_alphabet_is_refused_where_it_stands(
    codec: SymbolCodec, sequence: str, position: int, character: str, named: str
) -> None:
    with pytest.raises(LetterError) as caught:
        codec.encode(sequence)
    assert (caught.value.position, caught.value.character) == (position, character)
    assert f"{named} at position {position} (the first is 0) is not in the alphabet of this model" in str(caught.value)
    assert str(caught.value).endswith(f"send characters of {GREEK!r}")


def test_too_few_and_too_many_characters_are_refused(codec: SymbolCodec) -> None:
    with pytest.raises(LetterError, match="empty; send 1 to 5 characters of 'αβγδ εζ-ς'") as caught:
        codec.encode("")
    assert (caught.value.position, caught.value.character) == (0, "")
    with pytest.raises(LetterError, match="has 6 characters, this model reads at most 5; 'ζ' at position 5") as caught:
        codec.encode("αβγδ ζ")
    assert (caught.value.position, caught.value.character) == (5, "ζ")


def test_texts_of_any_length_can_be_coded(codec: SymbolCodec) -> None:
    assert codec.code("αβ" * 100).tolist() == [1, 2] * 100
    assert codec.code("").shape == (0,)


def test_a_long_alphabet_is_shown_by_its_beginning() -> None:
    assert describe_alphabet(GREEK) == repr(GREEK)
    assert describe_alphabet(MANY) == f"{MANY[:40]!r} and 160 more"


def test_rows_for_checks_have_every_id() -> None:
    codec = SymbolCodec(alphabet=MANY, length=250)
    longest = codec.make_longest_row()
    assert longest.dtype == np.int32 and len(longest) == 250
    assert set(longest) == set(range(1, MOST_SYMBOLS + 1))
    assert SymbolCodec(alphabet=MANY, length=2).make_longest_row().tolist() == [200, 199]
    random = np.random.default_rng(0)
    rows = [codec.make_row(steps, random) for steps in (0, 1, 250)]
    assert [len(row) for row in rows] == [0, 1, 250]
    assert all(row.dtype == np.int32 and ((row >= 1) & (row <= MOST_SYMBOLS)).all() for row in rows)


@pytest.mark.parametrize(
    ("alphabet", "fold_case", "message"),
    [
        ("a", False, "2 to 200 characters, this one has 1"),
        (MANY + "a", False, "2 to 200 characters, this one has 201"),
        ("aba", False, r"'a' \(U\+0061\) is twice in the alphabet \["),
        ("abA", True, r"'A' \(U\+0041\) is twice in the alphabet, if case is folded"),
        ("a\n", False, "it is a line end or half of a surrogate pair"),
        ("a\ud800", False, "it is a line end or half of a surrogate pair"),
        ("a\u212b", False, "in Unicode's form NFC it is 'Å'"),
    ],
)
def test_an_alphabet_that_cannot_be_is_refused(alphabet: str, fold_case: bool, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SymbolCodec(alphabet=alphabet, fold_case=fold_case, length=5)


@given(text=st.text(st.characters(), max_size=12) | st.text(GREEK, max_size=12))
@settings(deadline=None)
def test_any_text_either_encodes_or_is_refused_with_its_culprit(text: str) -> None:
    codec = SymbolCodec(alphabet=GREEK, length=8)
    normalised = unicodedata.normalize("NFC", text)
    try:
        ids = codec.encode(text)
    except LetterError as error:
        assert normalised[error.position : error.position + 1] == error.character
    else:
        assert "".join(GREEK[id_ - 1] for id_ in ids) == normalised
        assert 1 <= len(ids) <= 8
