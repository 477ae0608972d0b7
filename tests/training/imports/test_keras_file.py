"""Files of Keras 2 and 3. Those of Keras 2 are made from today's by writing them as Keras 2 did."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from training.errors import ModelImportError
from training.imports.keras_file import read_keras_file

STEPS, IDS = 6, 9
ROWS = np.random.default_rng(0).integers(0, IDS, (5, STEPS))


def make_network(*after: layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    stack = [keras.Input((STEPS,)), layers.Embedding(IDS, 4, embeddings_initializer="normal", name="words"), *after]
    return keras.Sequential([*stack, layers.Dense(1, "sigmoid", name="answer")])


def write_old(
    network: keras.Model, path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None, version: str = "2.15.0"
) -> Path:
    """Write a network as Keras 2 did, with the settings that it had; `change` gets each layer's."""
    network.save(path)

    def age(config: dict[str, Any]) -> None:
        stack = config["config"]["layers"]
        if stack[0]["class_name"] == "InputLayer":
            shape = stack.pop(0)["config"]["batch_shape"]
            stack[0]["config"]["batch_input_shape"] = shape
        for layer in stack:
            settings = layer["config"]
            settings["dtype"] = {"class_name": "Policy", "config": {"name": "float32"}}
            settings.pop("quantization_config", None)
            if layer["class_name"] == "LSTM":
                settings |= {"time_major": False, "implementation": 2}
            if layer["class_name"] == "Embedding":
                settings["input_length"] = STEPS
            change(layer)

    rewrite(path, age, version)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], None], version: str | None) -> None:
    """Change the configuration in a file, and the release that wrote it."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config).encode()
            if version is None:
                del file.attrs["keras_version"]
            else:
                file.attrs["keras_version"] = version.encode()
        return
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"])
    change(config)
    contents["config.json"] = json.dumps(config).encode()
    contents["metadata.json"] = json.dumps({"keras_version": version}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def lose_nothing(*_: Any) -> float:
    return 0.0


def predict(network: keras.Model) -> Any:
    return network.predict(ROWS, verbose=0)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_files_of_keras_3_are_read(tmp_path: Path, name: str) -> None:
    network = make_network(layers.LSTM(3))
    network.compile(loss=lose_nothing)  # which is no part of the network
    network.save(tmp_path / name)
    file = read_keras_file(tmp_path / name)
    assert file.version == keras.__version__
    np.testing.assert_array_equal(predict(file.network), predict(network))


@pytest.mark.parametrize("version", ["2.15.0", None])
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_files_of_keras_2_are_mended(tmp_path: Path, name: str, version: str | None) -> None:
    network = make_network(layers.SpatialDropout1D(0.5), layers.LSTM(3, return_sequences=True), layers.LSTM(2))

    def change(layer: dict[str, Any]) -> None:
        if layer["class_name"] == "SpatialDropout1D":
            layer["config"]["noise_shape"] = None

    write_old(network, tmp_path / name, change)
    rewrite(tmp_path / name, lambda _: None, version)
    file = read_keras_file(tmp_path / name)
    assert file.version == version
    np.testing.assert_array_equal(predict(file.network), predict(network))


def test_other_settings_of_keras_2_are_mended(tmp_path: Path) -> None:
    network = make_network(layers.BatchNormalization(), layers.GRU(3, reset_after=False))

    def change(layer: dict[str, Any]) -> None:
        if layer["class_name"] == "BatchNormalization":
            layer["config"] |= {"axis": [2], "fused": None}
        if layer["class_name"] == "GRU":
            del layer["config"]["reset_after"]

    file = read_keras_file(write_old(network, tmp_path / "model.keras", change))
    np.testing.assert_array_equal(predict(file.network), predict(network))


def hard_sigmoid_of_keras_2(values: Any) -> Any:
    return np.clip(0.2 * values + 0.5, 0, 1)


def test_hard_sigmoid_is_that_of_keras_2(tmp_path: Path) -> None:
    network = make_network(layers.LSTM(3, recurrent_activation="hard_sigmoid"))
    for weight in network.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    vectors, kernel, recurrent, bias, dense, shift = network.get_weights()
    state = carry = np.zeros((len(ROWS), 3))
    for step in ROWS.T:
        i, f, c, o = np.split(vectors[step] @ kernel + state @ recurrent + bias, 4, axis=1)
        carry = hard_sigmoid_of_keras_2(f) * carry + hard_sigmoid_of_keras_2(i) * np.tanh(c)
        state = hard_sigmoid_of_keras_2(o) * np.tanh(carry)
    expected = 1 / (1 + np.exp(-(state @ dense + shift)))
    file = read_keras_file(write_old(network, tmp_path / "model.h5", version="2.2.4"))
    np.testing.assert_allclose(predict(file.network), expected, atol=1e-6)
    assert abs(predict(network) - expected).max() > 1e-3  # Keras 3 has another one


def test_hard_sigmoid_of_other_layers_is_that_of_keras_2(tmp_path: Path) -> None:
    inner = layers.Bidirectional(layers.GRU(2, recurrent_activation="hard_sigmoid"))
    network = make_network(inner, layers.Dense(3, "hard_sigmoid", name="hard"))
    for weight in network.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    file = read_keras_file(write_old(network, tmp_path / "model.h5"))
    before, after = (each.get_layer("hard").get_weights() for each in (network, file.network))
    np.testing.assert_allclose(after[0], before[0] * 1.2, rtol=1e-6)
    before, after = (each.layers[1].forward_layer.get_weights() for each in (network, file.network))
    np.testing.assert_allclose(after[0][:, :4], before[0][:, :4] * 1.2, rtol=1e-6)
    np.testing.assert_array_equal(after[0][:, 4:], before[0][:, 4:])


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        (
            layers.Activation("hard_sigmoid", name="hard"),
            {},
            r"'hard' \(Activation\) has the activation hard_sigmoid, which Keras 2 and Keras 3 compute differently",
        ),
        (layers.LSTM(2, name="reader"), {"time_major": True}, r"'reader' \(LSTM\) has time_major=True, which Keras"),
        (layers.LSTM(2, name="reader"), {"strange": 1}, "Keras .* cannot load .*strange"),
    ],
)
def test_settings_without_a_counterpart_are_named(
    tmp_path: Path, layer: layers.Layer, change: dict[str, Any], message: str
) -> None:
    network = make_network(*([layer] if change else [layers.Flatten(), layer]))

    def alter(found: dict[str, Any]) -> None:
        if found["config"]["name"] == layer.name:
            found["config"] |= change

    with pytest.raises(ModelImportError, match=message):
        read_keras_file(write_old(network, tmp_path / "model.h5", alter))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Lambda", r"'mine' \(Lambda\) holds code of its own, which is never run"),
        ("TFOpLambda", r"'mine' \(TFOpLambda\) holds code"),
        ("Attention2", r"'mine' \(Attention2\) is a custom object, which is not loaded"),
        ("CuDNNLSTM", r"'mine' \(CuDNNLSTM\) needs a graphics card; build the network with LSTM"),
    ],
)
def test_layers_that_are_not_of_keras_are_refused_by_name(tmp_path: Path, suffix: str, kind: str, message: str) -> None:
    path = tmp_path / f"model{suffix}"
    make_network(layers.LSTM(2, name="mine")).save(path)

    def replace(config: dict[str, Any]) -> None:
        config["config"]["layers"][2]["class_name"] = kind

    rewrite(path, replace, "2.15.0")
    with pytest.raises(ModelImportError, match=message):
        read_keras_file(path)


@pytest.mark.parametrize(
    ("field", "value"), [("module", "os"), ("module", "my_package.layers"), ("registered_name", "training>FusedLSTM")]
)
def test_objects_of_other_packages_are_refused_by_name(tmp_path: Path, field: str, value: str) -> None:
    path = tmp_path / "model.keras"
    make_network(layers.LSTM(2, name="mine")).save(path)
    rewrite(path, lambda config: config["config"]["layers"][2].update({field: value}), "3.0.0")
    with pytest.raises(ModelImportError, match=r"'mine' \(LSTM\) is a custom object"):
        read_keras_file(path)


def test_a_function_in_a_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    make_network().save(path)
    function = {"module": "builtins", "class_name": "function", "config": "mine", "registered_name": "function"}
    rewrite(path, lambda config: config["config"]["layers"][2]["config"].update(activation=function), "3.0.0")
    with pytest.raises(ModelImportError, match=r"'mine' \(function\) holds code of its own"):
        read_keras_file(path)


def test_a_network_that_reads_texts_is_told_from_one_of_ids(tmp_path: Path) -> None:
    vectorize = layers.TextVectorization(output_sequence_length=STEPS, vocabulary=["film"], name="vectorize")
    stack = [keras.Input((1,), dtype="string"), vectorize, layers.Embedding(IDS, 4), layers.LSTM(2), layers.Dense(1)]
    keras.Sequential(stack).save(tmp_path / "model.keras")
    with pytest.raises(
        ModelImportError, match=r"'vectorize' \(TextVectorization\); save the model of the layers after"
    ):
        read_keras_file(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ngrams": 2}, r"with ngrams=2, which is not supported; train the network with ngrams=None"),
        ({"split": "character"}, "with split='character', which is not supported; train the .* split='whitespace'"),
        ({"output_mode": "multi_hot"}, "with output_mode='multi_hot', which is not supported"),
    ],
)
def test_codings_of_texts_that_no_list_of_words_has_are_named(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    vectorize = layers.TextVectorization(vocabulary=["film"], name="vectorize", **settings)
    network = keras.Sequential([keras.Input((1,), dtype="string"), vectorize])
    network.save(tmp_path / "model.keras")
    with pytest.raises(ModelImportError, match=message):
        read_keras_file(tmp_path / "model.keras")


def of_two_outputs() -> keras.Model:
    ids = keras.Input((STEPS,))
    state = layers.LSTM(2)(layers.Embedding(IDS, 4)(ids))
    return keras.Model(ids, [layers.Dense(1)(state), layers.Dense(2)(state)])


NETWORKS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "several outputs": (of_two_outputs, "has 1 inputs and 2 outputs"),
    "vectors": (
        lambda: keras.Sequential([keras.Input((STEPS, 4)), layers.LSTM(2)]),
        r"reads inputs of the shape \(None, 6, 4\), not rows of word ids",
    ),
    "an answer for each step": (
        lambda: make_network(layers.LSTM(2, return_sequences=True)),
        r"answers with the shape \(None, 6, 1\), not with one answer for a row",
    ),
}


@pytest.mark.parametrize(("make", "message"), NETWORKS.values(), ids=NETWORKS)
def test_networks_of_other_tasks_are_refused(tmp_path: Path, make: Callable[[], keras.Model], message: str) -> None:
    make().save(tmp_path / "model.keras")
    with pytest.raises(ModelImportError, match=message):
        read_keras_file(tmp_path / "model.keras")


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    network = make_network(layers.LSTM(2))
    for name, files in {"exported": ("saved_model.pb",), "saved": ("saved_model.pb", "keras_metadata.pb")}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes(b"")
    network.save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "text.keras").write_text("network")
    (tmp_path / "model.onnx").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("file", b"")
    for name, text in {"broken.keras": "{", "list.keras": "[]"}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("config.json", text)
    expected = {
        "exported": "is a SavedModel, a program that may .* it does not have the layers .* load it where it was made",
        "saved": "is a SavedModel, a program that may .* tf_keras.models.load_model.'.*saved'.*.save.'model.keras'",
        "": "is a folder; name the .keras or .h5 file",
        "model.weights.h5": "holds weights without their network",
        "text.keras": "is neither a .keras file nor HDF5",
        "model.onnx": "is ONNX, which cannot be imported",
        "other.zip": "has no config.json, so it is no Keras model",
        "broken.keras": "is not JSON",
        "list.keras": "is not an object of JSON",
    }
    for name, message in expected.items():
        with pytest.raises(ModelImportError, match=message):
            read_keras_file(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_keras_file(tmp_path / "none.keras")
