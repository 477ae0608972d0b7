from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import LetterError
from bundle.letters import ALPHABET, LetterCodec

ANY_TEXT = st.text(st.characters(), max_size=12)  # surrogates included


@pytest.fixture
def codec() -> LetterCodec:
    return LetterCodec(length=5, first_code=1)


@pytest.mark.parametrize(
    ("first_code", "sequence", "codes"),
    [
        (1, "A", [1 / 26]),
        (1, "Z", [1.0]),
        (1, "ABMZ", [1 / 26, 2 / 26, 13 / 26, 26 / 26]),
        (0, "A", [0.0]),
        (0, "Z", [25 / 26]),
        (0, "ABMZ", [0.0, 1 / 26, 12 / 26, 25 / 26]),
    ],
)
def test_letters_are_coded_by_their_number(first_code: Literal[0, 1], sequence: str, codes: list[float]) -> None:
    encoded = LetterCodec(length=5, first_code=first_code).encode(sequence)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, np.array(codes, np.float32))


def test_upper_and_lower_case_are_the_same(codec: LetterCodec) -> None:
    np.testing.assert_array_equal(codec.encode("aBcXz"), codec.encode("AbCxZ"))


def test_padding_goes_to_the_left(codec: LetterCodec) -> None:
    padded = codec.pad([codec.encode("ABC"), codec.encode("VWXYZ")])
    assert padded.shape == (2, 5, 1)
    assert padded.dtype == np.float32
    expected = np.array([[0, 0, 1, 2, 3], [22, 23, 24, 25, 26]], np.float32) / np.float32(26)
    np.testing.assert_array_equal(padded[:, :, 0], expected)


def test_no_sequences_pad_to_an_empty_batch(codec: LetterCodec) -> None:
    assert codec.pad([]).shape == (0, 5, 1)


@given(sequence=st.text(ALPHABET + ALPHABET.lower(), min_size=1, max_size=30), first_code=st.sampled_from([0, 1]))
@settings(deadline=None)
def test_every_letter_has_a_code_of_its_own(sequence: str, first_code: Literal[0, 1]) -> None:
    codes = LetterCodec(length=30, first_code=first_code).encode(sequence)
    assert "".join(ALPHABET[round(float(code) * 26) - first_code] for code in codes) == sequence.upper()


def test_letters_can_be_the_features_of_one_step() -> None:
    codec = LetterCodec(length=3, first_code=1, layout="features")
    padded = codec.pad([codec.encode("ABC"), codec.encode("Z")])
    assert padded.dtype == np.float32
    np.testing.assert_array_equal(padded, np.array([[[1, 2, 3]], [[0, 0, 26]]], np.float32) / np.float32(26))


def test_padding_can_be_told_from_an_a_that_is_0() -> None:
    codec = LetterCodec(length=3, first_code=0, padding_value=-1)
    assert codec.padding == np.float32(-1)
    np.testing.assert_array_equal(codec.pad([codec.encode("AB")])[0, :, 0], np.array([-1, 0, 1 / 26], np.float32))


@pytest.mark.parametrize(
    ("sequence", "position", "character", "named"),
    [
        ("AB1", 2, "1", "'1' (U+0031)"),
        ("A B", 1, " ", "' ' (U+0020)"),
        ("\nAB", 0, "\n", r"'\n' (U+000A)"),
        ("ABCDé", 4, "é", "'é' (U+00E9)"),
        ("ß", 0, "ß", "'ß' (U+00DF)"),
        ("aı", 1, "ı", "'ı' (U+0131)"),
        ("Ａ", 0, "Ａ", "'Ａ' (U+FF21)"),
        ("AB\N{GRINNING FACE}D", 2, "\N{GRINNING FACE}", "'\N{GRINNING FACE}' (U+1F600)"),
        ("A\ud800", 1, "\ud800", r"'\ud800' (U+D800)"),
        ("ABCDEF7", 6, "7", "'7' (U+0037)"),
    ],
)
def test_anything_but_a_letter_is_refused_where_it_stands(
    codec: LetterCodec, sequence: str, position: int, character: str, named: str
) -> None:
    with pytest.raises(LetterError) as caught:
        codec.encode(sequence)
    assert (caught.value.position, caught.value.character) == (position, character)
    assert f"{named} at position {position}" in str(caught.value)


def test_an_empty_sequence_is_refused(codec: LetterCodec) -> None:
    with pytest.raises(LetterError, match="empty; send 1 to 5 letters") as caught:
        codec.encode("")
    assert (caught.value.position, caught.value.character) == (0, "")


def test_a_sequence_longer_than_the_network_reads_is_refused(codec: LetterCodec) -> None:
    assert len(codec.encode("ABCDE")) == 5
    with pytest.raises(LetterError, match="has 6 letters, this model reads at most 5; 'F' at position 5") as caught:
        codec.encode("ABCDEF")
    assert (caught.value.position, caught.value.character) == (5, "F")


@given(text=ANY_TEXT | st.text(ALPHABET, max_size=12))
@settings(deadline=None)
def test_any_text_either_encodes_or_is_refused_with_its_culprit(text: str) -> None:
    codec = LetterCodec(length=8, first_code=1)
    try:
        codes = codec.encode(text)
    except LetterError as error:
        assert text[error.position : error.position + 1] == error.character
    else:
        assert len(codes) == len(text) <= 8
        assert ((codes > 0) & (codes <= 1)).all()
