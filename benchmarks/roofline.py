"""How near a batch comes to what the machine can do: its peak of multiply-adds, and of bytes from memory.

Belongs to `engine`. Source of the model: Williams, Waterman, Patterson 2009, "Roofline: an insightful visual
performance model for multicore architectures".
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.ways import time_call

_SIZES = (256, 512, 1024, 2048)
_COPIED_BYTES = 256 * 1024 * 1024  # many times any cache
_BUDGET_SECONDS = 0.3
_LOOP_STEPS = 256
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Peak:
    """What the machine can do with so many threads: float32 operations, and bytes read and written, a second."""

    threads: int
    operations: float
    operations_by: str
    bytes: float


@dataclass(frozen=True)
class Work:
    """What one row and step takes, in float32 operations, a multiplication and an addition being two.

    `bytes` are those that have to come from memory and go there: what the step reads of its word, and the state if
    later layers read it. The weights of the recurrence stay in the cache.
    """

    name: str
    operations: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.operations / self.bytes

    def bound(self, peak: Peak) -> float:
        """Return the most operations a second that the roofline allows."""
        return min(peak.operations, self.intensity * peak.bytes)


def measure_peak(threads: int) -> Peak:
    """Return the best of several matrix products, by NumPy and TensorFlow, and of large copies."""
    found: dict[str, float] = {}
    with threadpool_limits(threads):
        for size in _SIZES:
            left, right = np.random.default_rng(7).random((2, size, size), np.float32)
            first, second = tf.constant(left), tf.constant(right)
            products: dict[str, Callable[[], object]] = {
                "NumPy": lambda left=left, right=right: left @ right,  # type: ignore[misc]
                "TensorFlow": lambda first=first, second=second: (first @ second).numpy()[0, 0],  # type: ignore[misc]
            }
            for name, product in products.items():
                product()
                found[f"{name}, {size} x {size}"] = 2 * size**3 / _time_best(product)
    best = max(found, key=lambda name: found[name])
    return Peak(threads, found[best], best, _measure_copy(threads))


def count_work(network: keras.Model) -> tuple[Work, Work]:
    """Return what a step takes as Keras computes it, and as the service does: with the input product looked up.

    The LSTMs have to read an embedding.
    """
    keras_operations = our_operations = keras_bytes = our_bytes = 0
    for layer in network._flatten_layers():
        if type(layer) is not layers.LSTM:
            continue
        features, units = layer.cell.kernel.shape[0], layer.units
        shown = units if layer.return_sequences else 0
        keras_operations += 2 * (features + units) * 4 * units
        our_operations += 2 * units * 4 * units
        keras_bytes += _FLOAT_BYTES * (features + shown)
        our_bytes += _FLOAT_BYTES * (4 * units + shown)
    return Work("as Keras computes it", keras_operations, keras_bytes), Work("executed", our_operations, our_bytes)


def time_parts(units: int, rows: int) -> tuple[float, float]:
    """Return the seconds a step of the recurrent product alone, and of the gates alone, in loops compiled by XLA."""
    generator = np.random.default_rng(7)
    rotation = np.linalg.qr(generator.standard_normal((units, units)))[0]  # neither grows nor dies away
    weights = tf.constant(np.tile(rotation / 4, 4).astype(np.float32))
    projected = [tf.constant(generator.standard_normal((rows, units)).astype(np.float32)) for _ in range(4)]
    hidden = tf.constant(generator.standard_normal((rows, units)).astype(np.float32))

    def multiply(hidden: tf.Tensor, carry: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.add_n(tf.split(hidden @ weights, 4, axis=1)), carry

    def gate(hidden: tf.Tensor, carry: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        input_gate, forget_gate, candidate, output_gate = (tf.tanh(one + hidden) for one in projected)
        carry = (0.5 + 0.5 * forget_gate) * carry + (0.5 + 0.5 * input_gate) * candidate
        return (0.5 + 0.5 * output_gate) * tf.tanh(carry), carry

    product, gates = (_time_step(body, hidden) for body in (multiply, gate))
    return product, gates


def _time_step(body: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]], hidden: tf.Tensor) -> float:
    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def loop(steps: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda number, *_: number < steps,
            lambda number, hidden, carry: (number + 1, *body(hidden, carry)),
            (0, hidden, hidden),
        )[1]

    few, many = tf.constant(_LOOP_STEPS), tf.constant(5 * _LOOP_STEPS)
    loop(few, hidden)
    # The difference leaves out what a call costs.
    seconds = _time_best(lambda: loop(many, hidden).numpy()) - _time_best(lambda: loop(few, hidden).numpy())
    return seconds / (4 * _LOOP_STEPS)


def _measure_copy(threads: int) -> float:
    """Return the bytes a second, read and written, of copies by as many threads at a time."""
    source = np.ones(_COPIED_BYTES // _FLOAT_BYTES, np.float32)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))

        copy()
        return 2 * _COPIED_BYTES / _time_best(copy)


def _time_best(run: Callable[[], object]) -> float:
    """Return the seconds of the best of several tries: a peak is what can be reached."""
    found: list[float] = []
    end = time.perf_counter() + _BUDGET_SECONDS
    while not found or time.perf_counter() < end:
        found.append(time_call(run, 0))
    return min(found)
