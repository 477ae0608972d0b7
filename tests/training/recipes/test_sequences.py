import pytest

from training import recipes
from training.errors import RecipeError
from training.recipes.sequences import SequenceSettings


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("bidirectional=true", "learns from every step needs bidirectional=false"),
        ("mask_padding=false", "needs mask_padding=true"),
        ("loss=squared-error", "needs loss=cross-entropy"),
        ("validation_share=0", "validation_share decides when the training stops; set it over 0"),
        ("length=0", "length: Input should be greater than or equal to 1"),
    ],
)
def test_settings_that_a_network_of_every_step_cannot_have_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.find("letters").with_settings([assignment])


def test_an_alphabet_is_text_also_if_it_has_digits_only() -> None:
    settings = recipes.find("letters").with_settings(['alphabet="0123"', "fold_case=true"]).settings
    assert isinstance(settings, SequenceSettings)
    assert (settings.alphabet, settings.fold_case) == ("0123", True)
