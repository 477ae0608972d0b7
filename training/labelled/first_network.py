"""The network of a bundle that a training on the user's texts begins with: its words, weights and answers.

Its words keep their ids. Frequent words of the new texts are added behind them; each begins with the vector of the
ending that the network reads it by. Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
Classification"; its lower rates for the layers below are left out, because they cost accuracy here.
"""

from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bundle.reviews import RESERVED_IDS, ReviewCodec, ReviewPreprocessing
from bundle.splitting import ENDING
from bundle.store import Bundle
from bundle.tasks import SENTIMENT, count_outputs
from training.errors import RecipeError
from training.networks import builders
from training.networks.onnx_network import OnnxNetwork

_POOLED = 4  # mean and maximum of two directions


class FirstNetwork:
    """The network of a bundle of a bidirectional LSTM with pooled states.

    Attributes:
        codec: its codec.
        tokeniser: its tokeniser.
        labels: its labels.
        embedding: components of its word vectors.
        units: units of its LSTM of each direction.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Read the bundle.

        Raises:
            RecipeError: it has another network, or other words.
        """
        codec, onnx = bundle.codec, bundle.manifest.onnx
        if not (
            isinstance(codec, ReviewCodec)
            and isinstance(codec.preprocessing, ReviewPreprocessing)
            and codec.preprocessing.tokeniser.keeps_case
            and onnx
        ):
            raise RecipeError(f"{bundle.folder} is no bundle of the recipes sentiment or reviews; name one with --from")
        network = keras.saving.load_model(bundle.model_path)
        lstms = [layer for layer in network.layers if isinstance(layer, keras.layers.Bidirectional)]
        heads = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        outputs = count_outputs(bundle.manifest.labels)
        self.units = lstms[0].forward_layer.units if lstms else 0
        # A published network may have a sharpness behind its logits: the outputs of the first layer, and the same
        # divided by the length.
        shapes = [tuple(layer.kernel.shape) for layer in heads]
        if len(lstms) != 1 or shapes not in (
            [(_POOLED * self.units, outputs)],
            [(_POOLED * self.units, outputs), (2 * outputs, outputs)],
        ):
            raise RecipeError(
                f"{bundle.folder} is no bidirectional LSTM with pooled states and one layer behind them; name a bundle "
                "of the recipes sentiment or reviews with --from"
            )
        self.codec = codec
        self.tokeniser = codec.preprocessing.tokeniser
        self.labels = bundle.manifest.labels
        ids = np.arange(codec.preprocessing.vocabulary_size)
        self._vectors: NDArray[np.float32] = ops.convert_to_numpy(builders.find_embedding(network)(ids))  # of 8 bits
        self.embedding = self._vectors.shape[1]
        self._lstm = lstms[0].get_weights()
        self._kernel, self._bias = heads[0].get_weights()
        if len(heads) > 1:
            factors, shift = heads[1].get_weights()
            self._kernel, self._bias = factors[0, 0] * self._kernel, factors[0, 0] * self._bias + shift
        self._onnx_path = bundle.onnx_path(onnx.default)

    def answer(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return its answers to texts, float32 [texts, outputs]."""
        return OnnxNetwork(self._onnx_path).predict([self.codec.encode(text).ids for text in texts])

    def extend(self, counts: Counter[str], most: int, least_count: int, length: int) -> ReviewCodec:
        """Return a codec with its words and at most `most` others, which occur at least `least_count` times."""
        preprocessing = self.codec.preprocessing
        assert isinstance(preprocessing, ReviewPreprocessing)
        words = [*self.codec.vocabulary]
        frequent = (word for word, count in counts.most_common() if count >= least_count)
        added = [word for word in frequent if not self._knows(word)][:most]
        changes = {"vocabulary_size": preprocessing.vocabulary_size + len(added), "length": length}
        return ReviewCodec(preprocessing.model_copy(update=changes), words + added)

    def give_weights(self, network: keras.Model, codec: ReviewCodec, labels: Sequence[str]) -> None:
        """Give its weights to a network with the words of an extended codec.

        The last layer begins with its weights if the labels are the same, or for the columns of negative and positive;
        else it stays as it is.
        """
        added = codec.vocabulary[len(self.codec.vocabulary) :]
        given = (
            [self._vectors, self._vectors[[self.codec.find_id(word) for word in added]]] if added else [self._vectors]
        )
        builders.find_embedding(network).set_weights([np.concatenate(given)])
        lstm = next(layer for layer in network.layers if isinstance(layer, keras.layers.Bidirectional))
        lstm.set_weights(self._lstm)
        head = network.layers[-1]
        if have_same_meaning(labels, self.labels):
            head.set_weights([self._kernel, self._bias])
        elif len(self.labels) == 2 and find_sides(self.labels) == [0, 1] and (sides := find_sides(labels)):
            kernel, bias = head.get_weights()
            for side, sign in zip(sides, (-0.5, 0.5), strict=True):
                kernel[:, side], bias[side] = sign * self._kernel[:, 0], sign * self._bias[0]
            head.set_weights([kernel, bias])

    def _knows(self, word: str) -> bool:
        number = self.codec.find_id(word)
        if number < RESERVED_IDS:
            return False
        return not self.codec.vocabulary[number - RESERVED_IDS].startswith(ENDING)


def have_same_meaning(labels: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether labels are the same, also `neg` and `pos` as `negative` and `positive`."""
    return tuple(labels) == tuple(others) or (
        len(labels) == len(others) == 2 and find_sides(labels) == find_sides(others) == [0, 1]
    )


def find_sides(labels: Sequence[str]) -> list[int]:
    """Return the places of negative and positive among labels; none if one is missing, or is there twice."""
    folded = [label.casefold() for label in labels]
    places = [[place for place, label in enumerate(folded) if label in (name, name[:3])] for name in SENTIMENT.labels]
    return [place for (place,) in places] if all(len(found) == 1 for found in places) else []
