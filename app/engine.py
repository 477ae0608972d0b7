"""One loaded model, compiled: network inputs to probabilities."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Read when TensorFlow and Keras are imported; the backend whatever the user's Keras is set to.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from bundle.errors import ManifestError  # noqa: E402

# XLA compiles once for each shape, so a batch is filled up to one of these by repeating its last row.
BATCH_SIZES = (1, 8, 32)


class Engine:
    """A Keras model compiled by XLA for a fixed set of batch sizes, all of them compiled when it is made.

    `model.predict` is not used: in a service it leaks (keras-team/keras#13118) and costs a hundred times as much.
    """

    def __init__(self, model_path: Path, example: NDArray[np.generic], outputs: int) -> None:
        """Load a model and compile it for inputs of the dtype and shape of the example, [1, ...].

        Raises:
            ManifestError: the network reads another shape, has another number of outputs, or gives no numbers.
        """
        network = keras.saving.load_model(model_path, compile=False)
        found, expected = (network.input_shape, network.output_shape), ((None, *example.shape[1:]), (None, outputs))
        if found != expected:
            raise ManifestError(
                f"{model_path} maps {found[0]} to {found[1]}, its manifest says {expected[0]} to {expected[1]}; "
                "train the bundle again"
            )
        self._network = network  # the compiled functions hold its variables only weakly
        function = tf.function(lambda inputs: network(inputs, training=False), jit_compile=True)
        self._compiled = {
            size: function.get_concrete_function(tf.TensorSpec((size, *example.shape[1:]), example.dtype))
            for size in BATCH_SIZES
        }
        for size in BATCH_SIZES:
            if not np.isfinite(self.run(np.repeat(example, size, axis=0))).all():
                raise ManifestError(f"{model_path} answers with NaN or infinity; train the bundle again")

    def run(self, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the network's outputs, float32 [rows, outputs], for inputs of any number of rows."""
        parts = [self._run_part(inputs[at : at + BATCH_SIZES[-1]]) for at in range(0, len(inputs), BATCH_SIZES[-1])]
        return np.concatenate(parts)

    def _run_part(self, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        size = next(size for size in BATCH_SIZES if size >= len(inputs))
        filled = inputs[np.minimum(np.arange(size), len(inputs) - 1)]
        outputs: NDArray[np.float32] = self._compiled[size](tf.constant(filled)).numpy()
        return outputs[: len(inputs)]
