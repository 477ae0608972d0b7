import numpy as np

from training.general.sentences import join_stories, split_sentences, take_openings, take_short, take_stories


def test_sentences_are_what_a_reader_sees_of_a_review() -> None:
    text = 'He said: "Stop." (It did.) Mr.X left.<br /><br />Why? <b>Because</b> of 3.5 reasons'
    assert list(split_sentences([text, "One."])) == [
        'He said: "Stop.',
        "(It did.",
        "Mr.X left.",
        "Why?",
        "Because of 3.5 reasons",
        "One.",
    ]


def test_short_sentences_are_taken_once_in_random_order() -> None:
    sentences = [f"Sentence {number}." for number in range(20)]
    random = np.random.default_rng(1)
    found = take_short([*sentences, *sentences, "One", " ".join(["word"] * 41)], 15, random)
    assert len(found) == len(set(found)) == 15
    assert set(found) < set(sentences)
    assert found != sentences[:15]
    assert len(take_short(sentences, 100, random)) == 20


def test_openings_are_the_first_words_of_random_texts_as_a_reader_sees_them() -> None:
    texts = [f"<b>Text</b> {number}<br />" + " word" * 60 for number in range(20)]
    found = take_openings([*texts, "A short one."], 10, np.random.default_rng(1))
    assert len(set(found)) == 10
    lengths = [len(text.split()) for text in found if text != "A short one."]
    assert min(lengths) >= 15
    assert max(lengths) <= 50
    assert len(set(lengths)) > 1
    assert all(text.startswith("Text ") for text in found if text != "A short one.")
    assert take_openings(["A short one."], 10, np.random.default_rng(1)) == ["A short one."]


def test_a_story_judges_nothing() -> None:
    story = "The sheriff follows the two men to a farm outside the town."
    assert take_stories(
        [
            story,
            "The sheriff follows the two men to a wonderful farm outside the town.",
            "The director follows the two men to a farm outside the town.",
            "I follow the two men to a farm outside the town.",
            "They leave.",
        ]
    ) == [story]


def test_stories_are_joined_to_a_length() -> None:
    stories = [np.array([4, 5, 6], np.int32), np.array([7, 8], np.int32)]
    joined = join_stories(stories, 11, np.random.default_rng(1))
    assert joined.shape == (11,)
    assert set(joined.tolist()) <= {4, 5, 6, 7, 8}
