import re

import pytest

from tests.training.data.labelled.conftest import Read, Write, make_rows
from training.data.labelled.reading import DataOptions, read
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
            {"label_map": "Bad=0;Good=1"},
            "no row has a label after the label map; the labels of the file are 'bad', 'good'; two labels or more",
        ),
        ([("a", ""), ("b", "")], {"label_map": "Bad=0;Good=1"}, "the labels of the file are none"),
        (
            [*ROWS, *make_rows(Good=2, ok=4)],
            {},
            "the labels 'Good', 'good', which differ only in case; join them, as in --label-map "
            '"Good,good=good;bad=bad;ok=ok"',
        ),
        (ROWS, {"encoding": "none"}, "there is no encoding 'none'"),
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
        ("Great", "fine"),
        ("Better", "fine"),
        ("who", "NaN"),
        ("knows", "N/A"),
        ("it", "NaN"),
        ("unlabelled", ""),
    ]
    rows = [*make_rows(bad=40, good=20), *odd]
    found = read_rows(rows, skip_bad_rows=True).description
    assert found.data.rows == len(rows)
    assert (found.odd.bad, found.odd.empty, found.odd.duplicates, found.odd.contradictions) == (1, 2, 3, 1)
    assert found.unlabelled == 4
    assert found.odd.missing_labels == {"NaN": 2, "N/A": 1}
    notes = "\n".join(re.sub(r"\S*/my.csv", "my.csv", note) for note in found.notes)
    assert (
        notes
        == """\
1 row could not be read and left out. my.csv, line 64 has 1 field, the header has 2; a text with a comma must be in \
quotes
2 rows without a text left out
3 rows with a word for a missing label, so without a label: NaN (2), N/A (1); if it is a label, name it in --label-map
3 rows with a text that an earlier row has; all rows of one text are in the same part
texts with different labels: 1, such as my.csv, line 2 (bad) and my.csv, line 67 (good)
the label 'fine' has only 2 rows: too few to learn it or to measure it
the label 'so-so' has only 2 rows: too few to learn it or to measure it
imbalance: 40 rows of 'bad' for 2 of 'fine'; look at the figures of each label, not at the accuracy alone"""
    )


def test_rows_that_a_map_drops_are_told_by_label(read_rows: Read) -> None:
    rows = [*ROWS, *make_rows(a=1, b=4, c=3, d=2)]
    found = read_rows(rows, label_map="bad=0;good=1").description
    assert found.odd.dropped_labels == {"b": 4, "c": 3, "d": 2, "a": 1}
    assert found.notes == ("10 rows left out, whose labels the map does not name: b (4), c (3), d (2), ...",)
    assert [label.label for label in found.labels] == ["0", "1"]


def test_a_label_of_the_map_that_does_not_occur_is_told(read_rows: Read) -> None:
    found = read_rows(ROWS, label_map="bad,poor=0;good=1;ok=2").description
    assert found.notes == ("the label map names 'ok', 'poor', which no row has",)
    assert [label.label for label in found.labels] == ["0", "1"]


def test_a_word_for_a_missing_label_may_be_a_label_by_the_map(read_rows: Read) -> None:
    found = read_rows([*ROWS, *make_rows(none=9)], label_map="none=no;good=yes").description
    assert [(label.label, label.train + label.test) for label in found.labels] == [("no", 9), ("yes", 20)]
    assert found.odd.missing_labels == {}


def test_a_test_file_with_all_training_texts_is_refused(read_rows: Read, write: Write) -> None:
    with pytest.raises(
        DataError, match="my.csv has all training texts of .*my.csv, so none is left to learn from; name"
    ):
        read_rows(ROWS, test=write(ROWS))


def test_texts_that_were_read_in_a_wrong_encoding_are_told(write: Write) -> None:
    path = write([(f"Прекрасный фильм номер {number}", str(number % 2)) for number in range(20)])
    path.write_bytes(path.read_text("utf-8").encode("cp1251"))
    (note,) = read(path, DataOptions(encoding="cp1252"), 1).description.notes
    assert note.startswith("most letters of the texts have accents, so the encoding is probably another one: in cp1251")
    assert "'Прекрасный фильм номер 0" in note and note.endswith("name it with --encoding cp1251")
    assert read(path, DataOptions(encoding="cp1251"), 1).description.notes == ()


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
