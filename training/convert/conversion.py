"""Weights from PyTorch to Keras and back, for the networks that both have.

The two differ in three points. PyTorch stores weight matrices transposed, has two biases in an LSTM, which it only
adds, and has no softmax or sigmoid after the last layer. The order of the gates is the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import layers

from training.convert.state import State, Weights
from training.errors import ConversionError

# The weight names of nn.LSTM: for the inputs (ih) or the state (hh), of a numbered layer, and of the second direction.
_LSTM_WEIGHTS = re.compile(r"(?P<module>.*?)(?P<kind>weight|bias)_(?P<of>ih|hh)_l(?P<layer>\d+)(?P<reverse>_reverse)?")
_DIRECTIONS = ("", "_reverse")
_OTHER_MODULES = {3: "nn.GRU", 1: "nn.RNN"}  # by the number of gates; an nn.LSTM has 4


@dataclass
class _Parts:
    """The weights of a state dict by kind of module, in the order of the file."""

    embeddings: list[Weights] = field(default_factory=list)
    lstms: list[dict[str, Weights]] = field(default_factory=list)  # by the name without module and layer
    linears: list[tuple[Weights, Weights]] = field(default_factory=list)


@dataclass(frozen=True)
class Structure:
    """A network of one nn.Embedding, nn.LSTM layers and one nn.Linear, as the shapes of its weights show it.

    Attributes:
        words: number of word vectors.
        features: of a word vector.
        lstms: the units of each layer, and whether it has two directions.
        outputs: of the nn.Linear.
    """

    words: int
    features: int
    lstms: tuple[tuple[int, bool], ...]
    outputs: int


def find_structure(state: State) -> Structure:
    """Return the structure of a network that reads words, of which the nn.Linear reads the last state.

    Raises:
        ConversionError: the state has other modules, or their shapes do not fit one another.
    """
    parts = _sort(state)
    if len(parts.embeddings) != 1 or not parts.lstms or len(parts.linears) != 1:
        found = _count(len(parts.embeddings), len(parts.lstms), len(parts.linears))
        raise ConversionError(
            f"the PyTorch network has {found}; only one of 1 embedding, LSTM layers and 1 linear layer can be imported "
            "(a matrix without a bias counts as an embedding)"
        )
    (vectors,), ((kernel, _),) = parts.embeddings, parts.linears
    lstms = []
    width = vectors.shape[1]
    for number, module in enumerate(parts.lstms):
        inputs, recurrent = module.get("weight_ih"), module.get("weight_hh")
        if inputs is None or recurrent is None or inputs.ndim != 2 or recurrent.ndim != 2:
            raise ConversionError(f"LSTM layer {number} has no matrices weight_ih and weight_hh; save the whole state")
        _check_width(f"LSTM layer {number}", inputs.shape[1], width)
        is_bidirectional = "weight_ih_reverse" in module
        lstms.append((recurrent.shape[1], is_bidirectional))
        width = recurrent.shape[1] * (2 if is_bidirectional else 1)
    _check_width("the nn.Linear", kernel.shape[1], width)
    return Structure(len(vectors), vectors.shape[1], tuple(lstms), len(kernel))


def _check_width(module: str, found: int, expected: int) -> None:
    if found != expected:
        raise ConversionError(
            f"{module} reads {found} features, and the module before it gives {expected}: the network's forward() has "
            "more steps than its weights show, such as pooling, so it cannot be built from them"
        )


def to_keras(state: State, network: keras.Model) -> None:
    """Set the weights of a network of embedding, LSTM and Dense layers from PyTorch.

    Modules are identified by their weights, not by their names: `nn.LSTM` by the names of its weights, `nn.Linear` by
    its bias; the rest is `nn.Embedding`. If PyTorch has two outputs for a softmax, the one output of Keras gets the
    second minus the first.

    Args:
        state: float32, in the order of the PyTorch module.
        network: its weights are replaced, all or none.

    Raises:
        ConversionError: the state has other modules, or other shapes.
    """
    parts = _sort(state)
    embeddings, lstms, dense = _find_layers(network)
    found = len(parts.embeddings), len(parts.lstms), len(parts.linears)
    if found != (expected := (len(embeddings), len(lstms), len(dense))):
        raise ConversionError(
            f"the PyTorch network has {_count(*found)}, the recipe's {_count(*expected)}; "
            "set the recipe's fields to match (a matrix without a bias counts as an embedding)"
        )
    weights: list[tuple[layers.Layer, list[Weights]]] = [
        (layer, [table]) for layer, table in zip(embeddings, parts.embeddings, strict=True)
    ]
    for layer, module in zip(lstms, parts.lstms, strict=True):
        if "weight_ih_reverse" in module and not isinstance(layer, layers.Bidirectional):
            raise ConversionError("an nn.LSTM has a second direction; set bidirectional=true")
        weights.append((layer, [one for direction in _directions(layer) for one in _to_keras_lstm(module, direction)]))
    for layer, (kernel, bias) in zip(dense, parts.linears, strict=True):
        if layer.units == 1 and len(kernel) == 2:
            kernel, bias = kernel[1:] - kernel[:1], bias[1:] - bias[:1]
        weights.append((layer, [kernel.T, bias]))
    for layer, values in weights:
        shapes, wanted = [value.shape for value in values], [weight.shape for weight in layer.get_weights()]
        if shapes != wanted:
            raise ConversionError(
                f"{layer.name} would get weights of the shapes {shapes}, it has {wanted}; "
                "set the recipe's units, embedding, bidirectional and vocabulary_size to match"
            )
    for layer, values in weights:
        layer.set_weights(values)


def to_torch(network: keras.Model) -> dict[str, Weights]:
    """Return the state of a `torch_network.Network` that gives the same answers as a Keras network of the same layers.

    Raises:
        ConversionError: the network has other layers with weights.
    """
    embeddings, lstms, dense = _find_layers(network)
    state: dict[str, Weights] = {}
    for layer in embeddings:
        state["embedding.weight"] = layer.get_weights()[0]
    for number, layer in enumerate(lstms):
        values = layer.get_weights()
        for at, direction in enumerate(_directions(layer)):
            kernel, recurrent, bias = values[3 * at : 3 * at + 3]
            state |= {
                f"lstms.{number}.weight_ih_l0{direction}": kernel.T,
                f"lstms.{number}.weight_hh_l0{direction}": recurrent.T,
                f"lstms.{number}.bias_ih_l0{direction}": bias,
                f"lstms.{number}.bias_hh_l0{direction}": np.zeros_like(bias),
            }
    for layer in dense:
        kernel, bias = layer.get_weights()
        state |= {"linear.weight": kernel.T, "linear.bias": bias}
    return {name: np.ascontiguousarray(value) for name, value in state.items()}


def _sort(state: State) -> _Parts:
    """Return the weights by module.

    Raises:
        ConversionError: a weight belongs to none of the supported modules.
    """
    parts = _Parts()
    modules: dict[tuple[str, str], dict[str, Weights]] = {}
    unknown = []
    for name, value in state.items():
        if match := _LSTM_WEIGHTS.fullmatch(name):
            module = modules.setdefault((match["module"], match["layer"]), {})
            module[f"{match['kind']}_{match['of']}{match['reverse'] or ''}"] = value
        elif name.endswith("weight") and value.ndim == 2:
            bias = state.get(name.removesuffix("weight") + "bias")
            if bias is None:
                parts.embeddings.append(value)
            else:
                parts.linears.append((value, bias))
        elif not (name.endswith("bias") and name.removesuffix("bias") + "weight" in state):
            unknown.append(name)
    if unknown:
        raise ConversionError(
            f"{', '.join(unknown[:5])} belong to no nn.Embedding, nn.LSTM or nn.Linear; other modules are not supported"
        )
    parts.lstms = list(modules.values())
    for module in parts.lstms:
        _check_gates(module)
    return parts


def _check_gates(module: Mapping[str, Weights]) -> None:
    """Return if a module is an nn.LSTM; nn.GRU and nn.RNN have weights of the same names with fewer gates.

    Raises:
        ConversionError: it is not.
    """
    recurrent = module.get("weight_hh")
    if recurrent is None or recurrent.ndim != 2:
        return
    gates = len(recurrent) / recurrent.shape[1]
    if gates in _OTHER_MODULES:
        raise ConversionError(
            f"the file has an {_OTHER_MODULES[gates]}, which cannot be converted; train the network with nn.LSTM"
        )


def _to_keras_lstm(module: Mapping[str, Weights], direction: str) -> list[Weights]:
    """Return kernel, recurrent kernel and bias of one direction."""
    try:
        kernel, recurrent = module[f"weight_ih{direction}"].T, module[f"weight_hh{direction}"].T
    except KeyError as error:
        raise ConversionError(f"an nn.LSTM has no {error}; set the recipe's bidirectional to match") from error
    none = np.zeros(kernel.shape[1], np.float32)
    biases = [module.get(f"bias_{of}{direction}", none) for of in ("ih", "hh")]
    if any(bias.shape != none.shape for bias in biases):
        raise ConversionError(
            f"an nn.LSTM has biases of the shapes {[bias.shape for bias in biases]}, not {none.shape}"
        )
    return [kernel, recurrent, biases[0] + biases[1]]


def _find_layers(network: keras.Model) -> tuple[list[layers.Layer], list[layers.Layer], list[layers.Layer]]:
    """Return the embedding, LSTM and Dense layers, in order.

    Raises:
        ConversionError: the network has other layers with weights.
    """
    embeddings, lstms, dense = [], [], []
    for layer in network.layers:
        if isinstance(layer, layers.Embedding):
            embeddings.append(layer)
        elif isinstance(layer, layers.LSTM | layers.Bidirectional):
            lstms.append(layer)
        elif isinstance(layer, layers.Dense):
            dense.append(layer)
        elif layer.trainable_weights:
            raise ConversionError(f"{layer.name} has no counterpart in an nn.Embedding, nn.LSTM or nn.Linear")
    return embeddings, lstms, dense


def _directions(layer: layers.Layer) -> Sequence[str]:
    return _DIRECTIONS if isinstance(layer, layers.Bidirectional) else _DIRECTIONS[:1]


def _count(embeddings: int, lstms: int, linears: int) -> str:
    return f"{embeddings} embeddings, {lstms} LSTM layers and {linears} linear ones"
