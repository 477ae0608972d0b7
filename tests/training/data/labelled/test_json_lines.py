from pathlib import Path

import pytest

from training.data.labelled.json_lines import JsonLines
from training.data.labelled.source import BadRow, Columns, Row
from training.errors import DataError


def write(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "my.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_objects_are_read_with_labels_of_any_simple_type(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": 1, "text": "a\\nb", "label": "good"}',
        "",
        '{"text": "c", "label": 1}',
        '{"text": "d", "label": 2.0}',
        '{"text": "e", "label": true}',
        '{"text": "f", "label": null}',
        '{"text": "g", "label": NaN}',
        '{"text": "h"}',
    )
    assert list(JsonLines(path, Columns(), None).read()) == [
        Row(1, "a\nb", "good"),
        Row(3, "c", "1"),
        Row(4, "d", "2.0"),
        Row(5, "e", "true"),
        Row(6, "f", None),
        Row(7, "g", None),
        Row(8, "h", None),
    ]


def test_columns_are_the_keys_of_the_first_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "not JSON", '{"review": "a"}', '{"stars": 3, "user": 7, "review": "b"}')
    source = JsonLines(path, Columns(group="user"), None)
    assert source.columns == Columns("review", "stars", "user")
    assert list(source.read())[1:] == [Row(2, "a"), Row(3, "b", "3", "7")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", r"is not JSON \(Expecting property name.*\); one object a line was expected"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 5000, "is not JSON"),
        ("[1]", "is a JSON list; one object a line was expected"),
        ('{"label": 1}', "has nothing as 'text'; a text was expected"),
        ('{"text": 5, "label": 1}', "has a value of the type int as 'text'; a text was expected"),
        ('{"text": "a", "label": [1]}', "has a value of the type list as 'label'; a text or a number was expected"),
        (b'{"text": "caf\xe9", "label": 1}', "is not UTF-8: byte E9 at 14 would be 'é'"),
    ],
)
def test_a_bad_row_has_its_line_and_the_reason(tmp_path: Path, line: str | bytes, reason: str) -> None:
    good = '{"text": "good", "label": 1}'
    first, bad, last = JsonLines(write(tmp_path, good, line, good), Columns(), None).read()
    assert (first.position, last.position) == (1, 3)
    assert isinstance(bad, BadRow) and bad.position == 2
    with pytest.raises(DataError, match=reason):
        raise DataError(bad.reason)


def test_a_file_without_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="my.jsonl has no JSON object in its first lines"):
        JsonLines(write(tmp_path, "1", "{", "{}"), Columns(), None)
