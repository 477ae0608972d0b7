import gzip
import io
import os
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.inputs import START, FileInput, Input, PipeInput

CONTENT = b"0123456789abcdef" * (START // 16) + b"the rest"


def read(source: Input) -> bytes:
    with source.open() as file:
        return file.read()


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_again_and_again(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "my.CSV.gz"
    path.write_bytes(gzip.compress(CONTENT, 1) if packed else CONTENT)
    source = FileInput(path)
    assert (source.read_start(4), read(source), read(source)) == (b"0123", CONTENT, CONTENT)
    assert (source.name, source.suffix, source.path) == (str(path), ".csv", path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content", [CONTENT, b"short", b""])
def test_the_start_of_a_pipe_is_read_before_all_of_it(packed: bool, content: bytes) -> None:
    reading, writing = os.pipe()
    sent = gzip.compress(content, 1) if packed else content
    if os.fork() == 0:  # a pipe holds less than the content
        with os.fdopen(writing, "wb") as file:
            file.write(sent)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        source = PipeInput(file)
        assert [source.read_start(4), source.read_start(4)] == [content[:4]] * 2
        assert read(source) == content
    os.wait()
    assert (source.name, source.suffix, source.path) == ("standard input", "", None)


def test_lines_of_a_pipe_are_read_across_the_end_of_its_start() -> None:
    content = b"x" * (START - 2) + b"\n" + b"line\n"
    with PipeInput(io.BufferedReader(io.BytesIO(content))).open() as file:
        assert [len(line) for line in file] == [START - 1, 5]


def test_a_damaged_pipe_is_refused() -> None:
    with pytest.raises(TableError, match="the pipe cannot be read"):
        PipeInput(io.BufferedReader(io.BytesIO(gzip.compress(CONTENT)[:-50])), "the pipe").read_start()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    content = gzip.compress(bytes(range(256)) * 99)
    for damaged in (content[:-9], content[:10] + b"\xff" * 50, content[:-8] + bytes(8)):
        path.write_bytes(damaged)
        with pytest.raises(TableError, match=r"file.gz cannot be read \(.*check the file, or write it again"):
            read(FileInput(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="missing cannot be read"):
        FileInput(tmp_path / "missing").read_start()
