"""One loaded model, compiled: network inputs to probabilities."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from app.recurrence import follows_length, rewrite
from bundle.errors import ManifestError
from bundle.letters import ALPHABET, LetterCodec
from bundle.store import Bundle

logger = logging.getLogger(__name__)

# XLA compiles once for each shape. The length needs no shapes of its own, as the network starts at the first step that
# is not padding; a batch is filled up to one of these by repeating its last row. Larger ones are seldom filled, as rows
# of like lengths are run together (benchmarks/engine.py).
BATCH_SIZES = (1, 4, 8)
# What is run beside a row, and how many steps of padding, changes how sums are rounded. That is 1e-7 in an answer, but
# 3e-6 with the large weights of a network that was trained for long on little. One of so few steps loses little by
# being run whole, and a single row beside copies of itself: then its answers are the same to the bit.
FEW_STEPS = 32
TOLERANCE = 1e-5  # between the answers of the compiled network and those of Keras


class Engine:
    """A Keras model compiled by XLA for a fixed set of batch sizes, all of them compiled when it is made.

    What a batch costs follows its longest row, if the network can be rewritten so, and not the length it was trained
    for; the answers are those of the whole length. `model.predict` is not used: in a service it leaks
    (keras-team/keras#13118) and costs a hundred times as much.
    """

    def __init__(
        self,
        model_path: Path,
        padding: NDArray[np.generic],
        example: NDArray[np.generic],
        outputs: int,
        threads: int = 1,
        batch_sizes: Sequence[int] = BATCH_SIZES,
    ) -> None:
        """Load a model and compile it.

        Args:
            model_path: a `.keras` file.
            padding: the input of a row that is nothing but padding, [1, steps, ...], of the dtype of all inputs.
            example: the input of a row without padding, of the same shape and dtype.
            outputs: how many numbers the network gives for a row.
            threads: processor cores that a batch may use; the same for all engines of a process.
            batch_sizes: numbers of rows to compile for, ascending.

        Raises:
            ManifestError: the network reads another shape, has another number of outputs, or gives no numbers.
        """
        is_whole = padding.shape[1] <= FEW_STEPS
        self.batch_sizes = [size for size in batch_sizes if size > 1] if is_whole else batch_sizes
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        network = keras.saving.load_model(model_path, compile=False)
        found, expected = (network.input_shape, network.output_shape), ((None, *padding.shape[1:]), (None, outputs))
        if found != expected:
            raise ManifestError(
                f"{model_path} maps {found[0]} to {found[1]}, its manifest says {expected[0]} to {expected[1]}; "
                "train the bundle again"
            )
        self._length = padding.shape[1]
        self._compile(network if is_whole else rewrite(network, padding), example)
        half, short, middle = padding.copy(), padding.copy(), padding.shape[1] // 2
        half[:, middle:] = example[:, middle:]
        short[:, -1] = example[:, -1]
        inputs = np.concatenate([short, half, example])
        # Eagerly, many steps would take seconds.
        call = network if is_whole else tf.function(lambda inputs: network(inputs, training=False))
        answers = np.asarray(call(inputs))
        if not np.isfinite(answers).all():
            raise ManifestError(f"{model_path} answers with NaN or infinity; train the bundle again")
        if self._agrees(inputs, answers):
            return
        if not is_whole:
            # Something before an LSTM mixes the steps, so that what stands in the padding depends on the row.
            logger.warning("%s runs every step of the padding: its layers mix steps", model_path)
            self._compile(network, example)
            if self._agrees(inputs, answers):
                return
        raise ManifestError(f"{model_path} answers otherwise than Keras when it is compiled; build it differently")

    def steps(self, row: NDArray[np.generic]) -> int:
        """Return how many steps an unpadded row, [steps, ...], takes: as many as it has, or always all."""
        return len(row) if self._follows_length else self._length

    def _agrees(self, inputs: NDArray[np.generic], answers: NDArray[np.float32]) -> bool:
        """Return whether every compiled program gives rows the answers of Keras, with one without padding or not."""
        without = len(inputs) - 1
        turns = [
            (first + np.arange(size)) % count
            for size in self.batch_sizes
            for count in ((without, len(inputs)) if size > 1 else (len(inputs),))
            for first in range(0, count, size)  # until all had a turn
        ]
        return all(abs(self._run_part(inputs[rows]) - answers[rows]).max() <= TOLERANCE for rows in turns)

    def run(self, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the network's outputs, float32 [rows, outputs], for inputs of any number of rows."""
        most = self.batch_sizes[-1]
        parts = [self._run_part(inputs[at : at + most]) for at in range(0, len(inputs), most)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _compile(self, network: keras.Model, example: NDArray[np.generic]) -> None:
        """Compile a network for all batch sizes."""
        self._network = network  # the compiled functions hold its variables only weakly
        self._follows_length = follows_length(network)
        function = tf.function(lambda inputs: network(inputs, training=False), jit_compile=True)
        traced = {}
        for size in self.batch_sizes:
            inputs = tf.TensorSpec((size, *example.shape[1:]), example.dtype)
            traced[size] = _call_directly(function.get_concrete_function(inputs))
        self._compiled: dict[int, Callable[[NDArray[Any]], NDArray[np.float32]]] = traced
        with ThreadPoolExecutor() as threads:  # XLA compiles what is run for the first time, beside Python
            list(threads.map(lambda size: self._run_part(np.repeat(example, size, axis=0)), self.batch_sizes))

    def _run_part(self, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        size = next(size for size in self.batch_sizes if size >= len(inputs))
        filled = inputs if size == len(inputs) else inputs[np.minimum(np.arange(size), len(inputs) - 1)]
        return self._compiled[size](filled)[: len(inputs)]


def _call_directly(function: tf.types.experimental.ConcreteFunction) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a compiled function that is called without matching its arguments first: 0.07 ms less each time."""
    run, captured = function.inference_fn.call_preflattened, list(function.captured_inputs)

    def call(inputs: NDArray[Any]) -> NDArray[np.float32]:
        outputs: NDArray[np.float32] = run([tf.constant(inputs), *captured]).numpy()
        return outputs

    return call


def load_engine(bundle: Bundle, threads: int = 1) -> Engine:
    """Return the compiled network of a bundle: see `Engine`."""
    codec, length = bundle.codec, bundle.manifest.preprocessing.length
    if isinstance(codec, LetterCodec):
        letters = codec.encode("".join(islice(cycle(ALPHABET), length)))
        padding, example, outputs = codec.pad([letters[:0]]), codec.pad([letters]), len(bundle.manifest.labels)
        return Engine(bundle.model_path, padding, example, outputs, threads)
    ids = codec.encode(" ".join(islice(cycle(codec.vocabulary), length))).ids
    return Engine(bundle.model_path, codec.pad([ids[:0]]), codec.pad([ids]), outputs=1, threads=threads)
