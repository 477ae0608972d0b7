"""What a network ends with: the activation of its outputs, found in its structure.

Values alone do not show it: with luck, the logits of some rows are between 0 and 1 too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

# These change no value.
_KEEPS = (
    "ActivityRegularization Dropout ExpandDims Flatten GaussianDropout GaussianNoise Identity InputLayer Reshape "
    "SpatialDropout1D Squeeze"
).split()
_MEANS = ("Average", "GlobalAveragePooling1D")  # of probabilities they are probabilities
_SUMS = ("Add", "BatchNormalization", "Subtract")  # of logits they are logits
_FUNCTIONS = {"HardSigmoid": "hard_sigmoid", "Sigmoid": "sigmoid", "Softmax": "softmax"}  # layers or keras.ops
_WITH_ACTIVATION = (layers.Activation, layers.Conv1D, layers.Dense, layers.EinsumDense)
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class End:
    """The last layer or operation of a network that changes its values.

    Attributes:
        place: as messages name it.
        activation: `linear` for none, or `unknown`.
    """

    place: str
    activation: str

    @property
    def is_known(self) -> bool:
        """Whether the structure shows the activation."""
        return self.activation != _UNKNOWN

    def gives_probabilities(self, outputs: int) -> bool:
        """Return whether this number of outputs are probabilities: a sigmoid gives one, and a softmax gives several."""
        return self.activation in (("sigmoid", "hard_sigmoid") if outputs == 1 else ("softmax",))

    def __str__(self) -> str:
        """Return the description for messages."""
        if self.activation == "linear":
            return f"{self.place}, without an activation"
        return f"{self.place}, with the activation {self.activation}" if self.is_known else self.place


def find_end(network: keras.Model) -> End:
    """Return the end of a network with one output."""
    source = [keras.Input(batch_shape=each.shape, dtype=each.dtype) for each in network.inputs]
    ends = {id(each): End("the input", _UNKNOWN) for each in source}
    called = []  # kept alive, so that no id is used again

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        given = [ends[id(each)] for each in keras.tree.flatten(args) if id(each) in ends]
        end = _pass(layer, given)
        for each in keras.tree.flatten(outputs):
            ends[id(each)] = end
        called.append(outputs)
        return outputs

    clone = keras.models.clone_model(
        keras.Model(network.inputs, network.outputs[0]),  # a Sequential network's layers would not be called
        input_tensors=source,
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return ends[id(clone.outputs[0])]


def _pass(layer: Any, given: Sequence[End]) -> End:
    """Return the end of a network that ends with a layer or an operation, by the ends of its inputs."""
    kind = type(layer).__name__
    inner = layer.layer if isinstance(layer, layers.TimeDistributed) else layer
    if isinstance(inner, keras.Model) and len(inner.outputs) == 1:
        return find_end(inner)
    place = f"the {'layer' if isinstance(layer, keras.Layer) else 'operation'} {layer.name!r} ({kind})"
    activations = {end.activation for end in given}
    if kind in _KEEPS and len(given) == 1:
        return given[0]
    if kind in _MEANS and len(activations) == 1 or kind in _SUMS and activations == {"linear"}:
        return End(place, activations.pop())
    if kind in _FUNCTIONS:
        return End(place, _FUNCTIONS[kind] if getattr(layer, "axis", -1) in (-1, 1) else _UNKNOWN)
    if not isinstance(inner, _WITH_ACTIVATION):
        return End(place, _UNKNOWN)
    activation = _name_activation(inner.activation)
    if isinstance(inner, layers.Activation) and activation == "linear" and len(given) == 1:
        return given[0]
    return End(place, activation)


def _name_activation(function: Any) -> str:
    found = keras.activations.serialize(function)
    if isinstance(found, dict):  # a layer as an activation
        found = _FUNCTIONS.get(found["class_name"], found["class_name"])
    return str(found)
