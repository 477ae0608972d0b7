import csv
import re
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from training.data.composed import FOLDER, TARGETS, Part, Sentence, compose

OPINIONS = ("adjective", "noun", "verb", "superlative")


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def normalise(frame: str) -> str:
    """Return a frame without case and marks, and with the same slot for all words of opinion and for all subjects."""
    subject = r"\b(?:the|this|that|a) \{thing2?\}|\{thing2?\}|\bit\b|\bthis\b"
    slots = re.sub(r"\{(?:an )?[anvs]2?\}", "opinion", re.sub(subject, "subject", frame.lower()))
    return " ".join(re.findall(r"[\w{}]+", slots.replace("'", "")))


def take(part: Part, count: int, seed: int = 1) -> list[tuple[Sentence, Sentence]]:
    return list(islice(compose(part, np.random.default_rng(seed)), count))


@pytest.mark.parametrize("part", ["train", "report"])
def test_both_sentences_of_a_pair_differ_only_in_their_opinion(part: Part) -> None:
    for positive, negative in take(part, 500):
        assert positive.kind == negative.kind
        assert (positive.target, negative.target) == TARGETS[positive.kind]
        assert positive.text != negative.text
        assert "{" not in positive.text + negative.text


@pytest.mark.parametrize("part", ["train", "report"])
def test_sentences_begin_with_a_capital_and_have_the_right_article(part: Part) -> None:
    for sentence in (sentence for pair in take(part, 5000) for sentence in pair):
        assert sentence.text[0] == sentence.text[0].upper()
        words = sentence.text.lower().split()
        for article, word in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                is_vowel = word[0] in "aeiou" and not word.startswith(("use", "ukrain", "euro", "unique"))
                assert (article == "an") == (is_vowel or word.startswith(("honest", "hour"))), sentence.text


def test_every_kind_is_composed_and_the_same_seed_gives_the_same_sentences() -> None:
    pairs = take("train", 2500)
    assert {positive.kind for positive, _ in pairs} == set(TARGETS)
    assert pairs == take("train", 2500)
    assert pairs != take("train", 2500, seed=2)


def test_no_sentence_is_in_both_parts() -> None:
    trained = {sentence.text for pair in take("train", 3000) for sentence in pair}
    reported = {sentence.text for pair in take("report", 3000) for sentence in pair}
    assert not trained & reported


def test_no_frame_of_the_report_is_one_to_train_on_in_other_words() -> None:
    frames = read("frames.tsv")
    trained = {normalise(row["frame"]) for row in frames if row["part"] == "train"}
    assert [row["frame"] for row in frames if row["part"] == "report" and normalise(row["frame"]) in trained] == []


def test_no_frame_and_no_word_occurs_twice() -> None:
    frames = Counter(row["frame"].lower() for row in read("frames.tsv"))
    assert [frame for frame, count in frames.items() if count > 1] == []
    words = read("words.tsv")
    opinions = [row[side].lower() for row in words if row["class"] in OPINIONS for side in ("positive", "negative")]
    forms = Counter(form for word in opinions for form in set(word.split("/")))
    forms += Counter(row[side] for row in words if row["class"] == "thing" for side in ("positive", "negative"))
    assert [form for form, count in forms.items() if count > 1] == []


def test_both_parts_have_dozens_of_frames_and_words_of_every_kind() -> None:
    frames = Counter((row["kind"], row["part"]) for row in read("frames.tsv"))
    for kind in TARGETS.keys() - {"wish", "neutral"}:
        assert min(frames[kind, "report"], frames[kind, "train"]) > 50
    words = Counter((row["class"], row["part"]) for row in read("words.tsv"))
    for kind in (*OPINIONS, "thing"):
        assert min(words[kind, "report"], words[kind, "train"]) >= 15
