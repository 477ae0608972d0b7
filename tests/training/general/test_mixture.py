import numpy as np
import pytest
from rich.console import Console

from bundle.readable import CLASSES, ReadableTokeniser
from bundle.reviews import ReviewCodec, ReviewPreprocessing
from training import recipes
from training.distillation.corpus import UNLABELLED, Corpus, Reviews
from training.general.mixture import LabelledTexts, mix
from training.general.short_texts import ShortTexts
from training.recipes.general import GeneralSettings

WORDS = (*CLASSES, "good", "bad", "man", "leaves", "it")
STORY = "man leaves"


def make_reviews() -> Reviews:
    preprocessing = ReviewPreprocessing(tokeniser=ReadableTokeniser(), vocabulary_size=len(WORDS) + 4, length=10_000)
    codec = ReviewCodec(preprocessing, WORDS)
    texts = ["good good good"] * 8 + ["bad bad"] * 8 + ["it it it it"] * 4
    corpus = Corpus.of(codec.encode(text).ids for text in texts)
    labels = np.array([1] * 8 + [0] * 8, np.float32)
    return Reviews(codec, corpus, labels, np.arange(2, 16), np.arange(2))


@pytest.fixture
def settings() -> GeneralSettings:
    found = recipes.find("sentiment-general").with_settings(
        ["story_share=0.5", "story_length=30", "pure_story_share=0.25", "label_weight=0.5", "sharpness=2"]
    )
    assert isinstance(found.settings, GeneralSettings)
    return found.settings


def test_all_texts_stand_behind_the_reviews_with_their_targets(settings: GeneralSettings) -> None:
    reviews = make_reviews()
    judged = ShortTexts.of([("good", 0.9), ("bad it", 0.5)])
    labelled = LabelledTexts(["it it bad"], np.array([-1], np.float32))
    answers = np.full(20, 0.5, np.float32)
    mixed, targets = mix(settings, reviews, answers, [STORY], labelled, judged, Console(quiet=True))
    codec = mixed.codec
    assert isinstance(codec, ReviewCodec)
    assert len(mixed.corpus) == len(targets) == 20 + 9 + 4 + 3  # half of 18 reviews, a quarter of stories alone
    assert targets[:20].tolist() == [UNLABELLED] * 2 + [0.75] * 6 + [0.25] * 8 + [0.5] * 4
    man, leaves = codec.find_id("man"), codec.find_id("leaves")
    for number in range(20, 29):
        ids = mixed.corpus[number].tolist()
        review = [k for k in ids[1:] if k not in (man, leaves)]
        assert ids[0] == 1
        assert 20 <= ids.count(man) + ids.count(leaves) <= 30
        expected = {"good": 0.75, "bad": 0.25, "it": 0.5}
        assert targets[number] == expected[next(word for word in expected if codec.find_id(word) in review)]
        assert len(set(review)) == 1
    for number in range(29, 33):
        assert set(mixed.corpus[number].tolist()) == {1, man, leaves}
        assert targets[number] == 0.5
    assert mixed.corpus[33].tolist() == codec.encode("good").ids.tolist()
    assert targets[33:] == pytest.approx([81 / 82, 0.5, 1 / (1 + np.exp(2))], abs=1e-6)
