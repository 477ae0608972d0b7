"""Ways to run the network of one bundle on unpadded reviews: Keras, TensorFlow, and the engines of the service.

Belongs to `engine`, and imports the engines of `app`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from app.engines.onnx import OnnxEngine
from app.engines.tensorflow import TensorFlowEngine
from benchmarks import reviews
from bundle.rows import Row
from bundle.store import ONNX_FILES

_CALLS = 200  # most calls for one timing

Run = Callable[[Sequence[Row]], NDArray[np.float32]]


@dataclass(frozen=True)
class Way:
    """A way to run a network; `run` takes unpadded rows."""

    name: str
    meaning: str
    run: Run


class Subject:
    """One bundle, with real words as input and all ways to run it."""

    def __init__(self, name: str, texts: Sequence[str], threads: int) -> None:
        """Load the bundle; all subjects of a process have the same number of threads.

        Raises:
            BundleError: it cannot be opened, or has no ONNX file.
        """
        self.name = name
        self.bundle, self.codec = reviews.open_bundle(name)
        self.length = self.codec.length
        self._words = np.concatenate([self.codec.encode(text).ids for text in texts])
        self._network = keras.saving.load_model(self.bundle.model_path, compile=False)
        described = self.bundle.manifest.onnx
        assert described is not None, f"export {self.bundle.folder} first"
        self._engines = {precision: OnnxEngine(self.bundle, precision, threads) for precision in described.forms}
        self.batch_rows = self._engines[described.default].batch_rows
        self.onnx = [_name(precision) for precision in self._engines]
        self.ours = _name(described.default)
        self.ways = self._list_ways(threads)

    def rows(self, count: int, words: int) -> list[Row]:
        """Return real text cut into `count` rows, int32 [words] each."""
        return list(self._words[: count * words].reshape(count, words))

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers of Keras, float32 [rows, 1]."""
        answers: NDArray[np.float32] = self._network.predict(self.codec.pad(rows), batch_size=len(rows), verbose=0)
        return answers

    def _list_ways(self, threads: int) -> list[Way]:
        network, codec = self._network, self.codec
        signature = [tf.TensorSpec((None, self.length), tf.int32)]
        function = tf.function(lambda ids: network(ids, training=False), input_signature=signature)

        def call(rows: Sequence[Row]) -> NDArray[np.float32]:
            answers: NDArray[np.float32] = function(codec.pad(rows)).numpy()
            return answers

        engine = TensorFlowEngine(self.bundle, threads)
        return [
            Way("Keras predict", "`network.predict`, padded to the full length", self.predict),
            Way("tf.function", "one for all batches, padded to the full length", call),
            Way("TensorFlow engine", "`LSTM_SERVE_ENGINE=tensorflow`: XLA, row by row at the full length", engine.run),
            *(
                Way(_name(precision), f"`{ONNX_FILES[precision]}`, which leaves padding out", onnx.run)
                for precision, onnx in self._engines.items()
            ),
        ]


def time_call(run: Callable[[], object], budget: float) -> float:
    """Return the median seconds of a call, over all calls that begin within `budget` seconds, at least one."""
    found: list[float] = []
    end = time.perf_counter() + budget
    while len(found) < _CALLS and (not found or time.perf_counter() < end):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return median(found)


def _name(precision: str) -> str:
    return f"ONNX {precision}"
