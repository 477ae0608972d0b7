import gzip
from pathlib import Path

import pytest

from tables.encodings import LONGEST, Lines, explain, find_encoding, guess_garbled
from tables.errors import TableError
from tables.inputs import FileInput

TEXT = "text\nПривет, café\nlast"


def read_lines(path: Path, asked: str | None = None) -> tuple[list[str], dict[int, str]]:
    source = FileInput(path)
    with source.open() as file:
        lines = Lines(str(path), file, find_encoding(source, asked))
        return list(lines), lines.faults


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str, packed: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(TEXT.encode(encoding)) if packed else TEXT.encode(encoding))
    assert read_lines(path) == (["text\n", "Привет, café\n", "last"], {})


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_lines(tmp_path / "file") == ([], {})


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16-le", "shift_jis"])
def test_an_encoding_without_a_mark_is_asked_for(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "file"
    path.write_bytes("раз\r\nдва".encode(encoding))
    assert read_lines(path, encoding) == (["раз\r\n", "два"], {})


def test_a_bad_byte_is_named_with_what_it_would_be_in_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"good\ncaf\xe9\n\x81\nend\n")
    lines, faults = read_lines(path)
    assert lines[::3] == ["good\n", "end\n"]
    assert faults == {
        2: "is not UTF-8: byte E9 at 4. It would be 'café' in cp1252, 'café' in cp1250, 'cafй' in cp1251; name the "
        "right one, such as --encoding cp1252",
        3: "is not UTF-8: byte 81 at 1. It would be 'Ѓ' in cp1251, '│' in koi8-r, '\ufffd' in cp1252; name the right "
        "one, such as --encoding cp1251",
    }
    assert read_lines(path, "ascii")[1][2] == "is not ASCII: byte E9 at 4; name its encoding with --encoding"


def test_nothing_is_read_after_a_bad_sign_of_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("good\n".encode("utf-16") + b"\x00\xd8\x00\xd8")
    with pytest.raises(
        TableError, match="file is not UTF-16 .*illegal.* from soon after line 0 on; name its encoding with --encoding"
    ):
        read_lines(path)


@pytest.mark.parametrize("name", ["nothing", "rot13", "base64", "\0"])
def test_an_encoding_that_there_is_not_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="there is no encoding .*; usual ones are utf-8"):
        find_encoding(FileInput(tmp_path), name)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"a\n" + bytes(LONGEST + 2), "a\n".encode("utf-16") + b"a\0" * (LONGEST + 2)):
        path.write_bytes(gzip.compress(content, 1))
        with pytest.raises(TableError, match="file, line 2 has more than 16 MiB"):
            read_lines(path)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Прекрасный фильм, очень", "cp1251"),
        ("ПРЕКРАСНЫЙ Фильм", "cp1251"),
        ("Прекрасный фильм, очень", "koi8-r"),
        ("ужасный", "koi8-r"),
        ("un café très bon", "cp1252"),
        ("ÜBER Größe", "cp1252"),
        ("żółty głupi", "cp1250"),
    ],
)
def test_the_likely_encoding_is_guessed_by_letters(text: str, encoding: str) -> None:
    with pytest.raises(UnicodeDecodeError) as refused:
        text.encode(encoding).decode()
    reason = explain(refused.value, "utf-8")
    assert reason.endswith(f"such as --encoding {encoding}")
    assert f"in {encoding}, " in reason


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_cyrillic_that_was_read_in_windows_1252_is_recognised(encoding: str) -> None:
    text = "Прекрасный фильм, очень советую всем"
    assert guess_garbled(text.encode(encoding).decode("cp1252")) == (encoding, text)


@pytest.mark.parametrize("text", ["", "1 2", "Прекрасный фильм", "Größe über alles", "Tôi rất thích phim này", "映画"])
def test_a_text_that_looks_right_is_no_garble(text: str) -> None:
    assert guess_garbled(text) is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["text,label\ngood,1\n", "текст,метка\nочень хороший фильм,1\nплохой фильм,0\n"])
def test_utf_16_without_a_mark_is_recognised_by_its_nuls(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "file").write_bytes(text.encode(encoding))
    assert find_encoding(FileInput(tmp_path / "file"), None) == encoding
    assert "".join(read_lines(tmp_path / "file")[0]) == text


@pytest.mark.parametrize("content", [b"a\0b\0\0c\n", b"one \0 in a long line", b""])
def test_some_nuls_are_no_utf_16(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert find_encoding(FileInput(tmp_path / "file"), None) == "utf-8"
