import pytest

from training.data.labelled.languages import guess_language, guess_script, is_without_spaces

ENGLISH = "This was a good film and I would see it again, but the end is not for children."
OTHERS = {
    "German": "Der Film war gut, und ich würde ihn wieder sehen, aber das Ende ist nichts für Kinder.",
    "Dutch": "De film was goed en ik zou hem weer zien, maar het einde is niets voor kinderen.",
    "French": "Le film était bon et je le reverrais, mais la fin n'est pas pour les enfants.",
    "Spanish": "La película era buena y la vería otra vez, pero el final no es para los niños.",
    "Polish": "Film był dobry i obejrzałbym go jeszcze raz, ale zakończenie nie jest dla dzieci.",
    "Danish": "Filmen var god, og jeg ville se den igen, men slutningen er ikke for børn.",
}


@pytest.mark.parametrize(
    ("texts", "script"),
    [
        ([ENGLISH], "Latin"),
        (["Хороший фильм", "ok"], "Cyrillic"),
        (["Καλή ταινία"], "Greek"),
        (["这部电影很好"], "Han"),
        (["映画は面白かったです"], "Hiragana"),
        (["영화가 좋았어요"], "Hangul"),
        (["فيلم جيد"], "Arabic"),
        (["abc где", "αβγ"], "mixed"),
        (["12 :)", ""], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_script_is_that_of_most_letters(texts: list[str], script: str) -> None:
    assert guess_script(texts) == script


def test_english_is_known_by_its_common_words() -> None:
    assert guess_language([ENGLISH, "good", "Not for me!"]) == "English"


@pytest.mark.parametrize("text", [*OTHERS.values(), "good film", "Хороший фильм", ""])
def test_nothing_else_is_called_english(text: str) -> None:
    assert guess_language([text]) == "unknown"


def test_some_scripts_have_no_spaces_between_words() -> None:
    assert is_without_spaces(guess_script(["这部电影很好看"])) and is_without_spaces(guess_script(["หนังดี"]))
    assert not is_without_spaces(guess_script(["Хороший фильм"])) and not is_without_spaces("mixed")
