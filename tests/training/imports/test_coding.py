import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from keras.src.legacy.preprocessing.text import Tokenizer
from rich.console import Console

from bundle.reviews import ReviewCodec, WordCoding
from training.errors import DataError, ModelImportError
from training.imports.coding import CodingOptions, Kind, read_codec

QUIET = Console(quiet=True)


def write_words(folder: Path, *words: str) -> Path:
    path = folder / "words.json"
    path.write_text(json.dumps(words))
    return path


def write_tokenizer(folder: Path, **changes: Any) -> Path:
    """Write a tokenizer with three words, with some settings changed."""
    tokenizer = Tokenizer(oov_token=changes.pop("oov_token", None), num_words=changes.pop("num_words", None))
    tokenizer.fit_on_texts(["a film b", "a film", "a"])
    fields = json.loads(tokenizer.to_json())
    fields["config"] |= changes
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(fields))
    return path


def read(path: Path, kind: Kind, **options: Any) -> WordCoding:
    coding = read_codec(CodingOptions(kind, path, **options), 10, 100, QUIET).preprocessing
    assert isinstance(coding, WordCoding)
    return coding


def list_ids(coding: WordCoding) -> tuple[int, int | None, int | None, int, str, str]:
    first, sides = coding.word_ids[0], (coding.padding_side, coding.truncation_side)
    return (coding.padding_id, coding.start_id, coding.unknown_id, first, *sides)


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("text-vectorization", ("", "[UNK]", "film"), (0, None, 1, 2, "right", "right")),
        ("text-vectorization", ("[UNK]", "film"), (0, None, 1, 2, "right", "right")),
        ("text-vectorization", ("film",), (0, None, 1, 2, "right", "right")),
        ("whitespace", ("film",), (0, None, 1, 2, "right", "right")),
        ("whitespace", ("<pad>", "<s>", "<unk>", "film"), (0, 1, 2, 3, "right", "right")),
        ("whitespace", ("<unk>", "<pad>", "film"), (1, None, 0, 2, "right", "right")),
        ("keras", ("film",), (0, 1, 2, 4, "left", "left")),
        ("words", ("film",), (0, 1, 2, 4, "left", "left")),
        ("tokens", ("<pad>", "film"), (0, None, None, 1, "left", "left")),
        ("readable", ("film",), (0, 1, 2, 4, "left", "left")),
    ],
)
def test_the_defaults_of_a_tokeniser(
    tmp_path: Path, kind: Kind, words: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    assert list_ids(read(write_words(tmp_path, *words), kind)) == expected


@pytest.mark.parametrize(
    ("oov", "most", "words", "expected"),
    [
        (None, None, ("a", "film", "b"), (0, None, None, 1, "left", "left")),
        (None, 3, ("a", "film"), (0, None, None, 1, "left", "left")),
        ("<OOV>", None, ("a", "film", "b"), (0, None, 1, 2, "left", "left")),
        ("<OOV>", 3, ("a",), (0, None, 1, 2, "left", "left")),
    ],
)
def test_the_ids_of_a_tokenizer_of_keras(
    tmp_path: Path, oov: str | None, most: int | None, words: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    path = write_tokenizer(tmp_path, oov_token=oov, num_words=most)
    codec = read_codec(CodingOptions("keras-json", path), 10, None, QUIET)
    assert isinstance(codec.preprocessing, WordCoding)
    assert codec.vocabulary == words
    assert list_ids(codec.preprocessing) == expected


def test_a_tokenizer_may_be_coded_twice(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path)
    once = read(path, "keras-json")
    path.write_text(json.dumps(path.read_text()))
    assert read(path, "keras-json") == once


def test_options_change_the_defaults(tmp_path: Path) -> None:
    coding = read(
        write_words(tmp_path, "film"),
        "whitespace",
        lower=True,
        padding_id=9,
        start_id=8,
        unknown_id="none",
        offset=3,
        padding="left",
        truncation="left",
    )
    assert list_ids(coding) == (9, 8, None, 4, "left", "left")
    assert coding.tokeniser.split("A b") == ["a", "b"]
    standardised = read(write_words(tmp_path, "film"), "text-vectorization", standardise="none", start_id="none")
    assert standardised.tokeniser.split("A, b") == ["A,", "b"]


def test_a_network_of_any_length_needs_one(tmp_path: Path) -> None:
    options = CodingOptions("whitespace", write_words(tmp_path, "film"))
    with pytest.raises(ModelImportError, match="reads rows of any length; pass --length"):
        read_codec(options, None, None, QUIET)
    codec = read_codec(replace(options, length=7), None, None, QUIET)
    assert isinstance(codec, ReviewCodec) and codec.length == 7


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (("film",), {"length": 9}, "reads 10 steps, --length is 9"),
        (("film",), {"standardise": "lower"}, "--standardise belongs to --tokeniser text-vectorization"),
        (("film",), {"tokeniser": "keras", "lower": True}, "--lower belongs to --tokeniser whitespace"),
        (("film",), {"padding_id": 2}, "padding_id is 2, which is the id of word 1"),
        (("<unk>", "film"), {}, "begins with no word for padding; pass --padding-id"),
        (("<pad>", "<unk>", "film"), {"unknown_id": 2}, "line 2: '<unk>' has the id 1 by its place, --unknown-id is 2"),
        (("<pad>", "film"), {"padding_id": 3}, "line 1: '<pad>' has the id 0 by its place, --padding-id is 3"),
        (("<pad>", "<s>", "film"), {"start_id": "none"}, "line 2: '<s>' has the id 1 by its place, --start-id is none"),
        (("<pad>", "<unk>", "film"), {"offset": 3}, "2 reserved words, so the offset is 1, --offset is 3"),
        (
            ("", "[UNK]", "film", "the film"),
            {"tokeniser": "text-vectorization"},
            "line 4: 'the film' is more than one word, as with ngrams or split=None in TextVectorization, which is not",
        ),
        (
            ("", "[UNK]", "e", "t"),
            {"tokeniser": "text-vectorization"},
            'every word is one character, as with split="character" in TextVectorization, which is not supported',
        ),
        (("<pad>", "film"), {"tokeniser": "text-vectorization"}, "begins with '<pad>'; the list of get_vocabulary"),
        ([f"w{number}" for number in range(100)], {}, "the ids reach 101 with 100 words, .* ids to 99; .* 2 words too"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, words: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    kind = options.pop("tokeniser", "whitespace")
    with pytest.raises(ModelImportError, match=message):
        read(write_words(tmp_path, *words), kind, **options)


def test_a_reserved_word_may_be_said_again(tmp_path: Path) -> None:
    path = write_words(tmp_path, "<pad>", "<unk>", "film")
    assert read(path, "whitespace", padding_id=0, unknown_id=1, offset=1) == read(path, "whitespace")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"char_level": True}, "splits texts into characters .char_level., which is not supported"),
        ({"word_index": {"a": 1, "b": 3}}, "are not 1 to 2, each once"),
        ({"word_index": {"a\nb": 1}}, "with a line break"),
        ({"word_index": {}}, "has no words; fit the tokenizer first"),
        ({"word_index": {"a": 1, "x": 2}, "oov_token": "x"}, "has the oov_token 'x' with the id 2, not 1"),
        ({"word_index": None}, "lacks a setting"),
        ({"split": ""}, "lacks a setting of the tokenizer, or has an invalid one"),
    ],
)
def test_a_tokenizer_that_cannot_be_followed_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_tokenizer(tmp_path)
    fields = json.loads(path.read_text())
    fields["config"] |= changes
    path.write_text(json.dumps(fields))
    with pytest.raises(ModelImportError, match=message):
        read(path, "keras-json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "is not a tokenizer of Keras; write tokenizer.to_json"),
        ("[]", "is not a tokenizer of Keras"),
        ("words", "cannot be read .*it is not JSON"),
    ],
)
def test_another_file_is_no_tokenizer(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ModelImportError, match=message):
        read(tmp_path / "tokenizer.json", "keras-json")


def test_what_is_left_out_of_a_list_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbf<pad>\r\n<unk>\r\nfilm\r\n")
    codec = read_codec(CodingOptions("whitespace", path), 10, 3, Console())
    assert codec.vocabulary == ("film",)
    shown = capsys.readouterr().out
    assert f"{path} begins with a byte order mark" in shown and f"{path} has the line ends CR LF" in shown


def test_faults_of_a_list_of_words_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: 'film' stands on line 1 already"):
        read(write_words(tmp_path, "film", "film"), "whitespace")
