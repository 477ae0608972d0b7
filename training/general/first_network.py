"""The published network that another one starts from: its answers, and its weights."""

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from rich.console import Console

from bundle import ratings
from bundle.readable import ReadableTokeniser
from bundle.reviews import RESERVED_IDS, ReviewCodec, ReviewPreprocessing
from bundle.store import Bundle
from bundle.tokenisers import TokenTokeniser
from training.data import review_coding
from training.errors import RecipeError
from training.networks import builders
from training.networks.onnx_network import OnnxNetwork
from training.recipes.general import GeneralSettings

_TOKENISER = ReadableTokeniser()


class FirstNetwork:
    """The network of a bundle with other words."""

    def __init__(self, bundle: Bundle, settings: GeneralSettings) -> None:
        """Read the bundle.

        Raises:
            RecipeError: a network of the recipe cannot start from it.
        """
        codec = bundle.codec
        if not (isinstance(codec, ReviewCodec) and isinstance(codec.preprocessing.tokeniser, TokenTokeniser)):
            raise RecipeError(f"{bundle.folder} has other words; start from a bundle of the recipe sentiment")
        onnx = bundle.manifest.onnx
        if onnx is None:
            raise RecipeError(f"{bundle.folder} has no model.onnx; call `python -m training export {bundle.folder}`")
        first = keras.saving.load_model(bundle.model_path)
        self.manifest = bundle.manifest
        self._codec = codec
        self._onnx_path = bundle.onnx_path(onnx.default)
        ids = np.arange(codec.preprocessing.vocabulary_size)
        self._vectors: NDArray[np.float32] = ops.convert_to_numpy(builders.find_embedding(first)(ids))
        self._others = [ops.convert_to_numpy(weight) for weight in _list_others(first)]
        wanted = builders.build_review_network(
            settings.published,
            ReviewPreprocessing(tokeniser=_TOKENISER, vocabulary_size=settings.vocabulary_size, length=settings.length),
        )
        found, expected = (
            [weights[0].shape[1:], *(each.shape for each in weights[1:])]
            for weights in (
                [self._vectors, *self._others],
                [builders.find_embedding(wanted).weights[0], *_list_others(wanted)],
            )
        )
        if found != expected:
            raise RecipeError(
                f"the weights in {bundle.folder} have the shapes {found}, the weights of this recipe {expected}; "
                "set embedding and units to the values in the bundle's card"
            )

    def answer(self, texts: list[str], console: Console) -> NDArray[np.float32]:
        """Return its probabilities of positive, float32 [texts]."""
        rows = review_coding.code_each(self._codec, texts, "Asking the first network", console)
        return OnnxNetwork(self._onnx_path).predict(rows)[:, 0]

    def give_weights(self, network: keras.Model, codec: ReviewCodec) -> None:
        """Give its weights to a network with other words, each of which gets the vector that this network reads it as.

        An emoji that this network does not know gets the vector of its face, and a row of stars that of the rating.
        """
        given = np.empty((codec.preprocessing.vocabulary_size, self._vectors.shape[1]), np.float32)
        given[:RESERVED_IDS] = self._vectors[:RESERVED_IDS]
        for number, word in enumerate(codec.vocabulary, RESERVED_IDS):
            given[number] = self._vectors[self._find_id(word)]
        builders.find_embedding(network).set_weights([given])
        for weight, value in zip(_list_others(network), self._others, strict=True):
            weight.assign(value)

    def _find_id(self, word: str) -> int:
        number = self._codec.find_id(word)
        if number == self._codec.preprocessing.unknown_id:
            number = self._codec.find_id(ratings.find_tenths_of_row(word) or _TOKENISER.find_class(word) or word)
        return number


def _list_others(network: keras.Model) -> list[keras.Variable]:
    """Return the weights of a network behind its word vectors."""
    embedding = builders.find_embedding(network)
    return [weight for layer in network.layers if layer is not embedding for weight in layer.weights]
