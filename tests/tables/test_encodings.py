import gzip
from pathlib import Path

import pytest

from tables.encodings import LONGEST, Lines, find_encoding
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


def test_a_bad_byte_is_named_with_what_it_would_be_in_windows_1252(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"good\ncaf\xe9\n\x81\nend\n")
    lines, faults = read_lines(path)
    assert lines[::3] == ["good\n", "end\n"]
    assert faults == {
        2: "is not UTF-8: byte E9 at 4 would be 'é' in Windows-1252; if that is right, add --encoding cp1252",
        3: "is not UTF-8: byte 81 at 1; name its encoding with --encoding",
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
