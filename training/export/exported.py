"""The network of a bundle as ONNX: exported, compared with Keras, and in 8 bits if that costs no accuracy."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.external_data_helper import set_external_data
from rich.console import Console

from bundle.codec import Codec
from bundle.manifest import Onnx, OnnxForm, Precision
from bundle.onnx_session import OnnxSession
from bundle.rows import Row
from bundle.store import ONNX_FILES, VECTORS_FILE
from training.data.examples import Examples
from training.errors import ExportError
from training.export.builder import OPSET
from training.export.graph import translate
from training.export.layers import SCALES, VECTORS
from training.export.padding_states import find_states
from training.export.quantisation import has_vectors_of_8_bits, quantise
from training.export.rows import make_rows, to_rows
from training.networks.onnx_network import OnnxNetwork
from training.tasks import find_task

TOLERANCE = 1e-5  # largest allowed difference between the answers of ONNX and Keras
LOST_ACCURACY = 0.001  # largest allowed loss of accuracy on held-out examples by 8 bits
FIGURES = ("accuracy", "loss", "calibration_error")  # reported for both forms

_REAL_ROWS = 64  # number of real rows that are compared
_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_SECONDS_BESIDES = 50e-6  # the service's own time for a batch, besides the network
_REPEATS = 7


@dataclass(frozen=True)
class Exported:
    """The manifest's description of a network as ONNX, and the form that serves."""

    onnx: Onnx
    network: OnnxNetwork


def export(
    network: keras.Model,
    codec: Codec,
    folder: Path,
    real: Sequence[Row],
    console: Console,
    held_out: Examples | None = None,
    quantised: bool | None = None,
) -> Exported:
    """Write a network into the folder of a bundle as ONNX, and compare it with Keras.

    Args:
        network: the network of the bundle, as it was saved.
        codec: the codec of its rows.
        folder: the folder for the files.
        real: rows to compare, besides random rows of extreme lengths.
        console: shows the progress and why a form was refused.
        held_out: examples that it was not trained on; the accuracy of the 8-bit form is checked on them.
        quantised: whether to require an 8-bit form; by default it is added if the word vectors have 8 bits and it
            costs no accuracy.

    Raises:
        ExportError: a layer cannot be exported, or the answers differ; the folder is left as it was.
    """
    rows = [*real[:_REAL_ROWS], *make_rows(codec)]
    expected = network.predict(codec.pad(rows), verbose=0)
    find = partial(find_states, codec=codec)
    graph = translate(network, codec, find)
    models: dict[Precision, onnx.ModelProto] = {"float32": graph.model}
    with TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        _write(models, scratch)
        forms: dict[Precision, OnnxForm] = {"float32": _examine("float32", rows, expected, scratch)}
        if has_vectors_of_8_bits(network) if quantised is None else quantised:
            try:
                models["int8"] = quantise(translate(network, codec, find, with_anchors=True))
                _write(models, scratch)
                forms["int8"] = _examine("int8", rows, expected, scratch)
                forms = _judge(forms, codec, held_out, scratch)
            except Exception as error:  # any error of ONNX: the 32-bit form is still good
                if quantised:
                    raise
                console.print(f"Exported in 32 bits only: {describe(error)}", markup=False, style="yellow")
                forms = {"float32": forms["float32"]}
        default: Precision = "int8" if "int8" in forms else "float32"
        for precision in models.keys() - forms.keys():
            (scratch / ONNX_FILES[precision]).unlink(missing_ok=True)
        for path in scratch.iterdir():
            path.replace(folder / path.name)
    described = Onnx(opset=OPSET, every_step=graph.every_step, compared_rows=len(rows), forms=forms, default=default)
    return Exported(described, OnnxNetwork(folder / ONNX_FILES[default]))


def describe(error: Exception) -> str:
    """Return why an export failed; for errors of ONNX itself with their type, as their messages may be short."""
    return str(error) if isinstance(error, ExportError) else repr(error)


