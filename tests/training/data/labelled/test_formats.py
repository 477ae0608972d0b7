import gzip
import os
from pathlib import Path

import pytest

from training.data.labelled.formats import open_source
from training.errors import DataError

CSV, TSV, JSONL = b"text,label\na,1\n", b"text\tlabel\na\t1\n", b'{"text": "a", "label": 1}\n'


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("my.csv", CSV, "CSV with the delimiter comma"),
        ("MY.CSV", TSV, "CSV with the delimiter tab"),
        ("my.csv.gz", gzip.compress(CSV), "CSV with the delimiter comma"),
        ("my.csv", gzip.compress(CSV), "CSV with the delimiter comma"),
        ("my.tsv", TSV, "TSV"),
        ("my.tab.gz", gzip.compress(TSV), "TSV"),
        ("my.jsonl", JSONL, "JSON Lines"),
        ("my.ndjson.gz", gzip.compress(JSONL), "JSON Lines"),
        ("my.json", JSONL, "JSON Lines"),
        ("my.txt", b"\n" + JSONL, "JSON Lines"),
    ],
)
def test_a_format_is_found_by_contents_and_suffix(tmp_path: Path, name: str, content: bytes, format: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert open_source(path).format == format
    assert len(list(open_source(path).read())) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.csv", b"", r"my.csv is empty; data may be: CSV \(.csv\)"),
        (
            "my.csv",
            b"PK\x03\x04...",
            "is a ZIP archive or a spreadsheet; unpack it, or save the sheet as CSV. Data may",
        ),
        ("my.db", b"SQLite format 3\0", "is a database; export the table as CSV"),
        ("my.csv.bz2", b"BZh91AY", "is compressed by bzip2; unpack it"),
        ("my.json", b' [{"text": "a"}]', "is one JSON array; write one object a line"),
        ("my.txt", b"text,label\n", r"the format of .*my.txt is unknown \(suffix .txt\); data may be: CSV"),
        ("my", b"text,label\n", r"the format of .*my is unknown \(suffix missing\); data may be: CSV"),
    ],
)
def test_an_unknown_format_is_refused_with_those_that_are_taken(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_source(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*none.csv \(No such file or directory\); data may be: CSV"):
        open_source(tmp_path / "none.csv")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "my.csv")
    with pytest.raises(DataError, match="my.csv is not a regular file; data are read more than once"):
        open_source(tmp_path / "my.csv")
