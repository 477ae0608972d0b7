import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bundle.files import hash_file
from tests.training.data.labelled.conftest import Read, Write, make_rows
from tests.training.data.test_imdb import encode, write_folder
from training.data import imdb
from training.data.labelled.description import SplitDescription
from training.data.labelled.reading import DataOptions, read, read_labelled
from training.data.labelled.source import Columns
from training.errors import DataError

ROWS = make_rows(negative=50, positive=100)


def test_a_share_of_each_label_is_held_out(read_rows: Read) -> None:
    data = read_rows(ROWS)
    assert data.labels == ("negative", "positive")
    assert data.train.count(2) == [40, 80] and data.test.count(2) == [10, 20]
    assert data.description.split == SplitDescription(kind="random", share=0.2, seed=1)
    assert read_rows(ROWS, test_share=0.5).test.count(2) == [25, 50]


def test_the_split_depends_on_the_texts_and_the_seed_and_not_on_the_order(write: Write) -> None:
    def held_out(rows: list[tuple[str, str]], seed: int) -> set[str]:
        return {*read(write(rows), DataOptions(), seed).test.read()}

    shuffled = Random(1).sample(ROWS, len(ROWS))
    assert held_out(shuffled, 1) == held_out(ROWS, 1)
    assert held_out(ROWS, 2) != held_out(ROWS, 1)


def test_no_text_and_no_group_is_in_both_parts(read_rows: Read) -> None:
    rows = [(f"text {n % 60}", f"{n % 3}", f"user {n % 8}") for n in range(300)]
    data = read_rows(rows, more=("who",))
    assert not {*data.train.read()} & {*data.test.read()}
    assert data.description.odd.in_both_parts == 0
    unique = [(f"text {n}", f"{n % 3}", f"user {n % 8}") for n in range(240)]
    data = read_rows(unique, more=("who",), columns=Columns(group="who"))
    groups = [{int(text.split()[1]) % 8 for text in part.read()} for part in (data.train, data.test)]
    assert sorted(map(len, groups)) == [2, 6] and not groups[0] & groups[1]
    assert not np.intersect1d(data.train.units, data.test.units).size


def test_other_formats_give_the_same_data(write: Write, tmp_path: Path) -> None:
    table = read(write(ROWS), DataOptions(), 1)
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (tmp_path / "my.jsonl").write_text("\n".join(lines))
    for number, (text, label) in enumerate(ROWS):
        (tmp_path / "folder" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / label / f"{number:03}.txt").write_text(text)
    for name in ("my.jsonl", "folder"):
        data = read(tmp_path / name, DataOptions(), 1)
        assert [*data.test.read()] == [*table.test.read()]
        assert [*data.train.read()] == [*table.train.read()]
        assert data.train.labels.tolist() == table.train.labels.tolist()
        assert data.labels == table.labels
        assert data.description.name == name


def test_the_file_is_described_as_it_is(read_rows: Read) -> None:
    data = read_rows([(f"{number} {text}", text) for text in ("да", "нет") for number in range(5)])
    file = data.description.data
    assert file.name == "my.csv" and file.sha256 == hash_file(data.train.source.path)
    assert file.bytes == data.train.source.path.stat().st_size
    assert (file.rows, file.encoding, file.columns) == (10, "utf-8", {"text": "text", "label": "label"})
    assert (data.description.script, data.description.language) == ("Cyrillic", "unknown")
    assert data.description.test is None


def test_test_texts_have_the_columns_of_the_data(write: Write, tmp_path: Path) -> None:
    path = write([(*row, "x", "1") for row in ROWS], more=("review", "stars"))
    (tmp_path / "test.jsonl").write_text('{"review": "a", "stars": 1}\n{"review": "b", "text": "c", "label": 2}\n')
    columns = Columns("text", "label", "stars")
    with pytest.raises(DataError, match="there is no column 'text'|has nothing as 'text'"):
        read(path, DataOptions(columns, tmp_path / "test.jsonl"), 1)
    test = write(make_rows(positive=2), name="test.csv")
    data = read(path, DataOptions(columns, test), 1)
    assert [*data.test.read()] == ["positive text 0", "positive text 1"] or data.description.odd.in_both_parts == 2
    assert data.description.test is not None and data.description.test.columns == {"text": "text", "label": "label"}
    assert data.description.split == SplitDescription(kind="file")


def test_test_texts_may_be_a_folder(write: Write, tmp_path: Path) -> None:
    for label in ("negative", "positive"):
        (tmp_path / "test" / label).mkdir(parents=True)
        (tmp_path / "test" / label / "1.txt").write_text(f"very {label}")
    data = read(write(ROWS), DataOptions(test=tmp_path / "test"), 1)
    assert [*data.test.read()] == ["very negative", "very positive"]


def test_the_layout_of_imdb_has_its_own_split(tmp_path: Path) -> None:
    files = {
        f"{part}/{label}/{number}_9.txt": f"{label} {number}"
        for part, count in (("train", 9), ("test", 4))
        for label in ("pos", "neg")
        for number in range(count)
    }
    folder = write_folder(tmp_path / "aclImdb", encode(files))
    data = read(folder, DataOptions(), 1)
    assert data.labels == ("negative", "positive")
    assert data.description.split == SplitDescription(kind="layout")
    assert data.description.name == "aclImdb" and data.description.data.sha256 == imdb.load(folder).sha256
    assert data.description.test is None
    assert (data.train.count(2), data.test.count(2)) == ([5, 5], [4, 4])
    assert data.description.odd.in_both_parts == 8
    with pytest.raises(DataError, match="aclImdb has test texts of its own; leave --test out"):
        read(folder, DataOptions(test=folder), 1)


MILLION = """
import json, resource, sys
from pathlib import Path
from training.data.labelled.reading import DataOptions, read, read_labelled

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak()
data = read(Path(sys.argv[1]), DataOptions(), 1)
characters = sum(len(text) for text in data.test.read())
frameworks = [name for name in ("keras", "tensorflow") if name in sys.modules]
print(json.dumps([len(data.train), len(data.test), characters, peak() - before, frameworks]))
"""


def test_a_million_rows_are_read_in_little_memory_and_without_keras(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    filling = "w" * 170
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f"{number:07} {filling},{number % 2}\n" for number in range(1_000_000))
    command = [sys.executable, "-c", MILLION, str(path)]
    train, test, characters, megabytes, frameworks = json.loads(subprocess.check_output(command))
    assert (train, test, characters) == (800_000, 200_000, 200_000 * 178)
    assert megabytes < 170  # their texts would take 230 more
    assert frameworks == []


def test_all_labelled_rows_of_a_file_are_read(write: Write) -> None:
    texts = read_labelled(write([*ROWS, ("no label", "")]), DataOptions(), ("positive", "negative"))
    assert len(texts) == len(ROWS) and texts.count(2) == [100, 50]
    with pytest.raises(DataError, match="has the label 'positive', which no training row has"):
        read_labelled(write(ROWS), DataOptions(), ("negative", "neutral"))
    with pytest.raises(DataError, match="has no labelled rows"):
        read_labelled(write([("no label", "")]), DataOptions(), ("negative", "positive"))
    mapped = DataOptions(label_map="negative=0;positive=1")
    assert read_labelled(write(ROWS), mapped, ("0", "1")).count(2) == [50, 100]
