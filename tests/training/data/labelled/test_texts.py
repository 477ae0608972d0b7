from pathlib import Path

import numpy as np
import pytest

from tests.training.data.labelled.conftest import Read, make_rows
from training.data.labelled.texts import Texts
from training.errors import DataError

ROWS = [*make_rows(bad=10, good=10), ("who knows", ""), ("  space \n kept ", "")]


def test_texts_are_read_as_they_are_with_their_labels(read_rows: Read) -> None:
    data = read_rows(ROWS)
    assert [*data.unlabelled.read()] == ["who knows", "  space \n kept "]
    for part in (data.train, data.test):
        texts = list(part.read())
        assert len(texts) == len(part)
        assert [text.split()[0] for text in texts] == [data.labels[label] for label in part.labels]
        assert list(part.read()) == texts
    assert sorted([*data.train.read(), *data.test.read()]) == sorted(text for text, label in ROWS if label)


def test_some_rows_are_taken(read_rows: Read) -> None:
    train = read_rows(ROWS).train
    some = train.take(train.labels == 1)
    assert [*some.read()] == [text for text in train.read() if text.startswith("good")]
    assert (train.count(2), some.count(2)) == ([8, 8], [0, 8])
    assert [*train.take(np.zeros(len(train), bool)).read()] == []


def change(train: Texts, contents: str) -> None:
    Path(train.source.path).write_text(contents)


@pytest.mark.parametrize("line", ["", "a,b,c\n"])
def test_a_file_that_changes_is_noticed(read_rows: Read, line: str) -> None:
    train = read_rows(ROWS).train
    change(train, "text,label\n" + "a,bad\n" * 4 + line * 20)
    with pytest.raises(DataError, match=r"my.csv, line \d+ changed while the data were read; start again"):
        list(train.read())
