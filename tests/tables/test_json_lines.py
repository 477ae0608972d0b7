from pathlib import Path

import pytest

from tables.errors import TableError
from tables.inputs import FileInput
from tables.json_lines import JsonLines, JsonObject
from tables.table import BadRow, Row


def write(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "my.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def open_lines(path: Path) -> JsonLines:
    return JsonLines(FileInput(path), None)


def test_objects_are_read_with_their_lines(tmp_path: Path) -> None:
    first, second = ' {"id": 1, "text": "a\\nb", "more": [1.50, "\\ud800"]} ', '{"text": "c"}'
    table = open_lines(write(tmp_path, first, "", second))
    assert list(table.read(["text", "id"])) == [
        Row(1, ("a\nb", 1), JsonObject(1, first.strip(), {"id": 1, "text": "a\nb", "more": [1.5, "\ud800"]})),
        Row(3, ("c", None), JsonObject(3, second, {"text": "c"})),
    ]


def test_columns_are_the_keys_of_the_first_objects(tmp_path: Path) -> None:
    table = open_lines(write(tmp_path, "not JSON", '{"review": "a"}', '{"stars": 3, "user": 7, "review": "b"}'))
    assert table.columns == ("review", "stars", "user")
    assert [row.values for row in table.read(["stars", "user"]) if isinstance(row, Row)] == [(None, None), (3, 7)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", r"is not JSON \(Expecting property name.*\); one object a line was expected"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 5000, "is not JSON"),
        ("[1]", "is a JSON list; one object a line was expected"),
        (b'{"text": "caf\xe9", "label": 1}', "is not UTF-8: byte E9 at 14. It would be "),
    ],
)
def test_a_bad_row_has_its_line_and_the_reason(tmp_path: Path, line: str | bytes, reason: str) -> None:
    good = '{"text": "good", "label": 1}'
    first, bad, last = open_lines(write(tmp_path, good, line, good)).read(["text"])
    assert (first.position, last.position) == (1, 3)
    assert isinstance(bad, BadRow) and bad.position == 2
    with pytest.raises(TableError, match=reason):
        raise TableError(bad.reason)


def test_a_file_without_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="my.jsonl has no JSON object in its first lines"):
        open_lines(write(tmp_path, "1", "{", "{}"))
