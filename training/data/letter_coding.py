"""The data of letter networks: the codec of a recipe, and patterns coded by it."""

import numpy as np

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset
from training.data import alphabet
from training.data.examples import Examples
from training.recipes.letters import LetterSettings


def make_letter_codec(settings: LetterSettings) -> LetterCodec:
    """Return the codec of a recipe."""
    is_zero_a_letter = settings.mask_padding and settings.first_code == 0
    return LetterCodec(
        length=settings.length,
        layout=settings.layout,
        first_code=settings.first_code,
        padding_value=-1 if is_zero_a_letter else 0,
    )


def describe_patterns(
    codec: LetterCodec, settings: LetterSettings, patterns: list[alphabet.Pattern], training_examples: int
) -> tuple[Examples, Dataset]:
    """Return the test data of a letter network: all patterns of its recipe."""
    dataset = Dataset(
        name=f"alphabet patterns ({settings.patterns})",
        sha256=alphabet.hash_patterns(patterns),
        training_examples=training_examples,
        test_examples=len(patterns),
    )
    return code_patterns(codec, patterns), dataset


def code_patterns(codec: LetterCodec, patterns: list[alphabet.Pattern]) -> Examples:
    """Return the inputs, float32 [patterns, ...], and the letters that follow, int32 [patterns]."""
    inputs = codec.pad([codec.encode(pattern.sequence) for pattern in patterns])
    return Examples(inputs, np.array([ALPHABET.index(pattern.target) for pattern in patterns], np.int32))
