import gzip
import io
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import FileInput, PipeInput

CSV, TSV, JSONL = b"text,label\na,1\n", b"text\tlabel\na\t1\n", b'{"text": "a", "label": 1}\n'


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("my.csv", CSV, "CSV with the delimiter comma"),
        ("MY.CSV", TSV, "CSV with the delimiter tab"),
        ("my.csv.gz", gzip.compress(CSV, mtime=0), "CSV with the delimiter comma"),
        ("my.csv", gzip.compress(CSV, mtime=0), "CSV with the delimiter comma"),
        ("my.tsv", TSV, "TSV"),
        ("my.tab.gz", gzip.compress(TSV, mtime=0), "TSV"),
        ("my.jsonl", JSONL, "JSON Lines"),
        ("my.ndjson.gz", gzip.compress(JSONL, mtime=0), "JSON Lines"),
        ("my.json", JSONL, "JSON Lines"),
        ("my.txt", b"\n" + JSONL, "JSON Lines"),
        ("my.csv", CSV.replace(b",", b"|"), "CSV with the delimiter vertical bar"),
    ],
)
def test_a_format_is_found_by_contents_and_suffix(tmp_path: Path, name: str, content: bytes, format: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    table = open_table(FileInput(path))
    assert table.format == format
    assert [(values[0], str(values[1])) for _, values, *_ in table.read(["text", "label"])] == [("a", "1")]


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (CSV, "CSV with the delimiter comma"),
        (TSV, "CSV with the delimiter tab"),
        (gzip.compress(JSONL, mtime=0), "JSON Lines"),
    ],
)
def test_the_format_of_a_pipe_is_found_by_its_contents(content: bytes, format: str) -> None:
    table = open_table(PipeInput(io.BufferedReader(io.BytesIO(content))))
    assert table.format == format
    assert len(list(table.read(["text"]))) == 1


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
        ("my.json", b' [{"text": "a"}]', "is one JSON array; write one object a line .*, as `jq -c '.\\[\\]'` does"),
        ("my.json", b"\xef\xbb\xbf[\n1]", "is one JSON array"),
        ("my.txt", b'[{"text": "a"}]', "is one JSON array"),
        (
            "my.txt",
            b"text,label\n",
            "my.txt is a text file, .* delimiters, name it .csv or .tsv. Data may be",
        ),
        ("my.xyz", b"text,label\n", r"the format of .*my.xyz is unknown \(suffix .xyz\); data may be: CSV"),
        ("my", b"text,label\n", r"the format of .*my is unknown \(suffix missing\); data may be: CSV"),
    ],
)
def test_an_unknown_format_is_refused_with_those_that_are_taken(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        open_table(FileInput(path))
