import numpy as np
import pytest

from bundle.letters import ALPHABET
from training import recipes
from training.data import alphabet, letter_coding
from training.recipes.letters import LetterSettings


def find_letters(name: str, *assignments: str) -> LetterSettings:
    settings = recipes.find(name).with_settings(assignments).settings
    assert isinstance(settings, LetterSettings)
    return settings


@pytest.mark.parametrize(
    ("name", "assignments", "padding"),
    [
        ("next-letter", [], 0),
        ("alphabet-time-steps", [], 0),  # where it is read as well
        ("alphabet-stateful", [], -1),  # where 0 is an A
        ("next-letter", ["first_code=0"], -1),
        ("next-letter", ["first_code=0", "mask_padding=false"], 0),
    ],
)
def test_masked_padding_is_no_letter(name: str, assignments: list[str], padding: int) -> None:
    codec = letter_coding.make_letter_codec(find_letters(name, *assignments))
    assert codec.padding_value == padding
    assert not padding or codec.encode("A")[0] == 0


def test_patterns_are_coded_with_the_letter_that_follows() -> None:
    settings = find_letters("alphabet-time-steps")
    codec, patterns = letter_coding.make_letter_codec(settings), alphabet.make_patterns(settings)
    examples = letter_coding.code_patterns(codec, patterns)
    assert examples.inputs.shape == (23, 3, 1)
    assert examples.inputs.dtype == np.float32
    assert examples.labels.dtype == np.int32
    assert examples.labels.tolist() == list(range(3, 26))
    np.testing.assert_allclose(examples.inputs[1, :, 0] * 26, [1, 2, 3], rtol=1e-6)
    described, dataset = letter_coding.describe_patterns(codec, settings, patterns, 7)
    assert np.array_equal(described.inputs, examples.inputs)
    assert (dataset.training_examples, dataset.test_examples) == (7, len(patterns))
    assert ALPHABET[examples.labels[0]] == patterns[0].target
