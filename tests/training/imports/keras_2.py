"""An `.h5` file as Keras 2.15 writes it, made with h5py alone.

The configuration and the layout were taken from a file that `model.save("model.h5")` of Keras 2 wrote, after the
network was compiled and trained. The code that writes is tf_keras/src/saving/legacy/hdf5_format.py of tf-keras.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

STEPS, WORDS, FEATURES, UNITS, LAST_UNITS = 6, 9, 4, 3, 2

Layer = dict[str, Any]
Weights = Mapping[str, NDArray[np.float32]]


def _initialiser(name: str, **settings: object) -> dict[str, object]:
    return {"module": "keras.initializers", "class_name": name, "config": settings, "registered_name": None}


def _lstm(name: str, units: int, return_sequences: bool, dropout: float) -> dict[str, Any]:
    return {
        "name": name,
        "trainable": True,
        "dtype": "float32",
        "return_sequences": return_sequences,
        "return_state": False,
        "go_backwards": False,
        "stateful": False,
        "unroll": False,
        "time_major": False,
        "units": units,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "kernel_initializer": _initialiser("GlorotUniform", seed=None),
        "recurrent_initializer": _initialiser("Orthogonal", gain=1.0, seed=None),
        "bias_initializer": _initialiser("Zeros"),
        "unit_forget_bias": True,
        "kernel_regularizer": None,
        "recurrent_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "recurrent_constraint": None,
        "bias_constraint": None,
        "dropout": dropout,
        "recurrent_dropout": 0.0,
        "implementation": 2,
    }


_INPUT: Layer = {
    "class_name": "InputLayer",
    "config": {
        "batch_input_shape": [None, STEPS],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": "embedding_input",
    },
}
_EMBEDDING: Layer = {
    "class_name": "Embedding",
    "config": {
        "name": "embedding",
        "trainable": True,
        "dtype": "float32",
        "batch_input_shape": [None, STEPS],
        "input_dim": WORDS,
        "output_dim": FEATURES,
        "embeddings_initializer": _initialiser("RandomUniform", minval=-0.05, maxval=0.05, seed=None),
        "embeddings_regularizer": None,
        "activity_regularizer": None,
        "embeddings_constraint": None,
        "mask_zero": True,
        "input_length": STEPS,
    },
}
_DROPOUT: Layer = {
    "class_name": "SpatialDropout1D",
    "config": {
        "name": "spatial_dropout1d",
        "trainable": True,
        "dtype": "float32",
        "rate": 0.2,
        "noise_shape": None,
        "seed": None,
    },
}
_BOTH_WAYS: Layer = {
    "class_name": "Bidirectional",
    "config": {
        "name": "bidirectional",
        "trainable": True,
        "dtype": "float32",
        "layer": {
            "module": "keras.layers",
            "class_name": "LSTM",
            "config": _lstm("lstm", UNITS, True, 0.0),
            "registered_name": None,
        },
        "merge_mode": "concat",
    },
}
_LAST: Layer = {"class_name": "LSTM", "config": _lstm("lstm_1", LAST_UNITS, False, 0.1)}
_DENSE: Layer = {
    "class_name": "Dense",
    "config": {
        "name": "dense",
        "trainable": True,
        "dtype": "float32",
        "units": 1,
        "activation": "sigmoid",
        "use_bias": True,
        "kernel_initializer": _initialiser("GlorotUniform", seed=None),
        "bias_initializer": _initialiser("Zeros"),
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    },
}
_STACK = [_EMBEDDING, _DROPOUT, _BOTH_WAYS, _LAST, _DENSE]
_SEQUENTIAL = {"class_name": "Sequential", "config": {"name": "sequential", "layers": [_INPUT, *_STACK]}}
_TRAINING = {
    "loss": "binary_crossentropy",
    "metrics": [
        [{"class_name": "MeanMetricWrapper", "config": {"name": "accuracy", "dtype": "float32", "fn": "my_accuracy"}}]
    ],
    "weighted_metrics": None,
    "loss_weights": None,
    "optimizer_config": {"class_name": "Custom>Adam", "config": {"name": "Adam", "learning_rate": 0.001}},
}


def _functional() -> dict[str, Any]:
    """Return the same network of the functional interface, whose layers name the layers before them."""
    stack: list[dict[str, Any]] = []
    for layer in [_INPUT, *_STACK]:
        config = dict(layer["config"])
        if layer is _EMBEDDING:
            config["batch_input_shape"] = [None, None]
        before = [[[stack[-1]["name"], 0, 0, {}]]] if stack else []
        stack.append(layer | {"config": config, "name": config["name"], "inbound_nodes": before})
    ends = {"input_layers": [[stack[0]["name"], 0, 0]], "output_layers": [[stack[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "trainable": True, "layers": stack, **ends}}


def make_weights() -> dict[str, Weights]:
    """Return random weights by layer and name, in the order of the network."""
    random = np.random.default_rng(5)

    def draw(**shapes: tuple[int, ...]) -> Weights:
        return {name: random.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}

    def draw_lstm(inputs: int, units: int) -> Weights:
        return draw(kernel=(inputs, 4 * units), recurrent_kernel=(units, 4 * units), bias=(4 * units,))

    directions = {way: draw_lstm(FEATURES, UNITS) for way in ("forward_lstm", "backward_lstm")}
    return {
        "embedding": {"embedding/embeddings:0": random.normal(0, 1, (WORDS, FEATURES)).astype(np.float32)},
        "spatial_dropout1d": {},
        "bidirectional": {
            f"bidirectional/{way}/lstm_cell/{name}:0": weight
            for way, weights in directions.items()
            for name, weight in weights.items()
        },
        "lstm_1": {f"lstm_1/lstm_cell/{name}:0": weight for name, weight in draw_lstm(2 * UNITS, LAST_UNITS).items()},
        "dense": {f"dense/{name}:0": weight for name, weight in draw(kernel=(LAST_UNITS, 1), bias=(1,)).items()},
    }


def write_h5(path: Path, weights: Mapping[str, Weights], is_functional: bool = False) -> None:
    """Write the file of a network with these weights."""
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps(_functional() if is_functional else _SEQUENTIAL).encode()
        file.attrs["training_config"] = json.dumps(_TRAINING).encode()
        root = file.create_group("model_weights")
        names: Sequence[str] = [*([_INPUT["config"]["name"]] if is_functional else []), *weights]
        root.attrs["layer_names"] = [name.encode() for name in names]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.15.0"
        for name in names:
            _write_group(root.create_group(name), weights.get(name, {}))
        _write_group(root.create_group("top_level_model_weights"), {})
        _write_group(file.create_group("optimizer_weights"), {"iteration:0": np.array(7, np.int64)})


def _write_group(group: h5py.Group, weights: Weights) -> None:
    group.attrs["weight_names"] = [name.encode() for name in weights]
    for name, weight in weights.items():
        group.create_dataset(name, data=weight)
