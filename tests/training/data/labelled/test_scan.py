from pathlib import Path

import pytest

from tests.training.data.labelled.conftest import Write, make_rows
from training.data.labelled.formats import open_source
from training.data.labelled.scan import Scan, scan
from training.data.labelled.source import Columns
from training.errors import DataError


def scan_file(path: Path, label_map: dict[str, str] | None = None, group: str | None = None) -> Scan:
    return scan(open_source(path, Columns(group=group)), label_map, skip_bad_rows=True)


def test_rows_are_kept_without_their_texts(write: Write) -> None:
    found = scan_file(write([("good film", "1"), (" ", "1"), ("bad", "0.0"), (" good film\n", " 1.0 "), ("who", "")]))
    assert found.positions.tolist() == [2, 4, 5, 7]
    assert found.names == ("1", "0")
    assert found.labels.tolist() == [0, 1, 0, -1]
    assert found.texts[0] == found.texts[2] != found.texts[1]
    assert found.groups is None
    assert found.sample == ("good film", "bad", "good film", "who")
    assert (found.counts.rows, found.counts.empty, found.counts.characters) == (5, 1, 24)


def test_texts_and_labels_with_what_is_no_character_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    lines = ['"a\\u0000b", "label": 1', '"\\ud800", "label": 1', '"é", "label": "\\udc00"', '"naïve", "label": 1']
    path.write_text("\n".join(f'{{"text": {line}}}' for line in lines))
    counts = scan_file(path).counts
    assert (counts.rows, counts.bad) == (4, 3)
    nul, surrogate, label = (message.partition(" has ")[2] for message in counts.first_bad)
    assert nul.startswith("a NUL character, which no text has")
    assert (
        surrogate == label == "half of a surrogate pair, which is no character; write the text again as valid Unicode"
    )
    with pytest.raises(DataError, match="my.jsonl, line 1 has a NUL character.*With --skip-bad-rows"):
        scan(open_source(path), None, skip_bad_rows=False)


def test_words_for_missing_values_are_no_labels_and_no_groups(write: Write) -> None:
    rows = [("a", "1", "NaN"), ("b", "nan", "anna"), ("c", "None", "null"), ("d", "0", "anna")]
    found = scan_file(write(rows, more=("who",)), group="who")
    assert (found.names, found.labels.tolist()) == (("1", "0"), [0, -1, -1, 1])
    assert found.counts.missing == {"nan": 1, "None": 1}
    assert found.counts.without_group == 2


def test_a_row_without_a_group_is_a_group_by_its_text(write: Write) -> None:
    rows = [("a", "1", "anna"), ("b", "1", " anna "), ("c", "0", ""), ("d", "0", ""), ("c", "1", "")]
    found = scan_file(write(rows, more=("who",)), group="who")
    assert found.groups is not None
    assert found.groups[0] == found.groups[1]
    assert found.groups[2] == found.groups[4] == found.texts[2] != found.groups[3]
    assert found.counts.without_group == 3


def test_a_map_changes_labels_and_drops_others(write: Write) -> None:
    rows = [("a", "1"), ("b", "3"), ("c", "2"), ("d", "5"), ("e", "3.0"), ("f", "")]
    found = scan_file(write(rows), {"1": "bad", "2": "bad", "5": "good", "4": "good"})
    assert (found.names, found.labels.tolist()) == (("bad", "good"), [0, 0, 1, -1])
    assert found.counts.dropped == {"3": 2}
    assert found.counts.mapped == {"1", "2", "5"}


def test_the_first_bad_rows_are_named(write: Write) -> None:
    path = write([("a",), ("good", "1"), ("b",), ("c",), ("d",)])
    counts = scan_file(path).counts
    assert (counts.rows, counts.bad) == (5, 4)
    assert [message.partition(" has")[0] for message in counts.first_bad] == [f"{path}, line {n}" for n in (2, 4, 5)]
    with pytest.raises(DataError, match="my.csv, line 2 has 1 field, .*With --skip-bad-rows such rows are left out"):
        scan(open_source(path), None, skip_bad_rows=False)


def test_more_than_fifty_labels_are_refused(write: Write) -> None:
    rows = make_rows(**{f"label{number}": 3 for number in range(50)})
    assert len(scan_file(write(rows)).names) == 50
    message = r"my.csv has more than 50 labels in 'label' \('label0', 'label1', 'label2', ...\).* with --label-column"
    with pytest.raises(DataError, match=message):
        scan_file(write([*rows, ("more", "another")]))


def test_a_map_of_a_column_of_other_values_is_refused(write: Write) -> None:
    rows = make_rows(**{f"value {number}": 1 for number in range(10_001)})
    with pytest.raises(DataError, match="has more than 50 labels"):
        scan_file(write(rows), {"1": "bad", "2": "good"})
