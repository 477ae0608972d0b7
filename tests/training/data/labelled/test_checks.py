import re

import pytest

from tests.training.data.labelled.conftest import Read, Write, make_rows
from training.data.labelled.source import Columns
from training.errors import DataError

ROWS = make_rows(bad=20, good=20)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a", ""), ("b", "")], {}, "my.csv: no row has a label; two labels or more are needed"),
        (make_rows(good=9), {}, "my.csv: all labelled rows have the label 'good'; two labels or more are needed"),
        (
            [(f"text {n}", f"id {n}") for n in range(30)],
            {},
            r"as many labels as labelled rows \(30\), so 'label' is probably another column",
        ),
        (make_rows(bad=9, good=9, ok=1), {}, "my.csv has only one row of 'ok'; add rows of the label, or leave it out"),
        (
            [("fine", "good"), ("poor", "bad")] * 9,
            {},
            "no training row has the label '(bad|good)': all of its texts or",
        ),
        (ROWS, {"label_map": "bad=0;good=1;poor,=2"}, "'poor,=2' maps no labels"),
        (
            ROWS,
            {"label_map": "bad,poor=0;good=1"},
            "names 'poor', which .* does not have; its labels are 'bad', 'good'",
        ),
        (ROWS, {"test_share": 0.0}, "a test share of 0 is not between 0 and 1; choose one such as 0.2"),
        (ROWS, {"test_share": 1.0}, "a test share of 1 is not between 0 and 1"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_are_refused(
    read_rows: Read, rows: list[tuple[str, ...]], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_rows(rows, **options)


def test_a_label_whose_rows_are_all_test_rows_is_refused(read_rows: Read, write: Write) -> None:
    test = write([*make_rows(bad=2), ("rare 1", "rare"), ("rare 2", "rare")], name="test.csv")
    rows = [*make_rows(bad=20, good=20), ("rare 1", "rare"), ("rare 2", "rare")]
    with pytest.raises(
        DataError, match="no training row has the label 'rare': all of its texts or groups are in the test part"
    ):
        read_rows(rows, test=test)


def test_one_group_cannot_be_split(read_rows: Read) -> None:
    rows = [(*row, "anna") for row in ROWS]
    with pytest.raises(DataError, match="my.csv has no labelled rows to test with"):
        read_rows(rows, more=("who",), columns=Columns(group="who"))


def test_test_rows_need_labels(read_rows: Read, write: Write) -> None:
    with pytest.raises(DataError, match="test.csv has no labelled rows to test with; add some"):
        read_rows(ROWS, test=write([("who knows", "")], name="test.csv"))
    with pytest.raises(DataError, match="test.csv has the label 'ok', which no training row has; .* 'bad', 'good'"):
        read_rows(ROWS, test=write([("so", "ok")], name="test.csv"))


def test_good_data_have_no_notes(read_rows: Read) -> None:
    assert read_rows(ROWS).description.notes == ()


def test_what_is_odd_is_counted_and_told(read_rows: Read) -> None:
    odd = [
        ("", "good"),
        ("  ", ""),
        ("only one field",),
        ("good text 1", "good"),
        (" good text 1 ", "good"),
        ("bad text 0", "good"),
        ("what", "so-so"),
        ("what else", "so-so"),
        ("Great", "Good"),
        ("Better", "Good"),
        ("unlabelled", ""),
    ]
    rows = [*make_rows(bad=40, good=20), *odd]
    found = read_rows(rows, skip_bad_rows=True).description
    assert found.data.rows == len(rows)
    assert (found.odd.bad, found.odd.empty, found.odd.duplicates, found.odd.contradictions) == (1, 2, 3, 1)
    assert found.unlabelled == 1
    notes = "\n".join(re.sub(r"\S*/my.csv", "my.csv", note) for note in found.notes)
    assert (
        notes
        == """\
1 row could not be read and left out. my.csv, line 64 has 1 field, the header has 2; a text with a comma must be in \
quotes
2 rows without a text left out
3 rows with a text that an earlier row has; all rows of one text are in the same part
texts with different labels: 1, such as my.csv, line 2 (bad) and my.csv, line 67 (good)
the label 'Good' has only 2 rows: too few to learn it or to measure it
the label 'so-so' has only 2 rows: too few to learn it or to measure it
imbalance: 40 rows of 'bad' for 2 of 'Good'; look at the figures of each label, not at the accuracy alone
the labels 'Good', 'good' differ only in case; --label-map can join them"""
    )


def test_rows_that_a_map_drops_are_told_by_label(read_rows: Read) -> None:
    rows = [*ROWS, *make_rows(a=1, b=4, c=3, d=2)]
    found = read_rows(rows, label_map="bad=0;good=1").description
    assert found.odd.dropped_labels == {"b": 4, "c": 3, "d": 2, "a": 1}
    assert found.notes == ("10 rows left out, whose labels the map does not name: b (4), c (3), d (2), ...",)
    assert [label.label for label in found.labels] == ["0", "1"]


def test_texts_in_both_parts_are_not_trained_on(read_rows: Read, write: Write) -> None:
    test = write([("bad text 3", "bad"), ("good text 4", "bad"), ("new", "good"), ("who", "")], name="test.csv")
    data = read_rows([*ROWS, (" new\n", "")], test=test)
    assert (len(data.train), len(data.test), len(data.unlabelled)) == (38, 3, 0)
    assert not {"bad text 3", "good text 4"} & {*data.train.read()}
    assert data.description.odd.in_both_parts == 3
    notes = "\n".join(data.description.notes)
    assert "1 row of the test data without a label left out" in notes
    assert "3 rows left out of training: the same texts are test texts" in notes
    assert re.search(r"labels: 1, such as \S+my.csv, line 26 \(good\) and \S+test.csv, line 3 \(bad\)", notes)


def test_rows_without_a_group_are_told(read_rows: Read) -> None:
    rows = [(*row, "" if number < 7 else f"user {number % 9}") for number, row in enumerate(ROWS)]
    found = read_rows(rows, more=("who",), columns=Columns(group="who")).description
    assert "7 rows without a group; each text of them is a group of its own" in found.notes


def test_a_label_without_test_rows_is_told(read_rows: Read, write: Write) -> None:
    found = read_rows(ROWS, test=write([("so good", "good")], name="test.csv")).description
    assert found.notes == ("the label 'bad' has no test rows, so its accuracy cannot be measured",)
