from pathlib import Path

import numpy as np
import pytest

from tests.training.general.conftest import write_pairs, write_treebank
from training.data import pairs, treebank
from training.data.phrases import Phrases
from training.general.short_texts import ShortTexts, collect
from training.recipes.general import ShortTextSettings


@pytest.fixture
def bank(tmp_path: Path) -> treebank.Treebank:
    return treebank.load(write_treebank(tmp_path / "trees.zip"))


OWN = Phrases((("quite decent", 0.8),))


def make(bank: treebank.Treebank, folder: Path, **settings: int) -> ShortTexts:
    chosen = ShortTextSettings(**({"treebank_copies": 0, "pair_copies": 0, "composed": 0} | settings))
    return collect(chosen, bank, OWN, pairs.load("train", write_pairs(folder)), np.random.default_rng(7))


def test_a_phrase_occurs_once_with_the_mean_of_its_labels(bank: treebank.Treebank, tmp_path: Path) -> None:
    texts = make(bank, tmp_path)
    judged = dict(zip(texts.texts, texts.targets.tolist(), strict=True))
    assert all(texts.texts.count(text) == 1 for text in ("wonderful film", "a film", "not bad", "It is not bad"))
    assert judged["wonderful film"] == pytest.approx(0.98)
    assert judged["not bad"] == pytest.approx(0.87)
    assert judged["a film"] == pytest.approx(0.5)
    assert "wonderful" not in judged  # single words say too little


def test_sentences_pairs_and_composed_sentences_occur_as_often_as_wanted(
    bank: treebank.Treebank, tmp_path: Path
) -> None:
    texts = make(bank, tmp_path, treebank_copies=2, pair_copies=3, composed=4)
    assert texts.texts.count("A wonderful film") == 1 + 2
    assert texts.texts.count("quite decent") == 2
    judged = list(zip(texts.texts, texts.targets.tolist(), strict=True))
    assert judged.count(("No flaw, 01.", pytest.approx(0.98))) == 3
    assert judged.count(("No merit, 01.", pytest.approx(0.02))) == 3
    assert not any("31" in text or "34" in text for text in texts.texts)  # held-out authors
    assert len(texts.texts) == len(make(bank, tmp_path, treebank_copies=2, pair_copies=3).texts) + 8


def test_ratings_and_other_numbers_are_among_them(bank: treebank.Treebank, tmp_path: Path) -> None:
    assert {"9/10", "2 out of 5", "I give it 1/10.", "Season 1", "1"} < set(make(bank, tmp_path).texts)


def test_whole_texts_are_no_parts_of_others(bank: treebank.Treebank, tmp_path: Path) -> None:
    whole = make(bank, tmp_path, treebank_copies=2, pair_copies=3, composed=4).whole
    assert "wonderful film" not in whole
    assert whole.count("A wonderful film") == whole.count("No flaw, 01.") == whole.count("quite decent") == 1


def test_the_hash_depends_on_texts_and_targets() -> None:
    hashes = {
        ShortTexts.of(judged).hash()
        for judged in ([("a", 0.5), ("b", 0.5)], [("a", 0.5), ("b", 0.25)], [("a", 0.5), ("c", 0.5)])
    }
    assert len(hashes) == 3
