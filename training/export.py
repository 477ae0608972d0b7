"""The network of a bundle as ONNX: exported, compared with Keras, and in 8 bits where that costs no accuracy."""

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
from onnx import helper
from onnx.external_data_helper import set_external_data
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.manifest import Onnx, OnnxForm, Precision
from bundle.onnx_session import OnnxSession
from bundle.rows import Row
from bundle.store import ONNX_FILES, VECTORS_FILE
from training.errors import ExportError
from training.evaluate import evaluate
from training.fit import Examples
from training.onnx_builder import OPSET
from training.onnx_graph import SCALES, VECTORS, Codec, Graph, translate
from training.onnx_network import OnnxNetwork, find_states

TOLERANCE = 1e-5  # between the answers of a network as ONNX and those of Keras
LOST_ACCURACY = 0.001  # at most, of held-out examples, by 8 bits
FIGURES = ("accuracy", "loss", "calibration_error")  # reported for both forms

_REAL_ROWS = 64  # that are compared
_SHORT_ROWS = 16  # every length up to this one is compared, and as many up to the longest
_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_SECONDS_BESIDES = 50e-6  # what the service takes for a batch besides the network
_REPEATS = 7


@dataclass(frozen=True)
class Exported:
    """What the manifest says of a network as ONNX, and the form that serves."""

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
        network: the one that the bundle has, as it was saved.
        codec: of what it reads.
        folder: where the files are written.
        real: rows to compare, besides made-up ones of extreme lengths.
        console: where progress and refusals are printed.
        held_out: examples that it was not trained on, by which a form of 8 bits is accepted.
        quantised: whether there has to be a form of 8 bits; by default there is one if the word vectors have 8 bits
            and it is accepted.

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
            except Exception as error:  # whatever ONNX makes of it: the form of 32 bits is good
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
    """Return why an export failed; errors of ONNX itself may say little without their kind."""
    return str(error) if isinstance(error, ExportError) else repr(error)


def has_vectors_of_8_bits(network: keras.Model) -> bool:
    """Return whether a network looks words up in a table of 8 bits."""
    return any(isinstance(layer, keras.layers.Embedding) and layer.quantization_mode for layer in network.layers)


def make_rows(codec: Codec, seed: int = 0) -> list[Row]:
    """Return rows of random ids or letters, the shortest and the longest that there can be among them.

    Lengths are all of the short ones, as many of the longest, and some between; the empty row is the first.
    """
    random = np.random.default_rng(seed)
    length = codec.length
    lengths = {*range(_SHORT_ROWS), length // 3, length // 2, *range(length - _SHORT_ROWS, length + 1)}
    rows: list[Row] = []
    for steps in sorted(number for number in lengths if 0 <= number <= length):
        if isinstance(codec, LetterCodec):
            letters = "".join(random.choice(list(codec.alphabet), max(steps, 1)))
            rows.append(codec.encode(letters)[:steps])
        else:
            rows.append(random.integers(1, codec.preprocessing.vocabulary_size, steps, np.int32))
    return rows


def quantise(graph: Graph) -> onnx.ModelProto:
    """Return a graph with anchors whose LSTMs have weights of 8 bits.

    Of these 7 are used: processors without instructions for products of 8 bits add up pairs of them in 16 bits, which
    would overflow. Every output of a matrix has a scale of its own, which gains more than the bit loses.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Without this it advises to simplify the graph first, where there is nothing to simplify.
    helper.set_model_props(graph.model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            graph.model,
            path,
            op_types_to_quantize=["LSTM"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return onnx.load(path)


def to_rows(examples: Examples, codec: Codec) -> list[Row]:
    """Return the inputs of examples, which are padded on the left, as rows without padding."""
    inputs = examples.inputs.reshape(len(examples.inputs), -1)
    starts = (inputs != codec.padding).argmax(axis=1)
    return [row[start:] for row, start in zip(inputs, starts, strict=True)]


def _examine(precision: Precision, rows: Sequence[Row], expected: NDArray[np.float32], folder: Path) -> OnnxForm:
    """Return what the manifest says of one form, run by one thread as the service does.

    Raises:
        ExportError: its answers are not those of Keras, or depend on the batch.
    """
    network = OnnxSession(folder / ONNX_FILES[precision])
    alone = np.concatenate([network.run([row]) for row in rows])
    for size in (*_BATCH_SIZES, len(rows)):
        for at in range(0, len(rows), size):  # a batch of what is left over among them
            if not np.array_equal(network.run(rows[at : at + size]), alone[at : at + size], equal_nan=True):
                raise ExportError(f"an answer of ONNX Runtime depends on the other rows of a batch of {size}")
    # Of no step there is no mean: both answer with NaN.
    difference = float(abs(np.where(np.isnan(expected) & np.isnan(alone), 0, alone - expected)).max())
    if precision == "float32" and not difference <= TOLERANCE:
        raise ExportError(
            f"the network as ONNX answers otherwise than Keras, by {difference:.1e} where {TOLERANCE:.0e} is allowed"
        )
    return OnnxForm(file=ONNX_FILES[precision], batch_rows=_find_batch_size(network, rows), difference=difference)


def _find_batch_size(network: OnnxSession, rows: Sequence[Row]) -> int:
    """Return how many of these rows are best run together, rows of like lengths as in the service."""
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
        raise ExportError(
            "no examples were held out by which 8 bits could be judged; train with validation_share over 0"
        )
    rows = to_rows(held_out, codec)
    figures = {}
    for precision in forms:
        metrics = evaluate(OnnxNetwork(folder / ONNX_FILES[precision]).predict(rows), held_out.labels).metrics
        figures[precision] = {name: metrics[name] for name in FIGURES if name in metrics}
    lost = figures["float32"]["accuracy"] - figures["int8"]["accuracy"]
    if lost > LOST_ACCURACY:
        raise ExportError(
            f"8 bits lose {lost:.2%} of the accuracy on {len(rows):,} held-out examples, where {LOST_ACCURACY:.1%} is "
            "allowed"
        )
    return {precision: form.model_copy(update={"held_out": figures[precision]}) for precision, form in forms.items()}


def _write(models: Mapping[Precision, onnx.ModelProto], folder: Path) -> None:
    """Write models into a folder; the word vectors that they share are a file of their own."""
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
