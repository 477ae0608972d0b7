import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bundle.readable import CLASSES, ReadableTokeniser
from bundle.reviews import ReviewCodec, ReviewPreprocessing
from bundle.store import Store
from tests.training.general.conftest import SMALL_GENERAL
from training import recipes
from training.general.first_network import FirstNetwork
from training.networks import builders
from training.recipes.general import GeneralSettings

WORDS = (*CLASSES, "wonderful", "dreadful", "👍", "🤮", "zyx", "★★★")


@pytest.fixture
def settings() -> GeneralSettings:
    size = len(WORDS) + 4
    recipe = recipes.find("sentiment-general").with_settings(
        [*SMALL_GENERAL, f"vocabulary_size={size}", "endings=0", "embedding=4", "units=4"]
    )
    assert isinstance(recipe.settings, GeneralSettings)
    return recipe.settings


def make_codec(settings: GeneralSettings) -> ReviewCodec:
    preprocessing = ReviewPreprocessing(
        tokeniser=ReadableTokeniser(), vocabulary_size=settings.vocabulary_size, length=settings.length
    )
    return ReviewCodec(preprocessing, WORDS)


def read_vectors(network: keras.Model) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = keras.ops.convert_to_numpy(builders.find_embedding(network).weights[0])
    return vectors


def test_it_gives_each_word_the_vector_that_it_reads_it_as_and_an_emoji_that_of_its_face(
    settings: GeneralSettings, small_store: Store
) -> None:
    bundle = small_store.open("sentiment")
    codec = make_codec(settings)
    network = builders.build_review_network(settings.published, codec.preprocessing, any_length=True)
    FirstNetwork(bundle, settings).give_weights(network, codec)
    vectors = read_vectors(network)
    known = bundle.codec
    assert isinstance(known, ReviewCodec)
    first = keras.saving.load_model(bundle.model_path)
    given = keras.ops.convert_to_numpy(builders.find_embedding(first)(np.arange(known.preprocessing.vocabulary_size)))
    for word, read_as in (
        ("wonderful", "wonderful"),
        ("👍", ":)"),
        ("🤮", ":("),
        ("zyx", "zyx"),
        (":)", ":)"),
        ("★★★", "6/10"),
    ):
        assert vectors[codec.find_id(word)].tolist() == given[known.find_id(read_as)].tolist()


def test_it_answers_texts(settings: GeneralSettings, small_store: Store) -> None:
    answers = FirstNetwork(small_store.open("sentiment"), settings).answer(
        ["wonderful", "dreadful"], Console(quiet=True)
    )
    assert answers.shape == (2,)
    assert ((0 < answers) & (answers < 1)).all()
