import json
from pathlib import Path

import pytest

from training.data.word_list import PADDING, START, UNKNOWN, UNUSED, read_word_list
from training.errors import DataError


def write(folder: Path, contents: bytes, name: str = "words.txt") -> Path:
    (folder / name).write_bytes(contents)
    return folder / name


def test_reserved_words_stand_before_the_others(tmp_path: Path) -> None:
    found = read_word_list(write(tmp_path, b"<pad>\n<unk>\n<s>\n</s>\nfilm\ngood\n"))
    assert found.reserved == ("<pad>", "<unk>", "<s>", "</s>")
    assert found.words == ("film", "good")
    assert [found.find(role) for role in (PADDING, UNKNOWN, START, UNUSED)] == [0, 1, 2, 3]


def test_a_list_may_have_none_and_no_line_end(tmp_path: Path) -> None:
    found = read_word_list(write(tmp_path, "film\n😀\nна".encode()))
    assert (found.reserved, found.words) == ((), ("film", "😀", "на"))
    assert found.find(PADDING) is None


def test_the_words_of_a_layer_begin_with_an_empty_one(tmp_path: Path) -> None:
    found = read_word_list(write(tmp_path, b"\n[UNK]\nfilm\n"))
    assert (found.reserved, found.words) == (("", "[UNK]"), ("film",))
    found_in_json = read_word_list(write(tmp_path, json.dumps(["", "[UNK]", "film"]).encode(), "words.json"))
    assert found_in_json == found


MARK = "begins with a byte order mark, which is left out"
LINE_ENDS = "has the line ends CR LF, which are read as the ends of lines only"


@pytest.mark.parametrize(
    ("contents", "notes"),
    [
        (b"\xef\xbb\xbf<pad>\nfilm\ngood\n", (MARK,)),
        (b"<pad>\r\nfilm\r\ngood\r\n", (LINE_ENDS,)),
        (b"\xef\xbb\xbf<pad>\r\nfilm\r\ngood", (MARK, LINE_ENDS)),
        (b"<pad>\nfilm\ngood", ()),
    ],
)
def test_marks_of_other_systems_are_left_out_and_named(tmp_path: Path, contents: bytes, notes: tuple[str, ...]) -> None:
    found = read_word_list(write(tmp_path, contents))
    assert (found.reserved, found.words, found.notes) == (("<pad>",), ("film", "good"), notes)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"film\r\ngood\n", "line 1: the line ends with CR, and other lines do not"),
        (b"film\ngood\r\n", "line 2: the line ends with CR, and other lines do not"),
        (b"film\r\ngood\r", "line 1: the line ends with CR, and other lines do not"),
        (b"film\n\ngood\n", "line 2: the line is blank; every id needs its word"),
        (b"film\n  \ngood\n", "line 2: the line is blank"),
        (b"film\ngood\n\n", "line 3: the line is blank"),
        (b"film\n good\n", "line 2: there are spaces around 'good'"),
        (b"film\ngood\nfilm\n", "line 3: 'film' stands on line 1 already"),
        (b"<unk>\n<unk>\nfilm\n", "line 2: '<unk>' stands on line 1 already"),
        (b"film\n<pad>\n", "line 2: '<pad>' is a reserved word; reserved words stand before all others"),
        (b"<pad>\n<unk>\n", "has only the reserved words '<pad>', '<unk>'; list all other words behind them"),
        (b"", "words.txt is empty; save the words in the order of their ids"),
        (b"\xef\xbb\xbf", "words.txt is empty"),
        (b"film\n\xff\n", "cannot be read .*byte 5 .* is not UTF-8.*; save it as UTF-8, one word a line"),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path: Path, contents: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_word_list(write(tmp_path, contents))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b'{"film": 1}', "is not a list of words"),
        (b"[]", "is an empty list; save the words"),
        (b"[1, 2]", "is not a list of words"),
        (b"[", "cannot be read .*it is not JSON at line 1"),
        (b'["a\\nb"]', "line 1: .* has a line break"),
    ],
)
def test_a_json_file_has_a_list_of_words(tmp_path: Path, contents: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_word_list(write(tmp_path, contents, "words.json"))
