"""Configurations of networks that other releases of Keras wrote: mended for the installed one, or refused by name.

Keras 2 and Keras 3 differ silently in one function: `hard_sigmoid` was 0.2 x + 0.5 and is x / 6 + 0.5, both cut to
[0, 1]. So the weights before it are multiplied by 1.2.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.errors import ModelImportError

_MODELS = ("Sequential", "Functional", "Model")
_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "TFSMLayer", "function", "__lambda__")
# Settings that Keras 3 does not have: by their name, the values that mean what Keras 3 does anyway.
_DROPPED: dict[str, tuple[object, ...]] = {
    "time_major": (False, None),
    "implementation": (0, 1, 2, None),
    "ragged": (False, None),
    "sparse": (False, None),
    "renorm": (False, None),
    "fused": (True, False, None),
    "virtual_batch_size": (None,),
}
# These say nothing about the answers.
_IGNORED = ("input_length", "renorm_clipping", "renorm_momentum", "input_dtype")
_HARD_SIGMOID = "hard_sigmoid"
_HARD_SIGMOID_SCALE = 1.2

Config = dict[str, Any]


def is_legacy(version: str | None) -> bool:
    """Return whether a release of Keras is older than 3; files of the oldest ones have no version."""
    return version is None or version.partition(".")[0] in ("0", "1", "2")


def check(config: Config) -> None:
    """Return if all objects of a configuration are Keras' own, and none of them runs code from the file.

    Raises:
        ModelImportError: an object is not; the message names it.
    """
    for found in _walk(config):
        kind, settings = found["class_name"], found.get("config")
        name = settings.get("name", kind) if isinstance(settings, dict) else settings
        module = found.get("module") or "keras"
        registered = found.get("registered_name")
        if kind in _CODE:
            raise ModelImportError(
                f"{name!r} ({kind}) holds code of its own, which is never run; replace it by layers of Keras, or leave "
                "it out if it is only preprocessing, and save the model again"
            )
        is_own = module == "builtins" or module.split(".")[0] in ("keras", "tf_keras")
        if not is_own or registered not in (None, kind) or _is_layer(found) and not hasattr(layers, kind):
            if kind.startswith("CuDNN"):
                raise ModelImportError(
                    f"{name!r} ({kind}) needs a graphics card; build the network with {kind[5:]}, copy the weights, "
                    "and save it again"
                )
            raise ModelImportError(
                f"{name!r} ({kind}) is a custom object, which is not loaded; replace it by layers of Keras and save "
                "the model again"
            )


def mend(config: Config) -> None:
    """Change a configuration of Keras 2 to one of Keras 3, in place.

    Raises:
        ModelImportError: a setting has no counterpart; the message names it.
    """
    for found in list(_walk(config)):
        settings = found.get("config")
        if not isinstance(settings, dict):
            continue
        kind = found["class_name"]
        if kind in _MODELS:
            if found.get("module"):
                found["module"] = "keras" if kind == "Sequential" else "keras.src.models.functional"
            if kind == "Sequential":
                _give_input(settings)
            continue
        shape = settings.pop("batch_input_shape", None)
        if kind == "InputLayer" and shape is not None:
            settings["batch_shape"] = shape
        dtype = settings.get("dtype")
        if isinstance(dtype, dict) and dtype.get("class_name") in ("Policy", "PolicyV1"):
            settings["dtype"] = dtype["config"]["name"]
        if isinstance(axis := settings.get("axis"), list) and kind == "BatchNormalization":
            (settings["axis"],) = axis
        if kind == "GRU":
            settings.setdefault("reset_after", False)
        if kind == "LeakyReLU" and "alpha" in settings:
            settings["negative_slope"] = settings.pop("alpha")
        if kind.startswith("Spatial"):  # their constructors take neither
            settings.pop("noise_shape", None)
            settings.pop("trainable", None)
        for setting, meaningless in _DROPPED.items():
            if (value := settings.pop(setting, None)) not in meaningless:
                raise ModelImportError(
                    f"{settings.get('name')!r} ({kind}) has {setting}={value}, which Keras {keras.__version__} does "
                    "not have; build the network without it, copy the weights, and save it again"
                )
        for setting in _IGNORED:
            settings.pop(setting, None)


def mend_weights(network: keras.Model) -> None:
    """Change the weights of a network of Keras 2, so that Keras 3 answers as Keras 2 did.

    Raises:
        ModelImportError: a layer has `hard_sigmoid` where no change of weights helps.
    """
    for layer in _list_layers(network):
        cell = getattr(layer, "cell", layer)
        names = {
            argument: keras.activations.serialize(getattr(cell, argument))
            for argument in ("activation", "recurrent_activation")
            if hasattr(cell, argument)
        }
        if _HARD_SIGMOID not in names.values():
            continue
        if isinstance(layer, layers.Dense):
            layer.set_weights([weight * _HARD_SIGMOID_SCALE for weight in layer.get_weights()])
        elif isinstance(layer, layers.LSTM | layers.GRU) and names["activation"] != _HARD_SIGMOID:
            layer.set_weights([_scale_gates(weight, layer) for weight in layer.get_weights()])
        else:
            raise ModelImportError(
                f"{layer.name!r} ({type(layer).__name__}) has the activation hard_sigmoid, which Keras 2 and Keras 3 "
                "compute differently; train it with sigmoid"
            )


def _scale_gates(weight: NDArray[np.float32], layer: layers.LSTM | layers.GRU) -> NDArray[np.float32]:
    """Return a weight, float32 [..., gates * units], with all gates but the candidate scaled."""
    gates = [1, 1, 0, 1] if isinstance(layer, layers.LSTM) else [1, 1, 0]  # i, f, c, o or z, r, h
    factors = np.where(gates, _HARD_SIGMOID_SCALE, 1)
    return weight * np.repeat(factors, layer.units).astype(np.float32)


def _list_layers(network: keras.Model) -> Iterator[layers.Layer]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _list_layers(layer)
        elif isinstance(layer, layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
        else:
            yield layer


def _walk(value: Any) -> Iterator[Config]:
    """Return all objects of a configuration, outer ones first."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _is_layer(found: Config) -> bool:
    """Return whether an object is a layer: files of Keras 2 have no module, only layers have `trainable` or a shape."""
    settings = found.get("config")
    return found["class_name"] not in _MODELS and isinstance(settings, dict) and "trainable" in settings


def _give_input(settings: Config) -> None:
    """Put an input before the first layer of a sequential network, where the first layer has the input's shape."""
    stack = settings.get("layers")
    if not isinstance(stack, list) or not stack or stack[0].get("class_name") == "InputLayer":
        return
    first = stack[0].get("config", {})
    shape = first.get("batch_input_shape")
    if shape is not None:
        name = f"{first.get('name', 'ids')}_input"
        stack.insert(
            0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": "float32", "name": name}}
        )
        if stack[1].get("module"):
            stack[0] |= {"module": "keras.layers", "registered_name": None}