def _examine(precision: Precision, rows: Sequence[Row], expected: NDArray[np.float32], folder: Path) -> OnnxForm:
    """Return the manifest's description of one form, run with one thread as in the service.

    Raises:
        ExportError: its answers differ from Keras, or depend on the batch.
    """
    network = OnnxSession(folder / ONNX_FILES[precision])
    alone = np.concatenate([network.run([row]) for row in rows])
    for size in (*_BATCH_SIZES, len(rows)):
        for at in range(0, len(rows), size):  # the last batch may be smaller
            if not np.array_equal(network.run(rows[at : at + size]), alone[at : at + size], equal_nan=True):
                raise ExportError(f"an answer of ONNX Runtime depends on the other rows of a batch of {size}")
    # The mean over no steps is undefined: both answer with NaN.
    difference = float(abs(np.where(np.isnan(expected) & np.isnan(alone), 0, alone - expected)).max())
    if precision == "float32" and not difference <= TOLERANCE:
        raise ExportError(f"the answers of ONNX differ from Keras by {difference:.1e}; {TOLERANCE:.0e} is allowed")
    return OnnxForm(file=ONNX_FILES[precision], batch_rows=_find_batch_size(network, rows), difference=difference)


def _find_batch_size(network: OnnxSession, rows: Sequence[Row]) -> int:
    """Return the best batch size for these rows; as in the service, a batch has rows of similar lengths."""
    ordered = sorted(rows, key=len)
    seconds = dict.fromkeys(_BATCH_SIZES, np.inf)
    for _ in range(_REPEATS):
        for size in _BATCH_SIZES:
            batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
            started = time.perf_counter()
            for batch in batches:
                network.run(batch)
            taken = time.perf_counter() - started + len(batches) * _SECONDS_BESIDES
            seconds[size] = min(seconds[size], taken)
    return min(_BATCH_SIZES, key=seconds.__getitem__)


def _judge(
    forms: Mapping[Precision, OnnxForm], codec: Codec, held_out: Examples | None, folder: Path
) -> dict[Precision, OnnxForm]:
    """Return both forms with their figures on held-out examples.

    Raises:
        ExportError: the form of 8 bits is less accurate, or no examples were held out.
    """
    if held_out is None:
        raise ExportError("8 bits need held-out examples to check their accuracy; train with validation_share over 0")
    rows = to_rows(held_out, codec)
    figures = {}
    for precision in forms:
        answers = OnnxNetwork(folder / ONNX_FILES[precision]).predict(rows)
        metrics = find_task(codec).evaluate(codec, answers, held_out.labels).metrics
        figures[precision] = {name: metrics[name] for name in FIGURES if name in metrics}
    lost = figures["float32"]["accuracy"] - figures["int8"]["accuracy"]
    if lost > LOST_ACCURACY:
        raise ExportError(
            f"8 bits lose {lost:.2%} of the accuracy on {len(rows):,} held-out examples; {LOST_ACCURACY:.1%} is allowed"
        )
    return {precision: form.model_copy(update={"held_out": figures[precision]}) for precision, form in forms.items()}


def _write(models: Mapping[Precision, onnx.ModelProto], folder: Path) -> None:
    """Write models into a folder; their shared word vectors are in a separate file."""
    vectors = b""
    places: dict[str, tuple[int, bytes]] = {}
    for precision, model in models.items():
        copy: Any = onnx.ModelProto()
        copy.CopyFrom(model)
        for tensor in copy.graph.initializer:
            if tensor.name not in (VECTORS, SCALES):
                continue
            contents = tensor.raw_data
            if tensor.name not in places:
                places[tensor.name] = len(vectors), contents
                vectors += contents
            start, known = places[tensor.name]
            assert known == contents, "This is a bug: the forms of a network have the same word vectors"
            set_external_data(tensor, VECTORS_FILE, offset=start, length=len(contents))
            tensor.ClearField("raw_data")
        (folder / ONNX_FILES[precision]).write_bytes(copy.SerializeToString())
    if vectors:
        (folder / VECTORS_FILE).write_bytes(vectors)
