"""Word vectors, dense layers and normalisation as nodes of a graph."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers
from onnx import TensorProto

from training.errors import ExportError
from training.export import lstm
from training.export.values import Mask, Translation, Translator, Value, describe, flatten

VECTORS = "word_vectors"
SCALES = "word_scales"

_ACTIVATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "linear": ("Identity", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "tanh": ("Tanh", {}),
}


def _keep(_: Translation, __: Any, value: Value, **___: Any) -> Value:
    return value


def _look_up(translation: Translation, layer: layers.Embedding, ids: Value) -> Value:
    add, constant = translation.builder.add, translation.builder.constant
    vectors, *scales = (weight.numpy() for weight in layer.weights)
    found = add("Gather", constant(vectors, VECTORS), ids.name)
    if scales:
        vectors = vectors / scales[0][:, np.newaxis]
        scale = add("Gather", constant(scales[0][:, np.newaxis], SCALES), ids.name)
        found = add("Div", add("Cast", found, to=TensorProto.FLOAT), scale)
    value = Value(found, "steps, rows, features", vectors.shape[1])
    if not translation.with_anchors:
        return value
    anchors = lstm.make_input_anchors(value.features, float(abs(vectors).max()))
    shape = add("Concat", add("Shape", ids.name), translation.builder.integers(len(anchors)), axis=0)
    behind = add("Expand", constant(anchors), shape)
    return replace(value, name=add("Concat", found, behind, axis=-1), anchors=len(anchors))


def _multiply(translation: Translation, layer: layers.Dense, value: Value) -> Value:
    builder = translation.builder
    value = flatten(builder, value, without_anchors=layer)
    activation = str(keras.activations.serialize(layer.activation))
    weights = layer.get_weights()
    if activation not in _ACTIVATIONS or len(weights) != 2:
        raise ExportError(
            f"{describe(layer)} has the activation {activation}, no bias, or 8-bit weights, which cannot be exported"
        )
    operation, attributes = _ACTIVATIONS[activation]
    kernel, bias = map(builder.constant, weights)
    product = builder.add("Add", builder.add("MatMul", value.name, kernel), bias)
    name = builder.add(operation, product, **attributes)
    return Value(name, value.layout, layer.units)


def _activate(translation: Translation, layer: layers.Activation | layers.Softmax, value: Value) -> Value:
    activation = "softmax"
    if isinstance(layer, layers.Activation):
        activation = str(keras.activations.serialize(layer.activation))
    if activation not in _ACTIVATIONS or getattr(layer, "axis", -1) != -1:
        raise ExportError(f"{describe(layer)} has the activation {activation} or an axis that cannot be exported")
    operation, attributes = _ACTIVATIONS[activation]
    value = flatten(translation.builder, value, without_anchors=layer)
    name = translation.builder.add(operation, value.name, **attributes)
    return replace(value, name=name, is_zero_at_padding=False)


def _normalise_by_batch(
    translation: Translation, layer: layers.BatchNormalization, value: Value, mask: Mask | None = None
) -> Value:
    del mask  # used only in training
    builder = translation.builder
    value = flatten(builder, value, without_anchors=layer)
    _expect_features(layer, value)
    mean, variance = (each.numpy().astype(np.float64) for each in (layer.moving_mean, layer.moving_variance))
    slope = (layer.gamma.numpy() if layer.scale else 1) / np.sqrt(variance + layer.epsilon)
    shift = (layer.beta.numpy() if layer.center else 0) - mean * slope
    slope, shift = (builder.constant(each.astype(np.float32)) for each in (slope, shift))
    name = builder.add("Add", builder.add("Mul", value.name, slope), shift)
    return replace(value, name=name, is_zero_at_padding=False)


def _normalise_by_layer(translation: Translation, layer: layers.LayerNormalization, value: Value) -> Value:
    builder = translation.builder
    value = flatten(builder, value, without_anchors=layer)
    _expect_features(layer, value)
    gamma = layer.gamma.numpy() if layer.scale else np.ones(value.blocks * value.features, np.float32)
    beta = layer.beta.numpy() if layer.center else np.zeros_like(gamma)
    inputs = value.name, builder.constant(gamma), builder.constant(beta)
    name = builder.add("LayerNormalization", *inputs, axis=-1, epsilon=layer.epsilon)
    return replace(value, name=name, is_zero_at_padding=False)


def _expect_features(layer: layers.BatchNormalization | layers.LayerNormalization, value: Value) -> None:
    last = value.layout.count(",")
    if layer.axis not in (-1, [-1], last, [last]):
        raise ExportError(f"{describe(layer)} normalises another axis than the features, which cannot be exported")


TRANSLATORS: dict[str, Translator] = {
    "Activation": _activate,
    "BatchNormalization": _normalise_by_batch,
    "Dense": _multiply,
    "Dropout": _keep,
    "Embedding": _look_up,
    "LayerNormalization": _normalise_by_layer,
    "Masking": _keep,
    "Softmax": _activate,
    "SpatialDropout1D": _keep,
}
