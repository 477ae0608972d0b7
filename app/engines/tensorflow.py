"""Runs the Keras file of a bundle with TensorFlow: for networks that cannot be exported to ONNX, and to compare.

The only module of the service that imports TensorFlow and Keras, which takes seconds.
"""

import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # XLA does not use them, and TensorFlow prints a line about them
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own is set to

# Before TensorFlow, which has the kernel give the process the matrix units that `bundle.amx` keeps from ONNX Runtime.
import bundle.onnx_session  # noqa: F401, I001

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from app.engines.base import check
from bundle.errors import ManifestError
from bundle.rows import Row
from bundle.store import Bundle


class TensorFlowEngine:
    """One function of the whole length, compiled by XLA for a single row.

    `model.predict` is not used: in a service it leaks (keras-team/keras#13118) and costs a hundred times as much.
    """

    batch_rows = 1  # rows that are run together change each other's last digits

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Load a network, compile it and run it once; all engines of a process use as many threads.

        Raises:
            ManifestError: the network does not fit its manifest.
        """
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        network = keras.saving.load_model(bundle.model_path, compile=False)
        self._codec = bundle.codec
        empty = self._codec.pad([])
        expected = empty.shape[1:]
        if network.input_shape[1:] != expected:
            raise ManifestError(
                f"{bundle.model_path} reads rows of the shape {network.input_shape[1:]}, its manifest says {expected}; "
                "train the bundle again"
            )
        self._network = network  # the function holds its variables only weakly
        # The number of rows is left open: where it is 1, Keras takes an array that is added to the steps for a bias.
        inputs = tf.TensorSpec((None, *expected), empty.dtype)
        self._run = tf.function(lambda rows: network(rows, training=False), input_signature=[inputs], jit_compile=True)
        check(self, bundle)

    def count_steps(self, _: Row) -> int:
        """Return how many steps a row takes: see `Engine`."""
        return self._codec.length

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows, float32 [rows, outputs]: see `Engine`."""
        return np.concatenate([self._run(self._codec.pad([row])).numpy() for row in rows])
