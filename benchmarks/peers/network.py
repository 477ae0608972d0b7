"""The model as every peer runs it: coded by the bundle, padded to its full length, one `tf.function` without retracing.

`model.predict` and the padding are what the peers' users have, as none of these servers offers anything for sequences.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.reviews import ReviewCodec
from bundle.store import open_bundle


class Network:
    """The Keras model of the bundle that the environment variable `BENCHMARK_BUNDLE` names."""

    def __init__(self) -> None:
        """Load the model and trace the function."""
        # Here, so that of a server's several processes only the one that runs the model pays for TensorFlow.
        import keras
        import tensorflow as tf

        bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
        assert isinstance(bundle.codec, ReviewCodec)
        self._codec = bundle.codec
        self.model: Any = keras.saving.load_model(bundle.model_path, compile=False)
        signature = [tf.TensorSpec((None, self._codec.preprocessing.length), tf.int32)]
        self._function = tf.function(lambda ids: self.model(ids, training=False), input_signature=signature)
        self.run([""])

    def encode(self, texts: list[str]) -> NDArray[np.int32]:
        """Return the network's input, int32 [texts, length]."""
        return self._codec.pad([self._codec.encode(text).ids for text in texts])

    def run(self, texts: list[str]) -> list[float]:
        """Return the probability that each text is positive."""
        probabilities: list[float] = self._function(self.encode(texts)).numpy()[:, 0].tolist()
        return probabilities
