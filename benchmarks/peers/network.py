"""The model for every peer with TensorFlow: coded by the bundle, padded, one `tf.function` without retracing.

A batch is padded to its longest text if padding changes no answer, else to the bundle's full length. Users of these
servers can do the same; the servers themselves have no support for sequences. `model.predict` would trace every new
length, so it always gets the full length.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.reviews import ReviewCodec
from bundle.store import open_bundle

_TEXT = "A tender, wonderful film."
_TOLERANCE = 1e-5


class Network:
    """The Keras model of the bundle that the environment variable `BENCHMARK_BUNDLE` names."""

    def __init__(self) -> None:
        """Load the model and trace the function."""
        # Imported here, so that only the process that runs the model loads TensorFlow.
        import keras
        import tensorflow as tf

        bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
        assert isinstance(bundle.codec, ReviewCodec)
        self._codec = bundle.codec
        self.model: Any = keras.saving.load_model(bundle.model_path, compile=False)
        network = self.model
        length: int | None = self._codec.preprocessing.length
        any_length = keras.models.clone_model(
            keras.Model(network.inputs[0], network.outputs[0]), input_tensors=keras.Input((None,), dtype="int32")
        )
        any_length.set_weights(network.get_weights())
        padded = self.encode([_TEXT])
        self._pads_to_longest = bool(abs(any_length(self._cut(padded)) - network(padded)).numpy().max() < _TOLERANCE)
        if self._pads_to_longest:
            network, length = any_length, None
        signature = [tf.TensorSpec((None, length), tf.int32)]
        self._function = tf.function(lambda ids: network(ids, training=False), input_signature=signature)
        self.run([_TEXT])

    def encode(self, texts: list[str]) -> NDArray[np.int32]:
        """Return the network's input, int32 [texts, length]."""
        return self._codec.pad([self._codec.encode(text).ids for text in texts])

    def run(self, texts: list[str]) -> list[float]:
        """Return the probability that each text is positive."""
        ids = self.encode(texts)
        probabilities: list[float] = (
            self._function(self._cut(ids) if self._pads_to_longest else ids).numpy()[:, 0].tolist()
        )
        return probabilities

    def _cut(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the ids without the padding that all rows share; at least one step remains."""
        present = (ids != self._codec.preprocessing.padding_id).any(axis=0)
        return ids[:, min(int(present.argmax()), ids.shape[1] - 1) :]
