import json
from pathlib import Path

import pytest

from training.data import pairs
from training.data.pairs import Group
from training.errors import DataError

PARTS: tuple[pairs.Part, ...] = ("train", "development", "report")
GROUP = {"kind": "negation", "domain": "film", "positive": "No flaw.", "negative": "No merit.", "neutral": None}


def write(folder: Path, author: str, *lines: str) -> None:
    (folder / f"author-{author}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_the_corpus_has_thousands_of_texts_and_no_text_is_in_two_parts() -> None:
    texts = {
        part: [text for group in pairs.load(part) for text in (group.positive, group.negative, group.neutral) if text]
        for part in PARTS
    }
    together = [text.lower() for part in PARTS for text in texts[part]]
    assert len(together) >= 4000
    assert len(set(together)) == len(together)
    assert min(len(texts["development"]), len(texts["report"])) >= 500
    assert max(len(text.split()) for text in together) <= 60


@pytest.mark.parametrize("part", ["development", "report"])
def test_held_out_authors_have_hundreds_of_pairs(part: pairs.Part) -> None:
    assert sum(group.is_pair for group in pairs.load(part)) >= 200


def test_the_checksum_is_of_the_names_and_contents_of_all_authors(tmp_path: Path) -> None:
    made = []
    for number, (author, line) in enumerate((("01", "a"), ("01", "a"), ("02", "a"), ("01", "b"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, author, line)
        (folder / "README.md").write_text(str(number))
        made.append(pairs.hash_files(folder))
    assert made[0] == made[1]
    assert len({*made}) == 3


def test_each_author_is_in_one_part(tmp_path: Path) -> None:
    for author in ("01", "31", "34"):
        write(tmp_path, author, json.dumps(GROUP | {"positive": author}), "")
    assert {part: [group.positive for group in pairs.load(part, tmp_path)] for part in PARTS} == {
        "train": ["01"],
        "development": ["31"],
        "report": ["34"],
    }


def test_a_group_without_one_of_its_texts_is_no_pair() -> None:
    assert Group.model_validate(GROUP).is_pair
    assert not Group.model_validate(GROUP | {"negative": None}).is_pair


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Expecting"),
        ('{"kind": "plain"}', "1 validation error"),
        (json.dumps(GROUP | {"label": 1}), "1 validation"),
    ],
)
def test_a_line_that_is_no_group_is_named(tmp_path: Path, line: str, reason: str) -> None:
    write(tmp_path, "01", json.dumps(GROUP), line)
    with pytest.raises(DataError, match=rf"author-01\.jsonl, line 2 is not a group of texts: {reason}"):
        pairs.load("train", tmp_path)


def test_a_folder_without_texts_or_with_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no texts of the part 'report'"):
        pairs.load("report", tmp_path)
    (tmp_path / "author-01.jsonl").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        pairs.load("train", tmp_path)


def test_groups_have_the_number_of_their_author() -> None:
    found = pairs.load_with_authors("report")
    assert {author for author, _ in found} == pairs.REPORT
    assert tuple(group for _, group in found) == pairs.load("report")
