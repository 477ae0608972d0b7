from pathlib import Path

import pytest

from training.data.labelled_lines import read_labelled_lines
from training.errors import DataError


def is_right(text: str, label: str) -> bool:
    return text != "" and label in "ab"


def test_texts_stay_as_they_are_and_labels_lose_their_spaces(tmp_path: Path) -> None:
    path = tmp_path / "my.tsv"
    path.write_text('\ufefftext\tlabel\n a "good" one \t a \r\n\nanother\tb\n', "utf-8")
    assert read_labelled_lines(path, is_right, "write it so") == [(' a "good" one ', "a"), ("another", "b")]


@pytest.mark.parametrize("line", ["\ta", "text\tc", "text", "text\ta\tb"])
def test_another_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "my.tsv"
    path.write_text(f"good\ta\n{line}\n")
    with pytest.raises(DataError, match=r"my\.tsv, line 2 is '.*'; write it so$"):
        read_labelled_lines(path, is_right, "write it so")
