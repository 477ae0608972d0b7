from pathlib import Path

import numpy as np
import pytest

from tests.training.films import find_settings, write
from training.data.labelled.description import describe_dataset
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.texts import LabelledTexts
from training.labelled.parts import make_data, measure_baseline_of, sample, split


def test_a_tenth_of_the_training_rows_is_held_out(texts: LabelledTexts) -> None:
    parts = split(find_settings(), texts)
    assert len(parts.training) + len(parts.validation) == len(texts.train) == 64
    assert parts.validation.count(2) == [3, 3] and parts.test is texts.test
    assert not np.isin(parts.training.hashes, parts.validation.hashes).any()


def test_a_sample_is_the_same_every_time(texts: LabelledTexts) -> None:
    assert sample(texts.train, 64, 1) is texts.train
    chosen, again, other = (sample(texts.train, 10, seed) for seed in (1, 1, 2))
    assert len(chosen) == 10 and list(chosen.read()) == list(again.read()) != list(other.read())


def test_the_baseline_learns_from_the_training_rows(texts: LabelledTexts) -> None:
    baseline = measure_baseline_of(find_settings(), texts)
    assert baseline and (baseline.rows, baseline.accuracy) == (58, 1)
    data = make_data(find_settings(), texts, split(find_settings(), texts))
    assert data.texts == tuple(texts.test.read()) and data.baseline == baseline


def test_words_without_spaces_are_compared_by_characters(tmp_path: Path) -> None:
    films = "天地玄黄宇宙洪荒日月盈昃辰宿列张"
    rows = [(f"{film}这部电影{word}的", word[0]) for film in films for word in ("不好看", "很好看")]
    path = write(tmp_path / "films.csv", rows)
    texts = read(path, DataOptions(), 1)
    assert "Han script has no spaces between words" in texts.description.notes[-1]
    assert make_data(find_settings(), texts, split(find_settings(), texts)).by_character


def test_the_dataset_names_files_labels_and_split(texts: LabelledTexts) -> None:
    dataset = describe_dataset(texts.description, "Dutch", 58, 6, 16)
    assert dataset.sha256 == texts.description.data.sha256 and dataset.language == "Dutch"
    assert dataset.split == "20% of each label held out for the test, seed 1"
    assert [label.label for label in dataset.labels] == ["negative", "positive"]
    assert dataset.held_out == pytest.approx(6)
