"""Networks are refused before publication if the service would refuse them."""

from pathlib import Path

import pytest

from bundle.store import Store
from tests.labelled import THREE, TWO, build, end_with, make_codec, publish, publish_labelled, train
from training.errors import OutputError
from training.reports import card


@pytest.mark.parametrize(
    ("labels", "outputs", "activation", "message"),
    [
        (TWO, 1, "linear", "which is no probability; end it with a sigmoid for two labels"),
        (TWO, 1, "tanh", "which is no probability"),
        (TWO, 2, "softmax", "the network has 2 outputs, but 2 labels need 1"),
        (THREE, 1, "sigmoid", "the network has 1 outputs, but 3 labels need 3"),
        (THREE, 3, "sigmoid", "answers with 3 numbers whose sum is .*, or a softmax for more"),
    ],
)
def test_a_network_whose_outputs_are_no_probabilities_of_its_labels_is_not_published(
    tmp_path: Path, labels: tuple[str, ...], outputs: int, activation: str, message: str
) -> None:
    recipe, codec = make_codec()
    network = end_with(build(codec, recipe, TWO), outputs, activation)
    store = Store(tmp_path)
    with pytest.raises(OutputError, match=message):
        publish(train(network, codec, labels), recipe, "bad", store)
    assert store.names() == []


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_a_network_whose_outputs_only_look_like_probabilities_is_not_published(tmp_path: Path, activation: str) -> None:
    recipe, codec = make_codec()
    network = end_with(build(codec, recipe, TWO), 1, activation)
    kernel, bias = network.weights[-2:]
    kernel.assign(1e-3 * kernel)
    bias.assign([0.5])
    store = Store(tmp_path)
    with pytest.raises(OutputError, match="the network ends with the layer .*, so its outputs are no probabilities"):
        publish(train(network, codec, TWO), recipe, "bad", store)
    assert store.names() == []


def test_a_bundle_of_several_labels_has_a_card_with_all_of_them(tmp_path: Path) -> None:
    bundle = publish_labelled(Store(tmp_path), "feedback", THREE)
    manifest = bundle.manifest
    assert manifest.labels == THREE
    assert {"accuracy", "loss", "auc", "calibration_error", "macro_f1"} <= manifest.metrics.keys()
    text = (bundle.folder / card.CARD).read_text("utf-8")
    for label in ("negative", r"neither \| nor", "very positive"):
        assert f"| {label} | " in text
    assert "(the test texts, which are never trained on)" in text
    assert "| 1 to 100 words | 64 |" in text
    assert {"confusion-matrix.png", "reference.json", "model.int8.onnx"} <= manifest.files.keys()
    assert "roc-curve.png" not in manifest.files
    assert manifest.onnx and "calibration_error" in manifest.onnx.forms["int8"].held_out
