import io
import os
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.store import ONNX_FILES, VECTORS_FILE, Store
from tests.conftest import SMALL_RECIPES
from tests.training.export.networks import IDS, WORDS, judge_by_the_last_word, make_codec, make_network
from training.data.examples import Examples
from training.errors import ExportError
from training.export.exported import LOST_ACCURACY, TOLERANCE, export
from training.export.rows import make_rows, to_rows

CODEC = make_codec()
CONSOLE = Console(quiet=True)


def held_out(count: int = 100) -> Examples:
    """Return reviews that end with `good` or with `bad`, which their labels tell apart."""
    labels = np.arange(count, dtype=np.int32) % 2
    rows = [CODEC.encode(f"a film {WORDS[1 - label]}").ids for label in labels]
    return Examples(CODEC.pad(rows), labels)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_network_is_written_with_its_word_vectors_beside_it(tmp_path: Path) -> None:
    exported = export(make_network(), CODEC, tmp_path, [], CONSOLE)
    assert files(tmp_path) == {"model.onnx", VECTORS_FILE}
    assert (tmp_path / VECTORS_FILE).stat().st_size == IDS * 4 * 4
    form = exported.onnx.forms["float32"]
    assert (exported.onnx.default, form.file) == ("float32", "model.onnx")
    assert 0 <= form.difference <= TOLERANCE and not form.held_out
    assert exported.onnx.compared_rows == len(make_rows(CODEC))


def test_the_file_runs_without_this_project(tmp_path: Path) -> None:
    network = make_network()
    export(network, CODEC, tmp_path, [], CONSOLE)
    session = onnxruntime.InferenceSession(os.fspath(tmp_path / "model.onnx"))
    ids = np.array([[1, 4, 5], [1, 6, 0]], np.int32)
    (answers,) = session.run(None, {"ids": ids, "lengths": np.array([3, 2], np.int32)})
    expected = network.predict(np.pad([[0, 1, 4, 5], [0, 0, 1, 6]], [(0, 0), (16, 0)]), verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_rows_are_of_all_short_and_long_lengths() -> None:
    assert [len(row) for row in make_rows(CODEC)] == list(range(21))
    long = make_codec(100)
    lengths = [len(row) for row in make_rows(long)]
    assert lengths == [*range(16), 33, 50, *range(84, 101)]
    letters = make_rows(LetterCodec(length=5, first_code=1))
    assert [len(row) for row in letters] == list(range(6))


@pytest.mark.parametrize("padding_value", [0, -1])
def test_examples_become_rows_without_their_padding(padding_value: int) -> None:
    codec = LetterCodec.model_validate({"length": 5, "first_code": padding_value + 1, "padding_value": padding_value})
    rows = [codec.encode(text) for text in ("BC", "XYZAB")]
    found = to_rows(Examples(codec.pad(rows), np.zeros(2, np.int32)), codec)
    for row, other in zip(rows, found, strict=True):
        np.testing.assert_array_equal(row, other)


def test_a_network_that_answers_otherwise_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((20,), dtype="int32")
    vectors = layers.Embedding(IDS, 4, "normal")(ids)
    masked = layers.LSTM(8, return_sequences=True)(vectors, mask=ops.not_equal(ids, 0))
    present = ops.cast(ops.expand_dims(ops.not_equal(ids, 0), -1), "float32")
    unmasked = layers.LSTM(8)(masked * present)  # reads the padding, which the first skips
    network = keras.Model(ids, layers.Dense(1, "sigmoid")(unmasked))
    with pytest.raises(ExportError, match=r"the answers of ONNX differ from Keras by \d.*; 1e-05 is allowed"):
        export(network, CODEC, tmp_path, [], CONSOLE)
    assert not files(tmp_path)


def test_8_bits_serve_where_the_word_vectors_have_8_bits(tmp_path: Path) -> None:
    network = make_network()
    judge_by_the_last_word(network)
    network.layers[1].quantize("int8")
    exported = export(network, CODEC, tmp_path, [], CONSOLE, held_out())
    assert exported.onnx.default == "int8"
    assert files(tmp_path) == {*ONNX_FILES.values(), VECTORS_FILE}
    for form in exported.onnx.forms.values():
        assert form.held_out["accuracy"] == 1
        assert set(form.held_out) == {"accuracy", "loss", "calibration_error"}
    models = [onnx.load(tmp_path / name, load_external_data=False) for name in ONNX_FILES.values()]
    shared = [
        {(each.name, entry.value) for each in model.graph.initializer for entry in each.external_data}
        for model in models
    ]
    assert shared[0] == shared[1] != set()
    assert {node.op_type for node in models[1].graph.node} >= {"DynamicQuantizeLSTM"}


def test_weights_of_8_bits_keep_to_7_so_that_no_processor_overflows(tmp_path: Path) -> None:
    network = make_network()
    judge_by_the_last_word(network)
    export(network, CODEC, tmp_path, [], CONSOLE, held_out(), quantised=True)
    model = onnx.load(tmp_path / ONNX_FILES["int8"])
    weights = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name.endswith("_quantized")]
    assert len(weights) == 2
    assert all(array.dtype == np.int8 and abs(array.astype(int)).max() <= 64 for array in weights)


def test_8_bits_are_made_of_other_networks_on_demand_alone(tmp_path: Path) -> None:
    network = make_network()
    judge_by_the_last_word(network)
    assert export(network, CODEC, tmp_path, [], CONSOLE, held_out()).onnx.default == "float32"
    assert export(network, CODEC, tmp_path, [], CONSOLE, held_out(), quantised=True).onnx.default == "int8"
    network.layers[1].quantize("int8")
    assert set(export(network, CODEC, tmp_path, [], CONSOLE, held_out(), quantised=False).onnx.forms) == {"float32"}


def test_8_bits_take_held_out_examples(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="8 bits need held-out examples"):
        export(make_network(), CODEC, tmp_path, [], CONSOLE, quantised=True)
    assert not files(tmp_path)


@pytest.mark.parametrize("quantised", [None, True])
def test_8_bits_that_cost_accuracy_are_refused(tmp_path: Path, quantised: bool | None) -> None:
    network = make_network()
    judge_by_the_last_word(network)
    embedding = network.layers[1]
    vectors = embedding.get_weights()[0]
    vectors[-1, 1] = 1e6  # of a word that is in no review; beside it all else is nothing
    embedding.set_weights([vectors])
    if quantised:
        with pytest.raises(ExportError, match=r"8 bits lose 50.00% of the accuracy on 100 held-out examples"):
            export(network, CODEC, tmp_path, [], CONSOLE, held_out(), quantised=True)
        assert not files(tmp_path)
    else:
        embedding.quantize("int8")
        told = io.StringIO()
        assert export(network, CODEC, tmp_path, [], Console(file=told, width=200), held_out()).onnx.default == "float32"
        assert "Exported in 32 bits only: 8 bits lose 50.00% of the accuracy" in told.getvalue()
        assert files(tmp_path) == {"model.onnx", VECTORS_FILE}
    assert LOST_ACCURACY == 0.001


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_every_recipe_is_published_with_its_network_as_onnx(small_store: Store, name: str) -> None:
    manifest = small_store.open(name).manifest
    assert manifest.onnx is not None
    assert manifest.onnx.every_step == (name == "alphabet-window")
    assert all(form.difference <= TOLERANCE for kind, form in manifest.onnx.forms.items() if kind == "float32")
