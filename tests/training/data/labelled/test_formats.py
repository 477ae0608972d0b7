import gzip
import os
from pathlib import Path

import pytest

from training.data.labelled.formats import open_source
from training.errors import DataError


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*none.csv \(No such file or directory\); data may be: CSV"):
        open_source(tmp_path / "none.csv")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "my.csv")
    with pytest.raises(DataError, match="my.csv is not a regular file; data are read more than once"):
        open_source(tmp_path / "my.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.txt", b"text,label\n", r"my.txt is a text file, .* name it .csv or .tsv. Data may be: CSV .* a folder"),
        ("my.csv", b"one,two\n", "no column is named text; name the right one with --text-column"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_of_the_data(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_source(path)


def test_a_damaged_archive_is_an_error_of_the_data_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "my.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\ngood,1\n")[:-9])
    with pytest.raises(DataError, match="my.csv.gz cannot be read"):
        list(open_source(path).read())
