"""Ways to run one Keras network on padded reviews: those of Keras and TensorFlow, and that of the service.

Belongs to `engine`, and imports `app.engine`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from app.engine import BATCH_SIZES, Engine
from app.recurrence import rewrite
from benchmarks import reviews

OURS = "ours"
_CALLS = 200  # at most, to time one

Ids = NDArray[np.int32]
Run = Callable[[Ids], NDArray[np.float32]]


@dataclass(frozen=True)
class Way:
    """A way to run a network; `prepare` takes rows and words, and returns what runs that many, compiled and warm."""

    name: str
    meaning: str
    prepare: Callable[[int, int], Run]


class Subject:
    """One bundle, with real words to read and everything that runs it."""

    def __init__(self, name: str, texts: Sequence[str], threads: int) -> None:
        """Load it; all subjects of a process have the same number of threads."""
        self.name = name
        self.bundle, self.codec = reviews.open_bundle(name)
        self.words = np.concatenate([self.codec.encode(text).ids for text in texts])
        self.length = self.codec.preprocessing.length
        self.network = keras.saving.load_model(self.bundle.model_path, compile=False)
        self.padding = self.codec.pad([self.words[:0]])
        self.threads = threads
        self.engine = self._make_engine()

    def inputs(self, rows: int, words: int) -> Ids:
        """Return real text cut into rows of as many words, padded by the codec, int32 [rows, length]."""
        return self.codec.pad(list(self.words[: rows * words].reshape(rows, words)))

    def ways(self) -> list[Way]:
        """Return every way, the slowest first."""
        whole = tf.function(
            lambda ids: self.network(ids, training=False),
            input_signature=[tf.TensorSpec((None, self.length), tf.int32)],
        )
        source = self.network.inputs[0]
        grid = keras.models.clone_model(
            keras.Model(source, self.network.outputs[0]),  # a Sequential one cannot be called on another input
            input_tensors=keras.Input((None,), dtype=source.dtype),
            clone_function=lambda layer: layer,
        )

        @cache
        def compile_full(rows: int) -> Run:
            return compile_network(self.network, rows, self.length)

        def prepare_grid(rows: int, words: int) -> Run:
            run = compile_network(grid, rows, words)
            return lambda inputs: run(inputs[:, -words:])

        def eager(inputs: Ids) -> NDArray[np.float32]:
            return self.network(inputs, training=False).numpy()  # type: ignore[no-any-return]

        def predict(inputs: Ids) -> NDArray[np.float32]:
            return self.network.predict(inputs, batch_size=len(inputs), verbose=0)  # type: ignore[no-any-return]

        return [
            Way("eager", "`network(inputs)`", lambda *_: eager),
            Way("predict", "`network.predict(inputs)`", lambda *_: predict),
            Way("tf.function", "one for all batches, of the full length", lambda *_: lambda ids: whole(ids).numpy()),
            Way(
                "XLA, full",
                "`jit_compile=True`, for each batch size at the full length",
                lambda rows, _: compile_full(rows),
            ),
            Way("XLA, grid", "`jit_compile=True`, for each batch size and length, without the padding", prepare_grid),
            Way(OURS, "`app.engine.Engine.run`, on input of the full length", lambda *_: self.engine.run),
        ]

    def prepare_size(self, rows: int) -> Run:
        """Return what runs batches on an engine that has compiled this one size of them."""
        return self._make_engine([rows]).run

    def time_compilation(self, rows: int) -> float:
        """Return the seconds that compiling the network takes for one size of batches, as the engine does it."""
        network = rewrite(self.network, self.padding)
        started = time.perf_counter()
        compile_network(network, rows, self.length)
        return time.perf_counter() - started

    def _make_engine(self, batch_sizes: Sequence[int] = BATCH_SIZES) -> Engine:
        example = self.codec.pad([self.words[: self.length]])
        return Engine(self.bundle.model_path, self.padding, example, 1, self.threads, batch_sizes)


def compile_network(network: keras.Model, rows: int, steps: int) -> Run:
    """Return a network compiled by XLA for one shape; it has run once, as that is when XLA compiles."""
    function = tf.function(lambda ids: network(ids, training=False), jit_compile=True)
    compiled = function.get_concrete_function(tf.TensorSpec((rows, steps), tf.int32))

    def run(inputs: Ids) -> NDArray[np.float32]:
        return compiled(tf.constant(inputs)).numpy()  # type: ignore[no-any-return]

    run(np.ones((rows, steps), np.int32))
    return run


def time_call(run: Callable[[], object], budget: float) -> float:
    """Return the median seconds of a call: of at least one, and of as many as begin within `budget` seconds."""
    found: list[float] = []
    end = time.perf_counter() + budget
    while len(found) < _CALLS and (not found or time.perf_counter() < end):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return median(found)
