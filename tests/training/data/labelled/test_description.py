from rich.console import Console

from tests.training.data.labelled.conftest import Read, Write, make_rows
from training.data.labelled.description import DataDescription, render
from training.data.labelled.source import Columns


def show(description: DataDescription) -> str:
    console = Console(width=100)
    with console.capture() as shown:
        console.print(render(description))
    return shown.get()


def test_a_description_is_json_and_comes_back(read_rows: Read) -> None:
    description = read_rows(make_rows(bad=10, good=20)).description
    assert DataDescription.model_validate_json(description.model_dump_json()) == description
    assert (description.train_rows, description.test_rows) == (24, 6)
    assert description.model_dump()["labels"] == (
        {"label": "bad", "train": 8, "test": 2},
        {"label": "good", "train": 16, "test": 4},
    )


def test_a_table_has_all_of_it(read_rows: Read) -> None:
    rows = [(text, label, f"user {number % 7}") for number, (text, label) in enumerate(make_rows(bad=50, good=60))]
    found = read_rows(
        [*rows, ("[bold]", "", "x"), ("[bold]", "", "x")], more=("[who]",), columns=Columns(group="[who]")
    )
    lines = show(found.description).splitlines()
    text = " ".join(" ".join(lines).split())
    for expected in (
        "data my.csv: CSV with the delimiter comma, UTF-8",
        f"112 rows, {found.train.source.count_bytes():,} bytes",
        f"SHA-256 {found.train.source.hash()}",
        "columns text: text, label: label, group: [who]",
        "language unknown, Latin script",
        "seed 1; no group in both",
        "unlabelled 2",
        "- 1 row with a text that an earlier row has",
    ):
        assert expected in text
    assert any(line.startswith("│ all") and line.split()[3] == str(len(found.train)) for line in lines)


def test_a_table_has_the_test_file_and_no_columns_where_there_are_none(read_rows: Read, write: Write) -> None:
    test = write([("one", "bad"), ("two", "good")], name="test.csv")
    text = show(read_rows(make_rows(bad=9, good=9), test=test).description)
    assert "test data   test.csv: CSV" in text
    assert "test texts from a file of their own" in text
